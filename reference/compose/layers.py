"""An edit as the 8-bit planes the compositor warps: premultiplied change, and picture with cover."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Box, Float, Image
from reference.edits.edit import Edit

BIAS = 128
FADED = 2.5  # standard deviations at which a blur has faded
LEAST_VARIANCE = 0.01  # variance of a blur that changes nothing, pixels squared
RIM = 3  # pixels around a gap from which the planes go on over it

_Plane = npt.NDArray[np.uint8]
Maps = tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16]]  # (h, w, 2) whole pixels, (h, w) between them


@dataclass(frozen=True, slots=True)
class Softness:
    """How soft an edit must become to be as soft as a frame: standard deviations of a blur.

    Attributes:
        x, y: along the reference's axes, pixels of the reference.
        reach: how far an edit so blurred reaches beyond its own rim, pixels of the frame.
    """

    x: float
    y: float
    reach: float

    @property
    def most(self) -> float:
        """How far it reaches in the reference, pixels of the reference."""
        return FADED * max(self.x, self.y)

    def apply(self, plane: _Plane) -> _Plane:
        """A plane uint8 (H, W) or (H, W, C), so blurred; on a coarser grid where that loses nothing."""
        height, width = plane.shape[:2]
        steps = [_step(self.x), _step(self.y)]
        small = (max(1, round(width / steps[0])), max(1, round(height / steps[1])))
        if small != (width, height):
            plane = cv2.resize(plane, small, interpolation=cv2.INTER_AREA)
        sigmas = [  # less what shrinking and enlarging blur themselves
            np.sqrt(max(sigma**2 - (step**2 - 1) / 4, LEAST_VARIANCE)) / step
            for sigma, step in zip((self.x, self.y), steps, strict=True)
        ]
        soft = cv2.GaussianBlur(plane, (0, 0), sigmas[0], sigmaY=sigmas[1])
        if small != (width, height):
            soft = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(soft, np.uint8)


def _step(sigma: float) -> int:
    """Pixels of the coarsest grid that holds what a blur leaves."""
    return 4 if sigma >= 5 else 2 if sigma >= 2.5 else 1


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
        box: around what is touched, (x0, y0, x1, y1), pixels; empty where nothing is.
    """

    change: Image | None
    gain_part: Image | None
    loss_part: Image | None
    paint: _Plane | None
    touched: Float
    box: Box


def make_layers(
    edit: Edit, soft: Float | None = None, rigid: Float | None = None, gap: Image | None = None
) -> Layers:
    """The planes of an edit in its mode.

    Args:
        edit: whose.
        soft: cover of what hides the skin, float32 (H, W) in [0, 1]: replaced where it is.
        rigid: cover of what is laid over apart from these planes, float32 (H, W) in [0, 1].
        gap: where what lies around is continued, uint8 (H, W), 255 there, see `gap_between_lips`.
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
    made = Layers(change, gain_part, loss_part, paint, touched, _around(touched))
    return made if gap is None else _bridged(made, gap)


def _bridged(layers: Layers, gap: Image) -> Layers:
    """Planes that go on over a gap, uint8 (H, W), 255 there, as they are around it."""
    x, y, w, h = cv2.boundingRect(gap)
    cut = np.s_[max(0, y - RIM) : y + h + RIM, max(0, x - RIM) : x + w + RIM]
    hole = np.ascontiguousarray(gap[cut])

    def go_on(plane: _Plane) -> _Plane:
        out = plane.copy()
        kinds = (np.s_[..., :3], np.s_[..., 3])[: plane.shape[2] - 2]  # cv2 continues one or three channels
        for kind in kinds:
            around = np.ascontiguousarray(plane[cut][kind])
            out[cut][kind] = cv2.inpaint(around, hole, RIM, cv2.INPAINT_TELEA)
        return out

    beside = layers.touched[cut].any(axis=(0, 1))  # which kinds of plane there is anything of
    touched = np.maximum(layers.touched, (gap[..., None] > 0) & beside)
    return _each(layers, go_on, touched, _around(touched))


def _around(touched: Float) -> Box:
    x, y, w, h = cv2.boundingRect(touched.any(axis=2).astype(np.uint8))
    return x, y, x + w, y + h


def _each(layers: Layers, make: Callable[[_Plane], _Plane], touched: Float, box: Box) -> Layers:
    """Each plane that there is, made anew."""
    change, gain_part, loss_part, paint = (
        None if plane is None else make(plane)
        for plane in (layers.change, layers.gain_part, layers.loss_part, layers.paint)
    )
    return Layers(change, gain_part, loss_part, paint, touched, box)


def _near(rigid: Float) -> Float:
    """1 on a rigid object and its rim, softly 0 beyond: its outline must not be carried a second time."""
    near = cv2.dilate((rigid > 0.02).astype(np.float32), np.ones((5, 5), np.uint8))
    return np.asarray(np.maximum(cv2.blur(near, (3, 3)), rigid), np.float32)


def fixed_maps(places: Float) -> Maps:
    """Places float32 (h, w, 2) in fixed point, 1/32 pixel: what OpenCV's remap uses inside, made once."""
    at, between = cv2.convertMaps(places, None, cv2.CV_16SC2)
    return np.asarray(at, np.int16), np.asarray(between, np.uint16)


def warp(picture: _Plane, maps: Maps, border: int = 0) -> _Plane:
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


def soften(layers: Layers, softness: Softness) -> Layers:
    """The planes blurred, `touched` left as it is."""
    margin = int(np.ceil(softness.most)) + 1
    x0, y0, x1, y1 = layers.box
    cut = np.s_[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin]

    def softer(plane: _Plane) -> _Plane:
        out = plane.copy()
        out[cut] = softness.apply(plane[cut]) if plane.shape[2] == 3 else soft_paint(plane[cut], softness)
        return out

    return _each(layers, softer, layers.touched, layers.box)


def soft_paint(paint: _Plane, softness: Softness) -> _Plane:
    """Colour and cover uint8 (h, w, 4), blurred so that no colour comes in from beside the paint."""
    colour, cover = paint[..., :3], cv2.extractChannel(paint, 3)
    laid = cv2.multiply(colour, cv2.merge([cover, cover, cover]), scale=1 / 255)
    soft = softness.apply(cover)
    mixed = cv2.divide(softness.apply(laid), cv2.merge([soft, soft, soft]), scale=255)
    return np.dstack([mixed, soft])
