"""Parses presets, NAME[:COLOUR[:STRENGTH]], and stickers, FILE:PLACE[:SIZE], from text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from reference import presets
from reference.face.sticker import SPOTS
from reference.looks.layers import Layer, PresetLayer, StickerLayer
from reference.looks.reading import read_picture
from reference.painters.drawing import parse_colour
from stream.looks.look import PresetChoice

STICKER_FORM = "FILE:PLACE[:SIZE[:rigid|skin]], as in star.png:nose:0.3"
STICKER = re.compile(rf"(?P<file>.+?):(?P<at>{'|'.join(SPOTS)})(:(?P<size>[^:]*))?(:(?P<how>rigid|skin))?")
DEFAULT_SIZE = 0.4  # width of a sticker, face heights
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


def parse_sticker(text: str) -> StickerLayer:
    """Parse a sticker from the text of a command line, and read its picture.

    Args:
        text: has the form `STICKER_FORM`.

    Raises:
        ValueError: the text has another form, a value is not allowed, or the picture cannot be read.
    """
    found = STICKER.fullmatch(text)
    if found is None:
        raise ValueError(f"sticker must be {STICKER_FORM}; places are {', '.join(SPOTS)}; got {text!r}")
    at = next(spot for spot in SPOTS if spot == found["at"])
    try:
        size = _number(found["size"] or DEFAULT_SIZE)
        rigid = None if found["how"] is None else found["how"] == "rigid"
        return StickerLayer.of(read_picture(Path(found["file"])), at, size, rigid=rigid)
    except OSError as exc:
        raise ValueError(f"sticker {found['file']}: {exc.strerror}; check its name and folder") from exc
    except ValueError as exc:
        raise ValueError(f"sticker {text!r}: {exc}") from exc


def _number(text: str | float) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"size must be a number, got {text!r}") from None


def layers_of(presets: Iterable[PresetChoice], stickers: Iterable[StickerLayer] = ()) -> tuple[Layer, ...]:
    """Return presets and stickers as layers, the stickers above."""
    drawn = (PresetLayer.of(each.name, each.colour, each.strength) for each in presets)
    return (*drawn, *stickers)
