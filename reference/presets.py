"""Ready edits drawn from the face's landmarks: make-up, face paint, a warm tone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from correspondence import Float, Image, Landmarks, check_image
from reference.errors import EditError
from reference.painters import makeup, paint
from reference.painters.drawing import Canvas, Rgb, crop, parse_colour

Painter = Callable[[Float, Canvas, Rgb], Float]


@dataclass(frozen=True, slots=True)
class Preset:
    """One ready edit.

    Attributes:
        name: its identifier, one of `NAMES`.
        title: its name for users.
        colour: default colour, "#rrggbb".
        strength: default strength, [0, 1].
        painter: draws the edit at full strength on a crop of the face; None recolours the whole picture.
    """

    name: str
    title: str
    colour: str
    strength: float
    painter: Painter | None

    @property
    def needs_face(self) -> bool:
        """Whether it is drawn by the landmarks of a face."""
        return self.painter is not None


_PRESETS = (
    Preset("lipstick", "Lipstick", "#b3122e", 0.85, makeup.lipstick),
    Preset("blush", "Blush", "#e0566f", 0.7, makeup.blush),
    Preset("eyeshadow", "Eyeshadow", "#6d3fa8", 0.8, makeup.eyeshadow),
    Preset("eyeliner", "Eyeliner", "#14100f", 0.9, makeup.eyeliner),
    Preset("brows", "Brows", "#4a2e1f", 0.8, makeup.brows),
    Preset("contour", "Contour", "#a8704f", 0.7, makeup.contour),
    Preset("freckles", "Freckles", "#8a4f2c", 0.8, makeup.freckles),
    Preset("tiger", "Tiger face paint", "#f08a1c", 0.9, paint.tiger),
    Preset("warpaint", "War paint", "#1f4fbf", 0.9, paint.warpaint),
    Preset("clown", "Clown", "#d81e2c", 0.95, paint.clown),
    Preset("warm", "Warm tone", "#ff9a3c", 0.6, None),
)
_BY_NAME = {preset.name: preset for preset in _PRESETS}
NAMES: tuple[str, ...] = tuple(_BY_NAME)


def describe() -> list[dict[str, Any]]:
    """Lists all presets for a menu: name, title, colour ("#rrggbb"), strength in [0, 1] and needs_face."""
    return [
        {
            "name": preset.name,
            "title": preset.title,
            "colour": preset.colour,
            "strength": preset.strength,
            "needs_face": preset.needs_face,
        }
        for preset in _PRESETS
    ]


def find(name: str) -> Preset:
    """Returns a preset by name.

    Raises:
        EditError: there is none of that name.
    """
    preset = _BY_NAME.get(name)
    if preset is None:
        raise EditError(f"preset must be one of {', '.join(NAMES)}, got {name!r}")
    return preset


def check(name: str, colour: str) -> Rgb:
    """Checks that there is such a preset, and returns a colour as (r, g, b), 0 to 255.

    Raises:
        EditError: the name is unknown, or the colour is not like "#rrggbb".
    """
    find(name)
    try:
        return parse_colour(colour)
    except ValueError as error:
        raise EditError(str(error)) from error


def apply(
    name: str,
    reference: Image,
    landmarks: Landmarks | None,
    colour: str | None = None,
    strength: float | None = None,
) -> Image:
    """Draws a preset on a reference. The same arguments give the same picture.

    Args:
        name: one of `NAMES`.
        reference: RGB uint8 (H, W, 3).
        landmarks: landmarks of its face; presets of the whole picture do not need them.
        colour: "#rrggbb"; the preset's default when None.
        strength: [0, 1]; the preset's default when None.

    Returns:
        The edited picture, RGB uint8 (H, W, 3). Pixels outside the preset's region equal the reference's.

    Raises:
        EditError: an unknown name, a bad colour or strength, or no face for a preset that needs one.
        ValueError: a reference of another dtype or shape, or landmarks of a picture of another size.
    """
    size = check_image(reference, "reference")
    preset = find(name)
    amount = preset.strength if strength is None else strength
    if not 0.0 <= amount <= 1.0:
        raise EditError(f"strength must be in [0, 1], got {amount}")
    rgb = check(name, preset.colour if colour is None else colour)
    if preset.painter is None:
        return _mixed(reference, makeup.warm(reference.astype(np.float32), rgb), amount)
    if landmarks is None:
        raise EditError(f"{preset.title} is drawn on a face, but the reference shows none; take another one")
    if landmarks.image_size != size:
        raise ValueError(f"landmarks are of a picture {landmarks.image_size}, reference is {size}")
    canvas = Canvas(landmarks)
    x0, y0, x1, y1 = canvas.box
    before = crop(reference, canvas.box)
    edited = reference.copy()
    edited[y0:y1, x0:x1] = _mixed(reference[y0:y1, x0:x1], preset.painter(before, canvas, rgb), amount)
    return edited


def _mixed(before: Image, after: Float, amount: float) -> Image:
    mixed = before + np.float32(amount) * (after - before)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
