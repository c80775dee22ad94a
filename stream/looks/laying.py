"""Makes paint of an uploaded picture: strokes, a sticker on the face, a picture behind the person."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reference import EditError
from reference.looks import placed
from reference.looks.layers import Rgba
from reference.looks.placed import Spot
from stream.errors import ConflictError, RequestError
from stream.looks.look import ReferencePicture
from stream.media.pictures import Picture

LayPaint = Callable[[Picture, ReferencePicture], Rgba]


def paint_of(picture: Picture, reference: ReferencePicture) -> Rgba:
    """Return paint as uint8 (H, W, 4), straight alpha.

    Raises:
        ConflictError: it has another size than its reference.
    """
    (h, w), (rows, columns) = picture.image.shape[:2], reference.image.shape[:2]
    if (h, w) != (rows, columns):
        raise ConflictError(f"the paint is {w}x{h}, its reference {columns}x{rows}", "send it at that size")
    alpha = np.full((h, w), 255, np.uint8) if picture.alpha is None else picture.alpha
    return np.dstack([picture.image, alpha])


def sticker_of(picture: Picture, reference: ReferencePicture, *, spot: Spot, size: float) -> Rgba:
    """Return a picture on a spot of the reference's face as paint (see `reference.looks.placed.sticker`).

    Raises:
        ConflictError: the reference shows no face.
        RequestError: the spot or the size is not allowed.
    """
    if reference.landmarks is None:
        raise ConflictError("a sticker lies on a face, but the reference shows none", "take another one")
    try:
        return placed.sticker(picture.pixels, reference.landmarks, spot, size)
    except EditError as exc:
        raise RequestError(str(exc)) from exc


def backdrop_of(picture: Picture, reference: ReferencePicture) -> Rgba:
    """Return a picture behind the reference's person as paint (see `reference.looks.placed.backdrop`).

    Raises:
        ConflictError: the reference shows no person.
    """
    try:
        return placed.backdrop(picture.pixels, reference.image)
    except EditError as exc:
        raise ConflictError(str(exc), "take another reference") from exc
