"""Measures of a field and of a picture, as pure functions of arrays and FaceMesh's point lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Bool, Float, Image, Landmarks
from reference.face.parts import FACE_OVAL, INNER_LIPS, LEFT_EYE, OUTER_LIPS, RIGHT_EYE

FloatAny = npt.NDArray[np.floating[Any]]

GROUPS: dict[str, tuple[int, ...]] = {
    "all": tuple(range(468)),
    "lips": OUTER_LIPS + INNER_LIPS,
    "eyes": RIGHT_EYE + LEFT_EYE,
    "contour": FACE_OVAL,
}


def sample(field: Float, points: FloatAny) -> Float:
    """Sample `field` (H, W, C) bilinearly at `points` (N, 2), (x, y) in pixels, clamped to the border.

    Returns:
        float32 (N, C).
    """
    x = np.ascontiguousarray(points[:, 0], np.float32)[None]
    y = np.ascontiguousarray(points[:, 1], np.float32)[None]
    read = cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(read, np.float32).reshape(len(points), -1)


def landmark_errors(field: Float, frame: Landmarks, reference: Landmarks) -> Float:
    """Distance of each of the frame's 468 mesh points, carried by the field, from that of the reference.

    Args:
        field: float32 (H, W, 2), frame to reference, pixels.
        frame: landmarks of the frame; reference: of the reference.

    Returns:
        float32 (468,), pixels. NaN if the point lies outside the frame.
    """
    points = frame.points[:468, :2]
    moved = points + sample(field, points)
    errors = np.linalg.norm(moved - reference.points[:468, :2], axis=1).astype(np.float32)
    h, w = frame.image_size
    inside = (points >= 0).all(axis=1) & (points[:, 0] <= w - 1) & (points[:, 1] <= h - 1)
    errors[~inside] = np.nan
    return errors


def withhold(frame: Landmarks, reference: Landmarks, withheld: Bool, neighbours: int = 12) -> Landmarks:
    """Replace the `withheld` points of `frame` by estimates from the other points.

    An affine map is fitted to a withheld point's nearest given neighbours (nearest in the reference). It
    carries the point's place in the reference to its estimate, which contains nothing of the true position.

    Args:
        frame: landmarks of the frame; reference: of the reference.
        withheld: bool (478,), True for withheld points.
        neighbours: number of given points that the map is fitted to, at least 3.

    Returns:
        Landmarks of the frame's size.
    """
    given = np.flatnonzero(~withheld)
    points = frame.points.copy()
    source = reference.points.astype(np.float64)
    for i in np.flatnonzero(withheld):
        distance = np.linalg.norm(source[given, :2] - source[i, :2], axis=1)
        near = given[np.argsort(distance, kind="stable")[:neighbours]]
        basis = np.column_stack([source[near, :2], np.ones(len(near))])
        affine, *_ = np.linalg.lstsq(basis, frame.points[near].astype(np.float64), rcond=None)
        points[i] = np.append(source[i, :2], 1.0) @ affine
    return Landmarks(points.astype(np.float32), frame.image_size)


def polygon_iou(first: FloatAny, second: FloatAny, size: tuple[int, int]) -> float:
    """Intersection over union of two polygons (N, 2) drawn on `size` (H, W). 1 if both are empty."""
    masks = []
    for polygon in (first, second):
        mask = np.zeros(size, np.uint8)
        cv2.fillPoly(mask, [np.round(np.asarray(polygon) * 16).astype(np.int32)], 1, shift=4)
        masks.append(mask.astype(bool))
    union = np.count_nonzero(masks[0] | masks[1])
    return float(np.count_nonzero(masks[0] & masks[1]) / union) if union else 1.0


def part_iou(found: Landmarks, truth: Landmarks) -> dict[str, float]:
    """IoU of the outer lips and of the two eyes (their mean) between two sets of landmarks."""
    a, b, size = found.points[:, :2], truth.points[:, :2], truth.image_size
    eyes = [polygon_iou(a[list(part)], b[list(part)], size) for part in (RIGHT_EYE, LEFT_EYE)]
    lips = polygon_iou(a[list(OUTER_LIPS)], b[list(OUTER_LIPS)], size)
    return {"lips": lips, "eyes": float(np.mean(eyes))}


def psnr(a: Image, b: Image, mask: Bool | None = None) -> float:
    """Peak signal-to-noise ratio of uint8 pictures, dB, over `mask` (H, W) if given. inf if equal."""
    squared = (a.astype(np.float32) - b.astype(np.float32)) ** 2
    mse = float(squared.mean() if mask is None else squared[mask].mean())
    return float("inf") if mse == 0 else 10 * float(np.log10(255.0**2 / mse))


def ssim(a: Image, b: Image) -> float:
    """Structural similarity (Wang et al. 2004, Gaussian window, sigma 1.5) of uint8 RGB pictures."""
    from skimage.metrics import structural_similarity

    return float(
        structural_similarity(
            a, b, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )


def ause(error: FloatAny, uncertainty: FloatAny, steps: int = 50) -> float:
    """Area between the sparsification curve and the oracle's, over the mean error (Ilg et al. 2018).

    Args:
        error: (N,), at least 0. uncertainty: (N,), larger is less sure; any monotone scale.
        steps: removed shares: 0, 1 / steps, ...

    Returns:
        0 if uncertainty and error have the same order. About 0.5 or more if the uncertainty says nothing.
    """
    mean = float(error.mean())
    if mean == 0:
        return 0.0
    kept = np.maximum(1, np.round(len(error) * (1 - np.arange(steps) / steps)).astype(int))

    def curve(order: npt.NDArray[np.intp]) -> FloatAny:
        running: FloatAny = np.cumsum(error[order], dtype=np.float64)[kept - 1] / kept
        return running

    gap = curve(np.argsort(uncertainty, kind="stable")) - curve(np.argsort(error, kind="stable"))
    return float(gap.mean() / mean)


def auroc(score: FloatAny, positive: Bool) -> float:
    """Probability that a positive scores above a negative. Ties count half. NaN without both kinds."""
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((rank[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def coverage_error(error_xy: FloatAny, log_b: FloatAny) -> float:
    """Mean gap between nominal and observed coverage of the Laplace law that `log_b` claims.

    A component errs by at most -b ln(1 - p) with probability p; p runs over 0.1 ... 0.9.

    Args:
        error_xy: (N, 2), errors of the two components, pixels. log_b: (N,), log of the scale.
    """
    scaled = np.abs(error_xy) / np.exp(log_b)[:, None]
    levels = np.arange(1, 10) / 10
    return float(np.mean([abs(float((scaled <= -np.log1p(-p)).mean()) - p) for p in levels]))


def jitter(positions: FloatAny) -> float:
    """RMS of the high-pass motion x(t) - (x(t-1) + x(t+1)) / 2 of points (T, N, 2), pixels; NaN for T < 3."""
    if len(positions) < 3:
        return float("nan")
    high = positions[1:-1] - (positions[:-2] + positions[2:]) / 2
    return float(np.sqrt((high**2).sum(axis=-1).mean()))


def warp_error(pictures: Sequence[Image], frames: Sequence[Image]) -> float:
    """Difference of two neighbouring outputs after the earlier one is warped by the frames' own motion.

    It is 1e3 times the mean squared difference in [0, 1], over pixels whose DIS flow between the two *frames*
    returns to within 1 px. Qffusion prints a warp error without a definition, so compare ratios only.

    Args:
        pictures: outputs of t - 1 and t. frames: the live frames of t - 1 and t; all uint8, one size.
    """
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    before, after = (cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in frames)
    back, forth = flow.calc(after, before, None), flow.calc(before, after, None)
    h, w = after.shape
    y, x = np.mgrid[:h, :w].astype(np.float32)
    at = (x + back[..., 0], y + back[..., 1])
    cycle = back + cv2.remap(forth, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    seen = np.linalg.norm(cycle, axis=-1) < 1
    carried = cv2.remap(pictures[0], *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if not seen.any():
        return float("nan")
    return 1e3 * float((((carried.astype(np.float32) - pictures[1]) / 255)[seen] ** 2).mean())
