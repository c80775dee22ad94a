"""Parses presets from text, NAME[:COLOUR[:STRENGTH]], and draws several of them over each other."""

from __future__ import annotations

from collections.abc import Iterable

from correspondence.types import Image, Landmarks
from reference import presets
from reference.painters.drawing import parse_colour
from stream.looks.look import PresetChoice

FORM = "NAME[:COLOUR[:STRENGTH]], as in lipstick:#b3122e:0.8"


def parse_preset(text: str) -> PresetChoice:
    """Parse a preset from the text of a command line.

    Args:
        text: has the form `FORM`. An empty colour or strength means the preset's own.

    Raises:
        ValueError: the text has another form, the name is unknown, the colour is not "#rrggbb", or the
            strength is outside [0, 1].
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
    """Draw presets on a picture, in order, each over the ones before.

    Args:
        image: RGB uint8 (H, W, 3).
        landmarks: landmarks of the picture's face, or of the face in the picture it was edited from.
            Presets of the whole picture need none.
        choices: the presets to draw, in order.

    Returns:
        The edited picture, RGB uint8 (H, W, 3).

    Raises:
        EditError: a preset needs a face and there is none.
    """
    for choice in choices:
        image = presets.apply(choice.name, image, landmarks, choice.colour, choice.strength)
    return image
