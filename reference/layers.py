"""An edit as the 8-bit planes the compositor warps: premultiplied change, and picture with cover."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from correspondence.types import Float, Image
from reference.edits import Edit

BIAS = 128

Maps = tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16]]  # (h, w, 2) whole pixels, (h, w) between them


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """Planes of one edit in one mode; 8 bits, because OpenCV's fixed-point remap is fastest there.

    Attributes:
        change: what is added, times mask and share of delta, uint8 (H, W, 3) around 128 where every
            difference fits into 8 bits with its sign; None where there is none or it does not fit.
        gain_part, loss_part: the same as two uint8 planes (H, W, 3) where it does not fit.
        paint: the edited picture with mask times cover as fourth channel, uint8 (H, W, 4); None where
            nothing is replaced.
        touched: 1 where anything is added or taken, and where anything is replaced, float32 (H, W, 2).
    """

    change: Image | None
    gain_part: Image | None
    loss_part: Image | None
    paint: npt.NDArray[np.uint8] | None
    touched: Float


def make_layers(edit: Edit, soft: Float | None = None, rigid: Float | None = None) -> Layers:
    """The planes of an edit in its mode.

    Args:
        edit: whose.
        soft: cover of what hides the skin, float32 (H, W) in [0, 1]: replaced where it is.
        rigid: cover of what is laid over apart from these planes, float32 (H, W) in [0, 1].
    """
    mask = edit.mask if rigid is None else edit.mask * (1 - _near(rigid))
    painted = mask * (edit.cover if soft is None else np.maximum(edit.cover, soft))
    # The paint goes over the change: what it leaves to see of the change must add up to the whole edit.
    delta_share = (mask - painted) / np.maximum(1 - painted, np.float32(1e-3))
    difference = np.rint(edit.delta * delta_share[..., None]).astype(np.int16)
    change = gain_part = loss_part = None
    if difference.any():
        if difference.min() >= -BIAS and difference.max() < BIAS:
            change = (difference + BIAS).astype(np.uint8)
        else:
            gain_part = np.maximum(difference, 0).astype(np.uint8)
            loss_part = np.maximum(-difference, 0).astype(np.uint8)
    cover = np.rint(painted * 255).astype(np.uint8)
    paint = np.dstack([edit.edited, cover]) if cover.any() else None
    touched = np.dstack([difference.any(axis=2), cover > 0]).astype(np.float32)
    return Layers(change, gain_part, loss_part, paint, touched)


def _near(rigid: Float) -> Float:
    """1 on a rigid object and its rim, softly 0 beyond: its outline must not be carried a second time."""
    near = cv2.dilate((rigid > 0.02).astype(np.float32), np.ones((5, 5), np.uint8))
    return np.asarray(np.maximum(cv2.blur(near, (3, 3)), rigid), np.float32)


def fixed_maps(places: Float) -> Maps:
    """Places float32 (h, w, 2) in fixed point, 1/32 pixel: what OpenCV's remap uses inside, made once."""
    at, between = cv2.convertMaps(places, None, cv2.CV_16SC2)
    return np.asarray(at, np.int16), np.asarray(between, np.uint16)


def warp(picture: npt.NDArray[np.uint8], maps: Maps, border: int = 0) -> npt.NDArray[np.uint8]:
    """A picture uint8 (H, W, C) at the places of `fixed_maps`, `border` outside; uint8 (h, w, C)."""
    value = (border, border, border, border)
    warped = cv2.remap(picture, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=value)
    return np.asarray(warped, np.uint8)


def warp_change(layers: Layers, maps: Maps) -> tuple[Image, Image]:
    """What is to be added to and taken from a window of the frame, uint8 (h, w, 3) each.

    Args:
        maps: where in the reference each pixel of the window is seen, of `fixed_maps`.
    """
    if layers.change is not None:
        warped = warp(layers.change, maps, BIAS)
        middle = np.full_like(warped, BIAS)
        return cv2.subtract(warped, middle), cv2.subtract(middle, warped)  # both saturate at 0
    assert layers.gain_part is not None
    assert layers.loss_part is not None
    return warp(layers.gain_part, maps), warp(layers.loss_part, maps)
