"""The 8-bit planes of an edit that the compositor warps: premultiplied change, and picture with cover."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Box, Float, Image
from reference.compose.whole.lines import in_look
from reference.edits.colour_model import DIRECT_PX, ColourModel
from reference.edits.edit import Edit

BIAS = 128  # level that stands for no change
FADED = 2.5  # reach of a blur, in its standard deviations
LEAST_VARIANCE = 0.01  # variance of a blur that changes nothing, pixels squared
RIM = 3  # rim of a gap from which the planes are continued into it, pixels

_Plane = npt.NDArray[np.uint8]
Rectangle = tuple[slice, slice]  # rows, columns


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """Places in the reference of a window's pixels, in the fixed-point form of OpenCV's remap.

    Attributes:
        at: whole pixels, int16 (h, w, 2).
        between: 1/32 pixels between them, uint16 (h, w).
    """

    at: npt.NDArray[np.int16]
    between: npt.NDArray[np.uint16]

    def part(self, part: Rectangle) -> Maps:
        """Returns the places of a part of the window."""
        return Maps(self.at[part], self.between[part])

    def read(self, picture: _Plane, border: int) -> _Plane:
        """Reads a picture, see `warp`."""
        value = (border, border, border, border)
        how = cv2.INTER_LINEAR
        warped = cv2.remap(
            picture, self.at, self.between, how, borderMode=cv2.BORDER_CONSTANT, borderValue=value
        )
        return np.asarray(warped, np.uint8)


@dataclass(frozen=True, slots=True)
class Unmoved:
    """Places in the reference of a window whose pixels all lie where the reference shows them.

    Attributes:
        rows, columns: the window, pixels of the reference.
    """

    rows: slice
    columns: slice

    def part(self, part: Rectangle) -> Unmoved:
        """Returns the places of a part of the window."""
        y, x = part
        top, left = self.rows.start, self.columns.start
        return Unmoved(slice(top + y.start, top + y.stop), slice(left + x.start, left + x.stop))

    def read(self, picture: _Plane, border: int) -> _Plane:
        """Reads a picture, see `warp`: a copy of its part, since the window lies inside."""
        return picture[self.rows, self.columns].copy()


@dataclass(frozen=True, slots=True)
class Softness:
    """The blur that makes an edit as soft as a frame.

    Attributes:
        x, y: standard deviations along the reference's axes, pixels of the reference.
        reach: distance that the blurred edit reaches beyond its own rim, pixels of the frame.
    """

    x: float
    y: float
    reach: float

    @property
    def most(self) -> float:
        """Reach of the blur, pixels of the reference."""
        return FADED * max(self.x, self.y)

    def apply(self, plane: _Plane) -> _Plane:
        """Blurs a plane, uint8 (H, W) or (H, W, C), on a coarser grid where that loses nothing."""
        height, width = plane.shape[:2]
        steps = [_step(self.x), _step(self.y)]
        small = (max(1, round(width / steps[0])), max(1, round(height / steps[1])))
        if small != (width, height):
            plane = cv2.resize(plane, small, interpolation=cv2.INTER_AREA)
        sigmas = [  # reduced by the blur of shrinking and enlarging
            np.sqrt(max(sigma**2 - (step**2 - 1) / 4, LEAST_VARIANCE)) / step
            for sigma, step in zip((self.x, self.y), steps, strict=True)
        ]
        soft = cv2.GaussianBlur(plane, (0, 0), sigmas[0], sigmaY=sigmas[1])
        if small != (width, height):
            soft = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(soft, np.uint8)


def _step(sigma: float) -> int:
    """Cell of the coarsest grid that holds a plane blurred by `sigma`, pixels."""
    return 4 if sigma >= 5 else 2 if sigma >= 2.5 else 1


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """The planes of one edit in one mode. They have 8 bits, where OpenCV's fixed-point remap is fastest.

    Attributes:
        change: the difference times mask and share of delta, uint8 (H, W, 3) around 128; None if there is no
            difference or it does not fit into 8 bits with its sign.
        gain_part, loss_part: the positive and the negative part of a difference that does not fit, uint8
            (H, W, 3) each; None otherwise.
        paint: the edited picture with mask times cover as fourth channel, uint8 (H, W, 4); None if nothing is
            replaced.
        touched: float32 (H, W, 2): 1 where something is added or subtracted, and 1 where something is
            replaced.
        box: around the touched pixels, (x0, y0, x1, y1), pixels; empty if there are none.
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
    """Makes the planes of an edit in its mode.

    Args:
        edit: the edit.
        soft: cover of soft objects, float32 (H, W) in [0, 1]; they replace the frame's pixels.
        rigid: cover of rigid objects, float32 (H, W) in [0, 1]; they are left out, because they are laid over
            separately.
        gap: area over which the surrounding planes are continued, uint8 (H, W), 255 there, see
            `gap_between_lips`.
    """
    mask = edit.mask if rigid is None else edit.mask * (1 - _near(rigid))
    painted = mask * (edit.cover if soft is None else np.maximum(edit.cover, soft))
    # The paint is laid over the change. The part of the change that stays visible must complete the edit.
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


def above(edit: Edit) -> Edit:
    """The part of a look of the whole picture that its colours do not explain: lines, brush, grain.

    It is the edit of the reference in the look's colours, to be added to a frame in the look's colours.
    """
    large = edit.reference.shape[0] * edit.reference.shape[1] > DIRECT_PX
    toned = in_look(edit, edit.reference, large=large)
    rest = Edit(toned, edit.edited, "delta", edit.strength, part=True)
    rest.__dict__["mask"] = np.ones(toned.shape[:2], np.float32)
    return rest


@dataclass(frozen=True, slots=True, eq=False)
class Coloured:
    """A whole frame in a look's colours, so that the halves of a split look share one.

    Attributes:
        model: the colours.
        image: uint8 (H, W, 3).
    """

    model: ColourModel
    image: Image

    @classmethod
    def of(cls, edit: Edit, frame: Image) -> Coloured | None:
        """Maps a frame, uint8 (H, W, 3), to an edit's colours; None for an edit without a stand-in."""
        model = edit.stand_in
        if model is None:
            return None
        return cls(model, in_look(edit, frame, large=frame.shape[0] * frame.shape[1] > DIRECT_PX))


def in_colours(edit: Edit, frame: Image, box: Box, unknown: Float, known: Coloured | None = None) -> Image:
    """A part of a frame in a look's colours, painted where no place is known if the edit has a painter.

    Args:
        edit: an edit with a stand-in.
        frame: uint8 (H, W, 3).
        box: the part, (x0, y0, x1, y1), pixels.
        unknown: share of each place that is not known, float32 of any size over the part, [0, 1].
        known: the frame in a look's colours, which is used if these are the edit's.

    Returns:
        uint8 (y1 - y0, x1 - x0, 3). It may be a view of `known`, so it must not be written to.
    """
    assert edit.stand_in is not None
    x0, y0, x1, y1 = box
    live, size = frame[y0:y1, x0:x1], (frame.shape[0], frame.shape[1])
    if known is not None and known.model is edit.stand_in:
        toned = known.image[y0:y1, x0:x1]
    else:
        toned = in_look(edit, live, large=size[0] * size[1] > DIRECT_PX)
    return toned if edit.painter is None else edit.painter(live, toned, unknown, size)


def _bridged(layers: Layers, gap: Image) -> Layers:
    """Continues the planes over a gap, uint8 (H, W), 255 there, from its surroundings."""
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

    beside = layers.touched[cut].any(axis=(0, 1))  # which kinds of planes have content there
    touched = np.maximum(layers.touched, (gap[..., None] > 0) & beside)
    return _each(layers, go_on, touched, _around(touched))


def _around(touched: Float) -> Box:
    x, y, w, h = cv2.boundingRect(touched.any(axis=2).astype(np.uint8))
    return x, y, x + w, y + h


def _each(layers: Layers, make: Callable[[_Plane], _Plane], touched: Float, box: Box) -> Layers:
    """Applies `make` to each plane that is not None."""
    change, gain_part, loss_part, paint = (
        None if plane is None else make(plane)
        for plane in (layers.change, layers.gain_part, layers.loss_part, layers.paint)
    )
    return Layers(change, gain_part, loss_part, paint, touched, box)


def _near(rigid: Float) -> Float:
    """1 on a rigid object and its rim, falling softly to 0 beyond.

    It keeps the object's outline out of the other planes.
    """
    near = cv2.dilate((rigid > 0.02).astype(np.float32), np.ones((5, 5), np.uint8))
    return np.asarray(np.maximum(cv2.blur(near, (3, 3)), rigid), np.float32)


def fixed_maps(places: Float) -> Maps:
    """Converts places, float32 (h, w, 2), to fixed point, in 1/32 pixel."""
    at, between = cv2.convertMaps(places, None, cv2.CV_16SC2)
    return Maps(np.asarray(at, np.int16), np.asarray(between, np.uint16))


def warp(picture: _Plane, maps: Maps | Unmoved, border: int = 0) -> _Plane:
    """Reads a picture, uint8 (H, W, C), at given places; `border` outside; uint8 (h, w, C)."""
    return maps.read(picture, border)


def warp_change(layers: Layers, maps: Maps | Unmoved) -> tuple[Image, Image]:
    """Warps the change to a window of the frame.

    Args:
        layers: the planes of the edit.
        maps: places of the window's pixels in the reference.

    Returns:
        The values to add and the values to subtract, uint8 (h, w, 3) each.
    """
    if layers.change is not None:
        warped = warp(layers.change, maps, BIAS)
        middle = np.full_like(warped, BIAS)
        return cv2.subtract(warped, middle), cv2.subtract(middle, warped)  # both saturate at 0
    assert layers.gain_part is not None
    assert layers.loss_part is not None
    return warp(layers.gain_part, maps), warp(layers.loss_part, maps)


def soften(layers: Layers, softness: Softness) -> Layers:
    """Blurs the planes; `touched` and `box` stay as they are."""
    margin = int(np.ceil(softness.most)) + 1
    x0, y0, x1, y1 = layers.box
    cut = np.s_[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin]

    def softer(plane: _Plane) -> _Plane:
        out = plane.copy()
        out[cut] = softness.apply(plane[cut]) if plane.shape[2] == 3 else soft_paint(plane[cut], softness)
        return out

    return _each(layers, softer, layers.touched, layers.box)


def soft_paint(paint: _Plane, softness: Softness) -> _Plane:
    """Blurs colour and cover, uint8 (h, w, 4), so that no colour from beside the paint comes in."""
    colour, cover = paint[..., :3], cv2.extractChannel(paint, 3)
    laid = cv2.multiply(colour, cv2.merge([cover, cover, cover]), scale=1 / 255)
    soft = softness.apply(cover)
    mixed = cv2.divide(softness.apply(laid), cv2.merge([soft, soft, soft]), scale=255)
    return np.dstack([mixed, soft])
