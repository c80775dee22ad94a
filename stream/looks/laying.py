"""Makes a layer of an uploaded picture: strokes, a sticker on the face, a picture behind the person."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from reference import EditError
from reference.face.sticker import Rgba, Spot
from reference.looks import placed
from reference.looks.layers import Layer, PaintLayer, StickerLayer
from stream.errors import ConflictError, RequestError
from stream.looks.look import ReferencePicture
from stream.media.pictures import Picture

MakeLayer = Callable[[Picture, ReferencePicture], Layer]


def paint_layer(picture: Picture, reference: ReferencePicture) -> Layer:
    """Return paint as a layer (see `paint_of`)."""
    return PaintLayer(rgba=paint_of(picture, reference))


def paint_of(picture: Picture, reference: ReferencePicture) -> Rgba:
    """Return paint as uint8 (H, W, 4), straight alpha.

    Raises:
        ConflictError: it has another size than its reference.
    """
    (h, w), (rows, columns) = picture.image.shape[:2], reference.image.shape[:2]
    if (h, w) != (rows, columns):
        raise ConflictError(
            f"the paint is {w}x{h}, its reference {columns}x{rows}", "send it at the reference's size"
        )
    alpha = np.full((h, w), 255, np.uint8) if picture.alpha is None else picture.alpha
    return np.dstack([picture.image, alpha])


def sticker_layer(
    picture: Picture,
    reference: ReferencePicture,
    *,
    at: Spot,
    rigid: bool | None,
    place: Mapping[str, float],
) -> Layer:
    """Return a picture on a place of the reference's face (see `StickerLayer.of`).

    Raises:
        ConflictError: the reference shows no face.
        RequestError: a value of its place is not allowed.
    """
    if reference.landmarks is None:
        raise ConflictError("a sticker lies on a face, but the reference shows none", "take another one")
    try:
        return StickerLayer.of(picture.pixels, at, rigid=rigid, **place)
    except EditError as exc:
        raise RequestError(str(exc)) from exc


def backdrop_layer(picture: Picture, reference: ReferencePicture) -> Layer:
    """Return a picture behind the reference's person as paint (see `reference.looks.placed.backdrop`).

    Raises:
        ConflictError: the reference shows no person.
    """
    try:
        return PaintLayer(rgba=placed.backdrop(picture.pixels, reference.image))
    except EditError as exc:
        raise ConflictError(str(exc), "take another reference") from exc
