"""DIS optical flow between grid crops, its rough inverse, and how well a field explains a picture."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from correspondence.geometry.grid import Float, pixel_grid

Gray = npt.NDArray[np.uint8]

SMALLEST_SIDE = 32  # of pictures given to `dis_flow`: DIS needs a few patches on each scale
_local = threading.local()  # DIS objects keep buffers: one set a thread


def dis_flow(
    source: Gray, target: Gray, start: Float | None = None, fine: bool = True, smooth: int = 0
) -> Float:
    """DIS optical flow (Kroeger et al., ECCV 2016): source(x) is seen at target(x + flow(x)).

    Args:
        source: uint8 (H, W), sides at least SMALLEST_SIDE.
        target: uint8 (H, W).
        start: float32 (H, W, 2), a first guess in pixels that the coarsest scale starts from.
        fine: down to half resolution; else to a quarter, for coarse grids.
        smooth: iterations of variational refinement on each scale.

    Returns:
        float32 (H, W, 2), pixels.

    Raises:
        ValueError: sizes that differ or are too small.
    """
    if source.shape != target.shape or min(source.shape) < SMALLEST_SIDE:
        raise ValueError(
            f"flow needs two pictures of one size, sides at least {SMALLEST_SIDE}, "
            f"got {source.shape} and {target.shape}"
        )
    return _flow(source, target, start, _quick_dis, fine, smooth)


def medium_flow(source: Gray, target: Gray, start: Float | None = None, full: bool = False) -> Float:
    """DIS optical flow of OpenCV's MEDIUM preset, for files; see `dis_flow`.

    At 512 x 512 it takes 26 ms of one core, and three times that with `full`: down to the pictures' own
    resolution in place of half of it.
    """
    return _flow(source, target, start, _medium_dis, full)


def _flow(
    source: Gray, target: Gray, start: Float | None, make: Callable[..., Any], *settings: object
) -> Float:
    """Flow of this thread's DIS object of some make and settings.

    Calls with a first guess have an object of their own: OpenCV keeps the guess and starts later calls
    without one from it as well (10 pixels off at one size, outside the buffer at a larger one).
    """
    kinds: dict[Any, Any] | None = getattr(_local, "kinds", None)
    if kinds is None:
        kinds = _local.kinds = {}
    key = make, settings, start is not None
    if key not in kinds:
        kinds[key] = make(*settings)
    guess = None if start is None else start.copy()  # DIS writes into it
    return np.asarray(kinds[key].calc(source, target, guess), np.float32)


def _medium_dis(full: bool) -> Any:
    made = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    if full:
        made.setFinestScale(0)
    return made


def _quick_dis(fine: bool, smooth: int) -> Any:
    """A DIS object with settings measured on portrait clips.

    Patches 4 apart and down to half resolution cost 2.5 ms at 256 x 256 (one core) without variational
    refinement, 1.2 ms more with two iterations of it and 1.9 ms with five; on known motions of the whole
    scene the error falls from 5.3 to 4.5 and 4.2 pixels (the MEDIUM preset: 6.0 ms, 4.2 pixels).
    """
    made = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    made.setFinestScale(1 if fine else 2)
    made.setPatchStride(4)
    made.setGradientDescentIterations(12)
    made.setVariationalRefinementIterations(smooth)
    return made


def rough_inverse(field: Float, step: int = 4) -> Float:
    """About the inverse of a field: where the target's cells come from, by splatting every `step`-th cell.

    Good to a cell or two where the field is smooth: a first guess for `dis_flow`, no more.

    Args:
        field: float32 (N, N, 2), cells.
        step: N must be a multiple of it.

    Returns:
        float32 (N, N, 2): inverse(x + field(x)) is about -field(x).
    """
    size = field.shape[0]
    n = size // step
    sampled = cv2.resize(field, (n, n), interpolation=cv2.INTER_AREA)
    at = pixel_grid(n, n) + sampled * np.float32(1 / step)
    cells = np.clip(np.rint(at).astype(np.int32), 0, n - 1)
    flat = (cells[..., 1] * n + cells[..., 0]).ravel()
    known = np.empty((n, n, 3), np.float32)
    known[..., 2] = np.bincount(flat, minlength=n * n).reshape(n, n)
    for axis in range(2):
        total = np.bincount(flat, weights=-sampled[..., axis].ravel(), minlength=n * n)
        known[..., axis] = total.reshape(n, n)
    spread = cv2.blur(known, (3, 3)) + 0.01 * cv2.blur(known, (15, 15))
    spread[..., 2] += 1e-6
    coarse = spread[..., :2] / spread[..., 2:]
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)


_WINDOW = 15  # cells over which `appearance` takes the local mean
_WEIGHTS = np.array([[0.6, 0.4, 0.7, 0.7]], np.float32)  # of its channels in a difference


def appearance(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """What is compared when a field is judged: luma without its local mean, luma, two chroma channels.

    The first is blind to slow changes of light, the others tell hair, skin and cloth apart.

    Args:
        image: RGB uint8 (H, W, 3).

    Returns:
        uint8 (H, W, 4).
    """
    colour = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
    luma = np.asarray(cv2.extractChannel(colour, 0), np.uint8)
    return np.asarray(cv2.merge([detail(luma), *cv2.split(colour)]), np.uint8)


def detail(gray: Gray) -> Gray:
    """Luma without its local mean, 128 for none: uint8 (H, W); blind to slow changes of light."""
    mean = cv2.blur(gray, (_WINDOW, _WINDOW))
    return np.asarray(cv2.addWeighted(gray, 1.0, mean, -1.0, 128.0), np.uint8)


def contrast(look: npt.NDArray[np.uint8]) -> Float:
    """Local mean contrast of a picture, from its `appearance`: float32 (H, W), gray levels."""
    away = cv2.absdiff(cv2.extractChannel(look, 0), np.full(look.shape[:2], 128, np.uint8))
    return np.asarray(cv2.blur(away, (5, 5)), np.float32)


def unlike(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> Float:
    """Weighted difference of two appearances: float32 (H, W), gray levels."""
    return np.asarray(cv2.transform(cv2.absdiff(a, b).astype(np.float32), _WEIGHTS), np.float32)


def sample(image: npt.NDArray[np.uint8], at: Float) -> npt.NDArray[np.uint8]:
    """`image` at the positions `at` (float32 (H, W, 2), cells), bilinear, border repeated."""
    out = cv2.remap(image, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.uint8)
