"""Layers as JSON values, and back. The values may come from strangers: each is checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from correspondence import Image
from reference.errors import EditError
from reference.face.sticker import PLACE, SPOTS, Sticker
from reference.looks.layers import Layer, PaintLayer, PictureLayer, PresetLayer, StickerLayer

Entry = dict[str, Any]
Pixels = npt.NDArray[np.uint8]
MOST_TEXT = 400  # characters of a note
T = TypeVar("T")


def to_entry(layer: Layer, put: Callable[[Layer, Pixels], str]) -> Entry:
    """Convert a layer to JSON values.

    Args:
        layer: the layer.
        put: keeps the layer's pixels, uint8 (H, W, 3 or 4), and returns their name.
    """
    entry: Entry = {"kind": layer.kind, "shown": layer.shown, "strength": layer.strength}
    if isinstance(layer, PresetLayer):
        return {**entry, "preset": layer.name, "colour": layer.colour}
    if layer.pixels is not None:
        entry["picture"] = put(layer, layer.pixels)
    if isinstance(layer, PictureLayer):
        entry |= {"words": layer.words, "note": layer.note}
    if isinstance(layer, StickerLayer):
        entry |= {name: getattr(layer.sticker, name) for name in ("at", *PLACE)} | {"rigid": layer.rigid}
    return entry


def from_entry(entry: object, get: Callable[[str], Pixels], **more: int) -> Layer:
    """Make a layer of what `to_entry` made.

    Args:
        entry: the JSON values. Unknown names are ignored.
        get: returns the pixels of a name, uint8 (H, W, 3 or 4).
        more: the layer's id and version; new ones if left out.

    Raises:
        EditError: a value is missing, has another type or is not allowed.
    """
    values = of(dict, entry, "a layer")
    kind = of(str, values.get("kind"), "kind")
    shown = of(bool, values.get("shown"), "shown")
    strength = of(float, values.get("strength"), "strength")
    if kind == "preset":
        name, colour = of(str, values.get("preset"), "preset"), of(str, values.get("colour"), "colour")
        return PresetLayer(name=name, colour=colour, shown=shown, strength=strength, **more)
    if kind not in ("paint", "picture", "words", "sticker"):
        raise EditError(f"kind must be preset, paint, picture, words or sticker, got {kind[:20]!r}")
    pixels = get(of(str, values.get("picture"), "picture"))
    if kind == "paint":
        return PaintLayer(rgba=pixels, shown=shown, strength=strength, **more)
    if kind == "sticker":
        at = next((spot for spot in SPOTS if spot == values.get("at")), None)
        if at is None:
            raise EditError(f"at must be one of {', '.join(SPOTS)}")
        place = {name: of(float, values.get(name), name) for name in PLACE}
        sticker, rigid = Sticker(picture=pixels, at=at, **place), of(bool, values.get("rigid"), "rigid")
        return StickerLayer(sticker=sticker, rigid=rigid, shown=shown, strength=strength, **more)
    words, note = (text(values.get(name), name) for name in ("words", "note"))
    image: Image = pixels
    return PictureLayer(image=image, words=words, note=note, shown=shown, strength=strength, **more)


def text(value: object, name: str) -> str | None:
    """Check that a value is printable text of at most `MOST_TEXT` characters, or None.

    Raises:
        EditError: it is something else.
    """
    if value is None:
        return None
    found = of(str, value, name)
    if len(found) > MOST_TEXT or not found.isprintable():
        raise EditError(f"{name} must be at most {MOST_TEXT} printable characters")
    return found


def of(kind: type[T], value: object, name: str) -> T:
    """Check that a value has a type. Whole numbers pass as float.

    Raises:
        EditError: it has another type.
    """
    if kind is float and type(value) is int:
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise EditError(f"{name} must be of type {kind.__name__}, got {type(value).__name__}")
    return value
