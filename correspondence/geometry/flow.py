"""DIS optical flow between grid crops, a rough inverse of a field, and measures of a field's fit."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from correspondence.geometry.grid import Float, pixel_grid

Gray = npt.NDArray[np.uint8]

SMALLEST_SIDE = 32  # of pictures given to `dis_flow`: DIS needs a few patches on each scale
SMOOTH = 2  # iterations of variational refinement of a flow that starts from the landmarks
KEPT = 12  # DIS objects a thread keeps, the last used ones
_local = threading.local()  # DIS objects keep buffers, so each thread has its own set


def dis_flow(
    source: Gray, target: Gray, start: Float | None = None, fine: bool = True, smooth: int = 0
) -> Float:
    """Compute DIS optical flow (Kroeger et al., ECCV 2016): source(x) is seen at target(x + flow(x)).

    Args:
        source: uint8 (H, W), with sides of at least SMALLEST_SIDE.
        target: uint8 (H, W).
        start: a first guess for the coarsest scale, float32 (H, W, 2), pixels.
        fine: True computes down to half resolution; False to a quarter, for coarse grids.
        smooth: iterations of variational refinement on each scale.

    Returns:
        The flow, float32 (H, W, 2), pixels.

    Raises:
        ValueError: the sizes differ or are too small.
    """
    if source.shape != target.shape or min(source.shape) < SMALLEST_SIDE:
        raise ValueError(
            f"flow needs two pictures of one size, sides at least {SMALLEST_SIDE}, "
            f"got {source.shape} and {target.shape}"
        )
    return _flow(source, target, start, _quick_dis, 1 if fine else 2, smooth)


def full_flow(source: Gray, target: Gray, start: Float) -> Float:
    """Compute DIS optical flow down to full resolution, from a first guess; see `dis_flow`.

    A pass over the finest scale alone follows `dis_flow`. At 152 x 152 both take 1.9 ms of one core, and 3.0
    if every scale had the settings of `dis_flow`, for the same error.
    """
    return _flow(source, target, dis_flow(source, target, start, smooth=SMOOTH), _finest_dis)


def medium_flow(source: Gray, target: Gray, start: Float | None = None, full: bool = False) -> Float:
    """Compute DIS optical flow with OpenCV's MEDIUM preset, for files; see `dis_flow`.

    It computes down to half resolution, or to full resolution if `full` is set. At 512 x 512 it takes 26 ms
    of one core, and three times that with `full`.
    """
    return _flow(source, target, start, _medium_dis, full)


def _flow(
    source: Gray, target: Gray, start: Float | None, make: Callable[..., Any], *settings: object
) -> Float:
    """Compute flow with this thread's DIS object for the given constructor, settings and size.

    Calls with a first guess use an object of their own. OpenCV keeps the guess and also starts later calls
    without a guess from it (10 pixels off at one size, outside the buffer at a larger one). Each size has an
    object of its own, too: after a larger picture the result was up to a pixel off in places.
    """
    kinds: OrderedDict[Any, Any] | None = getattr(_local, "kinds", None)
    if kinds is None:
        kinds = _local.kinds = OrderedDict()
    key = make, settings, start is not None, source.shape
    if key not in kinds:
        kinds[key] = make(*settings)
        if len(kinds) > KEPT:
            kinds.popitem(last=False)
    kinds.move_to_end(key)
    guess = None if start is None else start.copy()  # DIS writes into it
    return np.asarray(kinds[key].calc(source, target, guess), np.float32)


def _medium_dis(full: bool) -> Any:
    made = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    if full:
        made.setFinestScale(0)
    return made


def _quick_dis(finest: int, smooth: int) -> Any:
    """Create a DIS object with settings that were measured on portrait clips.

    With patches 4 pixels apart and down to half resolution, it costs 2.5 ms at 256 x 256 (one core) without
    variational refinement. Two iterations of refinement cost 1.2 ms more, five cost 1.9 ms more. On known
    motions of the whole scene the error falls from 5.3 to 4.5 and 4.2 pixels. The MEDIUM preset needs
    6.0 ms for 4.2 pixels.
    """
    made = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    made.setFinestScale(finest)
    made.setPatchStride(4)
    made.setGradientDescentIterations(12)
    made.setVariationalRefinementIterations(smooth)
    return made


def _finest_dis() -> Any:
    """Create a DIS object that refines a guess on the finest scale only."""
    made = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    made.setFinestScale(0)
    made.setCoarsestScale(0)
    made.setPatchStride(6)
    made.setGradientDescentIterations(4)
    made.setVariationalRefinementIterations(0)
    return made


def rough_inverse(field: Float, step: int = 4) -> Float:
    """Approximate the inverse of a field by splatting every `step`-th cell.

    The result is accurate to a cell or two where the field is smooth. It serves as a first guess for
    `dis_flow`.

    Args:
        field: float32 (H, W, 2), cells.
        step: distance of the splatted cells. H and W must be multiples of it.

    Returns:
        The inverse, float32 (H, W, 2), cells: inverse(x + field(x)) is about -field(x).
    """
    h, w = field.shape[0] // step, field.shape[1] // step
    sampled = cv2.resize(field, (w, h), interpolation=cv2.INTER_AREA)
    at = pixel_grid(h, w) + sampled * np.float32(1 / step)
    cells = np.clip(np.rint(at).astype(np.int32), 0, (w - 1, h - 1))
    flat = (cells[..., 1] * w + cells[..., 0]).ravel()
    known = np.empty((h, w, 3), np.float32)
    known[..., 2] = np.bincount(flat, minlength=h * w).reshape(h, w)
    for axis in range(2):
        total = np.bincount(flat, weights=-sampled[..., axis].ravel(), minlength=h * w)
        known[..., axis] = total.reshape(h, w)
    spread = cv2.blur(known, (3, 3)) + 0.01 * cv2.blur(known, (15, 15))
    spread[..., 2] += 1e-6
    coarse = spread[..., :2] / spread[..., 2:]
    size = (field.shape[1], field.shape[0])
    return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR), np.float32)


_WINDOW = 15  # cells over which `appearance` takes the local mean
_DETAIL, _LUMA, _CHROMA = 0.6, 0.4, 0.7  # weights of its channels in `unlike`


def appearance(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Compute the channels that are compared when a field is judged.

    The channels are luma without its local mean, luma, and two chroma channels. The first does not respond
    to slow changes of light. The others tell hair, skin and cloth apart.

    Args:
        image: RGB uint8 (H, W, 3).

    Returns:
        uint8 (H, W, 4).
    """
    colour = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
    luma = np.asarray(cv2.extractChannel(colour, 0), np.uint8)
    return np.asarray(cv2.merge([detail(luma), *cv2.split(colour)]), np.uint8)


def detail(gray: Gray) -> Gray:
    """Subtract the local mean from luma, uint8 (H, W). A difference of 0 is stored as 128."""
    mean = cv2.blur(gray, (_WINDOW, _WINDOW))
    return np.asarray(cv2.addWeighted(gray, 1.0, mean, -1.0, 128.0), np.uint8)


def contrast(look: npt.NDArray[np.uint8]) -> Float:
    """Compute the local mean contrast from a picture's `appearance`: float32 (H, W), gray levels."""
    away = cv2.absdiff(cv2.extractChannel(look, 0), np.full(look.shape[:2], 128, np.uint8))
    return np.asarray(cv2.blur(away, (5, 5)), np.float32)


def unlike(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> Float:
    """Compute the weighted difference of two results of `appearance`: float32 (H, W), gray levels."""
    return weighted(cv2.absdiff(a, b))


def weighted(difference: npt.NDArray[np.uint8]) -> Float:
    """Weigh the channels of an absolute difference of results of `appearance`, uint8 (H, W, 4), as `unlike`.

    Sums of planes take a quarter of the time of OpenCV's `transform`.
    """
    fine, luma, red, blue = cv2.split(difference)
    bright = cv2.addWeighted(fine, _DETAIL, luma, _LUMA, 0, dtype=cv2.CV_32F)
    coloured = cv2.add(red, blue, dtype=cv2.CV_32F)
    return np.asarray(cv2.scaleAdd(coloured, _CHROMA, bright), np.float32)


def sample(image: npt.NDArray[np.uint8], at: Float) -> npt.NDArray[np.uint8]:
    """Sample `image` bilinearly at positions `at`, float32 (H, W, 2), cells. The border is repeated."""
    out = cv2.remap(image, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.uint8)
