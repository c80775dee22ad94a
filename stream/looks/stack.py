"""Changes of a keyframe's list of layers. Each returns a new list; layers that do not change are shared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from correspondence import Image, Landmarks
from reference import Edit, EditError, presets
from reference.face.sticker import Rgba
from reference.looks.drawn import edit_of as layers_edit
from reference.looks.layers import (
    MOST_LAYERS,
    Layer,
    PaintLayer,
    PictureLayer,
    PresetLayer,
    StickerLayer,
)
from reference.looks.look import adjusted
from stream.errors import ConflictError, NotFoundError, RequestError
from stream.looks.look import PresetChoice

Layers = tuple[Layer, ...]
OF_STICKERS = ("at", "size", "turn_deg", "right", "down", "rigid")  # what a patch may change of stickers


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPatch:
    """What to change of a layer. None keeps it.

    Attributes:
        shown: whether it is drawn.
        strength: share of it that is applied, [0, 1].
        colour: "#rrggbb", of a preset.
        place: its new place among the layers, 0 for the lowest.
        sticker: where a sticker lies: at, size, turn_deg, right, down and rigid.
    """

    shown: bool | None = None
    strength: float | None = None
    colour: str | None = None
    place: int | None = None
    sticker: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, values: Mapping[str, object]) -> LayerPatch:
        """Read JSON values.

        Raises:
            RequestError: a name is unknown, or a value has another type.
        """
        unknown = sorted(set(values) - {"shown", "strength", "colour", "place", *OF_STICKERS})
        if unknown:
            known = f"known are shown, strength, colour, place and, of stickers, {', '.join(OF_STICKERS)}"
            raise RequestError(f"unknown setting {', '.join(unknown)[:40]}", known)
        shown, strength, colour, place = (values.get(n) for n in ("shown", "strength", "colour", "place"))
        if not isinstance(shown, bool | None):
            raise RequestError(f"shown must be true or false, got {shown!r}")
        if isinstance(strength, bool) or not isinstance(strength, int | float | None):
            raise RequestError(f"strength must be a number in [0, 1], got {strength!r}")
        if not isinstance(colour, str | None):
            raise RequestError(f'colour must be "#rrggbb", got {colour!r}')
        if isinstance(place, bool) or not isinstance(place, int | None):
            raise RequestError(f"place must be a whole number, got {place!r}")
        sticker = {name: values[name] for name in OF_STICKERS if values.get(name) is not None}
        return cls(shown=shown, strength=strength, colour=colour, place=place, sticker=sticker)

    @property
    def label(self) -> str:
        """What it does, for people."""
        if self.shown is not None:
            return "show" if self.shown else "hide"
        named = (
            *(("strength", self.strength), ("colour", self.colour), ("order", self.place)),
            ("move", self.sticker or None),
        )
        return next((name for name, value in named if value is not None), "change")


def edit_of(still: Image, landmarks: Landmarks | None, layers: Layers) -> Edit:
    """Return layers on a still, uint8 (H, W, 3), as an edit. This is slow.

    Raises:
        ConflictError: a preset or sticker needs a face and the still has none.
    """
    try:
        return layers_edit(still, landmarks, layers)
    except EditError as exc:
        raise ConflictError(str(exc), "take another reference, facing the camera") from exc


def find(layers: Layers, number: int) -> Layer:
    """Return the layer of an id.

    Raises:
        NotFoundError: there is none.
    """
    found = next((layer for layer in layers if layer.id == number), None)
    if found is None:
        raise NotFoundError(f"there is no layer {number}", "it was removed; the state lists those there are")
    return found


def find_paint(layers: Layers, number: int) -> PaintLayer:
    """Return the layer of an id, which must hold paint.

    Raises:
        NotFoundError: there is no such layer.
        RequestError: the layer holds something else.
    """
    layer = find(layers, number)
    if not isinstance(layer, PaintLayer):
        raise RequestError(f"layer {number} is of kind {layer.kind}; only paint can be painted on")
    return layer


def find_pixels(layers: Layers, number: int) -> PaintLayer | PictureLayer:
    """Return the layer of an id, which must hold paint or an edited picture.

    Raises:
        NotFoundError: there is no such layer.
        RequestError: the layer holds a preset.
    """
    layer = find(layers, number)
    if not isinstance(layer, PaintLayer | PictureLayer):
        raise RequestError(f"layer {number} is of kind {layer.kind}; only paint and pictures have pixels")
    return layer


def added(layers: Layers, new: Layer) -> Layers:
    """Return the layers with a new one on top.

    Raises:
        ConflictError: there are as many as allowed.
    """
    if len(layers) >= MOST_LAYERS:
        raise ConflictError(f"an edit holds at most {MOST_LAYERS} layers", "remove one first")
    return (*layers, new)


def with_preset(layers: Layers, choice: PresetChoice) -> Layers:
    """Return the layers with a preset: changed if it is there already, else added on top.

    Raises:
        ConflictError: there are as many layers as allowed.
        RequestError: the preset is unknown, or its colour or strength is not allowed.
    """
    if choice.name not in presets.NAMES:
        raise RequestError(f"unknown preset {choice.name!r}", f"known are {', '.join(presets.NAMES)}")
    try:
        new = PresetLayer.of(choice.name, choice.colour, choice.strength)
        there = [each for each in layers if isinstance(each, PresetLayer) and each.name == choice.name]
        if not there:
            return added(layers, new)
        return _with(layers, replace(new, id=there[-1].id, version=there[-1].version))
    except EditError as exc:
        raise RequestError(str(exc)) from exc


def changed(layers: Layers, number: int, patch: LayerPatch) -> Layers:
    """Return the layers with one changed or moved.

    Raises:
        NotFoundError: there is no such layer.
        RequestError: a value is not allowed, or the layer has no colour.
    """
    layer = find(layers, number)
    try:
        new = adjusted(
            layer, shown=patch.shown, strength=patch.strength, colour=patch.colour, **patch.sticker
        )
        layers = _with(layers, new)
    except EditError as exc:
        raise RequestError(str(exc)) from exc
    if patch.place is None:
        return layers
    if not 0 <= patch.place < len(layers):
        raise RequestError(f"place must be 0 (lowest) to {len(layers) - 1}, got {patch.place}")
    others = [each for each in layers if each.id != number]
    moved = next(each for each in layers if each.id == number)
    return (*others[: patch.place], moved, *others[patch.place :])


def repainted(layers: Layers, number: int, pixels: Rgba) -> Layers:
    """Return the layers with other paint in one of them, uint8 (H, W, 4).

    Raises:
        NotFoundError: there is no such layer.
        RequestError: the layer holds no paint.
    """
    layer = find_paint(layers, number)
    return _with(layers, replace(layer, rgba=pixels, version=PaintLayer(rgba=pixels).version))


def renewed(layers: Layers, number: int, new: PictureLayer) -> Layers:
    """Return the layers with a newer edited picture in one of them.

    Raises:
        NotFoundError: there is no such layer.
        RequestError: the layer holds no edited picture.
    """
    layer = find_pixels(layers, number)
    if not isinstance(layer, PictureLayer):
        raise RequestError(f"layer {number} is of kind {layer.kind}, no edited picture")
    return _with(layers, replace(layer, image=new.image, note=new.note, version=new.version))


def without(layers: Layers, number: int) -> Layers:
    """Return the layers without one.

    Raises:
        NotFoundError: there is no such layer.
    """
    find(layers, number)
    return tuple(each for each in layers if each.id != number)


def below(layers: Layers, number: int) -> Layers:
    """Return the layers that lie below one.

    Raises:
        NotFoundError: there is no such layer.
    """
    return layers[: layers.index(find(layers, number))]


def presets_of(layers: Sequence[Layer]) -> Layers:
    """Return the presets and stickers among layers. They can be drawn on any face."""
    return tuple(layer for layer in layers if isinstance(layer, PresetLayer | StickerLayer))


def _with(layers: Layers, new: Layer) -> Layers:
    return tuple(new if each.id == new.id else each for each in layers)
