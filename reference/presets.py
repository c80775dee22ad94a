"""Ready edits: make-up and face paint drawn by landmarks, tones of films, backdrops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from correspondence import Float, Image, Landmarks, check_image
from reference.compose.person import person_share
from reference.errors import EditError
from reference.painters import behind, films, hair, makeup, paint, skin
from reference.painters.drawing import Canvas, Rgb, crop, parse_colour

Painter = Callable[[Float, Canvas, Rgb], Float]
Tone = Callable[[Float, Rgb], Float]
Behind = Callable[[Float, Float, Rgb], Float]
Hair = Callable[[Float, Image, Float, Landmarks, Rgb], Float]


@dataclass(frozen=True, slots=True)
class Preset:
    """One ready edit. Exactly one of `painter`, `tone`, `behind` and `hair` draws it at full strength.

    Attributes:
        name: its identifier, one of `NAMES`.
        title: its name for users.
        group: heading under which it is listed, one of `GROUPS`.
        colour: default colour, "#rrggbb".
        strength: default strength, [0, 1].
        painter: draws it on a crop of the face.
        tone: recolours the whole picture.
        behind: changes what is behind the person.
        hair: changes the hair, see `painters.hair`.
        needs: what it needs of the still, for users; "" if nothing but a face or a person.
        coloured: whether its colour can be chosen. The others take no notice of it.
    """

    name: str
    title: str
    group: str
    colour: str
    strength: float
    painter: Painter | None = None
    tone: Tone | None = None
    behind: Behind | None = None
    hair: Hair | None = None
    coloured: bool = True
    needs: str = ""

    @property
    def needs_face(self) -> bool:
        """Whether it is drawn by the landmarks of a face."""
        return self.painter is not None or self.hair is not None


LIPS, EYES, SKIN, HAIR = "Lips and teeth", "Eyes", "Skin", "Hair"
PAINT, FILM, BEHIND = "Face paint", "Film", "Backdrop"
GROUPS = (LIPS, EYES, SKIN, HAIR, PAINT, FILM, BEHIND)
_OF_HAIR = "Needs hair that is clearly darker than the skin, and no hat."
_GREY = "#808080"
_PRESETS = (
    Preset("lipstick", "Lipstick", LIPS, "#b3122e", 0.85, makeup.lipstick),
    Preset("lip_liner", "Lip liner", LIPS, "#7a2e35", 0.6, skin.lip_liner),
    Preset("gloss", "Gloss", LIPS, "#d86a78", 0.8, skin.gloss),
    Preset("teeth", "White teeth", LIPS, _GREY, 0.8, skin.teeth, coloured=False),
    Preset("eyeshadow", "Eyeshadow", EYES, "#6d3fa8", 0.8, makeup.eyeshadow),
    Preset("eyeliner", "Eyeliner", EYES, "#14100f", 0.9, makeup.eyeliner),
    Preset("lashes", "Lashes", EYES, "#15100e", 0.9, skin.lashes),
    Preset("brows", "Brows", EYES, "#4a2e1f", 0.8, makeup.brows),
    Preset("eye_white", "Clear eyes", EYES, _GREY, 0.7, skin.eye_white, coloured=False),
    Preset("smooth", "Smooth skin", SKIN, _GREY, 0.7, skin.smooth, coloured=False),
    Preset("even", "Even tone", SKIN, _GREY, 0.7, skin.even, coloured=False),
    Preset("under_eye", "Under-eyes", SKIN, _GREY, 0.8, skin.under_eye, coloured=False),
    Preset("blush", "Blush", SKIN, "#e0566f", 0.7, makeup.blush),
    Preset("contour", "Contour", SKIN, "#a8704f", 0.7, makeup.contour),
    Preset("highlighter", "Highlighter", SKIN, "#ffe6c8", 0.7, skin.highlighter),
    Preset("freckles", "Freckles", SKIN, "#8a4f2c", 0.8, makeup.freckles),
    Preset("beard", "Beard shadow", SKIN, "#4a4442", 0.6, skin.beard),
    Preset("hair", "Hair tint", HAIR, "#8a2f6a", 0.8, hair=hair.tinted, needs=_OF_HAIR),
    Preset("tiger", "Tiger face paint", PAINT, "#f08a1c", 0.9, paint.tiger),
    Preset("warpaint", "War paint", PAINT, "#1f4fbf", 0.9, paint.warpaint),
    Preset("clown", "Clown", PAINT, "#d81e2c", 0.95, paint.clown),
    Preset("warm", "Warm tone", FILM, "#ff9a3c", 0.6, tone=makeup.warm),
    Preset("cool", "Cool tone", FILM, "#4a86c8", 0.6, tone=films.cool),
    Preset("vivid", "Vivid", FILM, _GREY, 0.7, tone=films.vivid, coloured=False),
    Preset("cinema", "Cinema", FILM, "#1f8a94", 0.8, tone=films.cinema),
    Preset("faded", "Faded print", FILM, "#5a6f8a", 0.8, tone=films.faded),
    Preset("mono", "Black and white", FILM, _GREY, 1.0, tone=films.mono),
    Preset("sepia", "Sepia", FILM, "#a8743c", 0.9, tone=films.sepia),
    Preset("backdrop_blur", "Blurred backdrop", BEHIND, _GREY, 1.0, behind=behind.blurred, coloured=False),
    Preset("backdrop", "Coloured backdrop", BEHIND, "#5f7f8c", 1.0, behind=behind.coloured),
)
_BY_NAME = {preset.name: preset for preset in _PRESETS}
NAMES: tuple[str, ...] = tuple(_BY_NAME)


def describe() -> list[dict[str, Any]]:
    """Lists all presets for a menu, group by group: the plain values of `Preset`, and needs_face."""
    return [
        {
            "name": preset.name,
            "title": preset.title,
            "group": preset.group,
            "colour": preset.colour,
            "coloured": preset.coloured,
            "strength": preset.strength,
            "needs_face": preset.needs_face,
            "needs": preset.needs,
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
    still: Image | None = None,
) -> Image:
    """Draws a preset on a reference. The same arguments give the same picture.

    Args:
        name: one of `NAMES`.
        reference: RGB uint8 (H, W, 3).
        landmarks: landmarks of its face; presets of the whole picture do not need them.
        colour: "#rrggbb"; the preset's default when None.
        strength: [0, 1]; the preset's default when None.
        still: the reference before other layers, in which person and hair are found; None for `reference`.

    Returns:
        The edited picture, RGB uint8 (H, W, 3). Pixels outside the preset's region equal the reference's.

    Raises:
        EditError: an unknown name, a bad colour or strength, or no face for a preset that needs one; hair
            that cannot be told from the rest.
        ValueError: a reference of another dtype or shape, or landmarks of a picture of another size.
    """
    size = check_image(reference, "reference")
    preset = find(name)
    amount = preset.strength if strength is None else strength
    if not 0.0 <= amount <= 1.0:
        raise EditError(f"strength must be in [0, 1], got {amount}")
    rgb = check(name, preset.colour if colour is None else colour)
    if preset.tone is not None:
        return _mixed(reference, preset.tone(reference.astype(np.float32), rgb), amount)
    seen = reference if still is None else still
    if preset.behind is not None:
        return _mixed(reference, preset.behind(reference.astype(np.float32), person_share(seen), rgb), amount)
    if landmarks is None:
        raise EditError(f"{preset.title} is drawn on a face, but the reference shows none; take another one")
    if landmarks.image_size != size:
        raise ValueError(f"landmarks are of a picture {landmarks.image_size}, reference is {size}")
    if preset.hair is not None:
        made = preset.hair(reference.astype(np.float32), seen, person_share(seen), landmarks, rgb)
        return _mixed(reference, made, amount)
    assert preset.painter is not None
    canvas = Canvas(landmarks)
    x0, y0, x1, y1 = canvas.box
    before = crop(reference, canvas.box)
    edited = reference.copy()
    edited[y0:y1, x0:x1] = _mixed(reference[y0:y1, x0:x1], preset.painter(before, canvas, rgb), amount)
    return edited


def _mixed(before: Image, after: Float, amount: float) -> Image:
    mixed = before + np.float32(amount) * (after - before)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
