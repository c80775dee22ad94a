"""Presets chosen by text, NAME[:COLOUR[:STRENGTH]], and drawn one over the other."""

from __future__ import annotations

from collections.abc import Iterable

from correspondence.types import Image, Landmarks
from reference import presets
from reference.painters.drawing import parse_colour
from stream.looks.look import PresetChoice

FORM = "NAME[:COLOUR[:STRENGTH]], as in lipstick:#b3122e:0.8"


def parse_preset(text: str) -> PresetChoice:
    """A preset as a command line names it.

    Args:
        text: `FORM`; an empty colour or strength means the preset's own.

    Raises:
        ValueError: another form, an unknown name, no "#rrggbb" colour, or a strength outside [0, 1].
    """
    name, *rest = text.split(":")
    if len(rest) > 2:
        raise ValueError(f"preset must be {FORM}, got {text!r}")
    if name not in presets.NAMES:
        raise ValueError(f"preset {text!r}: there is no {name!r}; there are {', '.join(presets.NAMES)}")
    colour, strength = (*rest, "", "")[:2]
    if colour:
        try:
            parse_colour(colour)
        except ValueError as exc:
            raise ValueError(f"preset {text!r}: {exc}") from exc
    return PresetChoice(name, colour or None, _strength(strength, text) if strength else None)


def _strength(text: str, whole: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"preset {whole!r}: strength must be a number in [0, 1], got {text!r}") from None
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"preset {whole!r}: strength must lie in [0, 1], got {text}")
    return value


def draw_presets(image: Image, landmarks: Landmarks | None, choices: Iterable[PresetChoice]) -> Image:
    """A picture with presets drawn on it, each over those before it.

    Args:
        image: RGB uint8 (H, W, 3).
        landmarks: of its face, or of that of a picture it was edited from; presets of the whole picture do
            without.
        choices: what to draw, in order.

    Returns:
        The edited picture, RGB uint8 (H, W, 3).

    Raises:
        EditError: no face for a preset that is drawn on one.
    """
    for choice in choices:
        image = presets.apply(choice.name, image, landmarks, choice.colour, choice.strength)
    return image
