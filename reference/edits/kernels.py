"""Repeats how an editor cropped and resized a picture, and tells how far kernels differ."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image as Pillow

from correspondence import Bool, Float, Image
from reference.edits.placing import Transform, is_whole, seen_at

KERNELS = (
    Pillow.Resampling.LANCZOS, Pillow.Resampling.BICUBIC, Pillow.Resampling.BILINEAR,
    Pillow.Resampling.HAMMING, Pillow.Resampling.BOX, Pillow.Resampling.NEAREST,
)  # fmt: skip
STRAIGHT = 1e-3  # largest shear or turn of a picture that was only cropped and resized
NEAR_PX = 0.15  # a crop this close to whole pixels was cut there
CUT = 12.0  # larger differences are edits and count as this, levels
BETTER = 0.99  # the best kernel must reduce the difference to at most this share
DETAIL_PX = 9  # side of the window whose mean is no detail, pixels


@dataclass(frozen=True, slots=True, eq=False)
class Resized:
    """A reference as an editor resized it.

    Attributes:
        image: RGB uint8 (H, W, 3), of the edited picture's size.
        doubt: largest difference of a channel nearby that the next best kernel would make, levels, float32
            (H, W).
    """

    image: Image
    doubt: Float


def as_resized(
    reference: Image, edited: Image, transform: Transform, seen: Image, inside: Bool
) -> Resized | None:
    """Crops and resizes a reference as the edited picture was.

    Args:
        reference, edited: RGB uint8 (H, W, 3), of any sizes.
        transform: from places of the reference to places of the edited picture, float64 (2, 3).
        seen: the reference in the edited picture's grid by another kernel, RGB uint8 of its size.
        inside: where it is known, bool of its size.

    Returns:
        None if the picture was not resized, was turned, shows more than the reference, or is explained no
        better than by `seen`.
    """
    box = _box(reference, edited, transform)
    if box is None or not inside.any():
        return None
    source, size = Pillow.fromarray(reference), (edited.shape[1], edited.shape[0])
    tried = [np.asarray(source.resize(size, kernel, box=box), np.uint8) for kernel in KERNELS]
    off = [_difference(image, edited, inside) for image in tried]
    best, second = np.argsort(off)[:2]
    if off[best] > BETTER * _difference(seen, edited, inside):
        return None
    return Resized(tried[best], _between(tried[best], tried[second]))


def kernel_doubt(reference: Image, edited: Image, transform: Transform) -> Float:
    """Measures how far the reference on the edited picture's grid depends on the resampling kernel.

    Editors resample with kernels that are not known. A difference that another kernel would make is no edit.

    Args:
        reference, edited: RGB uint8 (H, W, 3), of any sizes.
        transform: from places of the reference to places of the edited picture, float64 (2, 3).

    Returns:
        The largest difference of a channel nearby, levels, float32 of the edited picture's size.
    """
    size = (edited.shape[0], edited.shape[1])
    kernels = (cv2.INTER_CUBIC, cv2.INTER_LINEAR)
    cubic, linear = (seen_at(reference, size, transform, how)[0] for how in kernels)
    return _between(cubic, linear)


def _between(one: Image, other: Image) -> Float:
    """Largest difference of a channel nearby, levels, float32 (H, W)."""
    largest = cv2.absdiff(one, other).max(axis=2)
    doubt: Float = cv2.dilate(largest, np.ones((3, 3), np.uint8)).astype(np.float32)
    return doubt


def _box(reference: Image, edited: Image, transform: Transform) -> tuple[float, float, float, float] | None:
    """The crop that was resized: left, top, right, bottom, pixels of the reference. None for no crop."""
    if is_whole(transform) or max(abs(transform[0, 1]), abs(transform[1, 0])) > STRAIGHT:
        return None
    ends: list[tuple[float, float]] = []
    for axis in (0, 1):
        scale, length = float(transform[axis, axis]), edited.shape[1 - axis]
        if scale <= 0:
            return None
        first = -(float(transform[axis, 2]) - (scale - 1) / 2) / scale
        first, last = (
            float(round(at)) if abs(at - round(at)) <= NEAR_PX else at
            for at in (first, first + length / scale)
        )
        if first < 0 or last > reference.shape[1 - axis]:
            return None
        ends.append((first, last))
    (x0, x1), (y0, y1) = ends
    return x0, y0, x1, y1


def _difference(image: Image, edited: Image, inside: Bool) -> float:
    """Mean capped difference in detail, levels. A tone makes none."""
    left = np.subtract(edited, image, dtype=np.float32)
    left -= cv2.blur(left, (DETAIL_PX, DETAIL_PX))
    return float(np.minimum(np.abs(left), CUT)[inside].mean())
