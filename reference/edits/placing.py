"""Finds where an edited picture lies on its reference: candidates are refined on unchanged pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Bool, Float, Image

Transform = npt.NDArray[np.float64]  # (2, 3), places of the reference -> places of the edited picture

SEARCH_SIDE = 900  # features are sought in pictures no longer than this
INLIERS_NEEDED = 12  # least number of features that must agree
CROP_SIDE = 256  # crops are first searched in pictures of this shorter side, pixels
PEAKS = 3  # number of places of a crop that are tried
LOCAL_PX = 7.0  # standard deviation of the average that is subtracted before luma is compared, pixels
CLEAR = 24.0  # luma difference from which a pixel disagrees fully, levels
SAMPLES = 40_000  # number of pixels on which a misfit is measured
DETAIL = 4.0  # luma detail from which a pixel is compared, levels
KEPT = 0.6  # share of the detail that an edit is expected to leave unchanged
GOOD = 0.12  # misfit below which no further candidate is tried
EXACT = 0.01  # misfit below which a place is not refined
HOPELESS = 0.4  # misfit after the coarsest step above which refinement stops
TURNED = 0.9  # a turn must reduce the misfit to less than this share
NEARER = 0.85  # a later candidate must reduce the misfit to less than this share
REFINE_SIDE = 512  # larger pictures are shrunk to this shorter side to be refined, pixels
STEPS = 8  # largest number of steps of the refinement at each size


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A place of the edited picture on its reference, and how badly it fits there.

    Attributes:
        transform: from places of the reference to places of the edited picture, float64 (2, 3).
        misfit: capped difference of luma detail, weighted by detail, over the best-fitting `KEPT` share of
            the detail, [0, 1]; 0 for equal pictures.
    """

    transform: Transform
    misfit: float


def find_place(reference: Image, edited: Image) -> Place | None:
    """Finds the best place of the edited picture on its reference.

    A crop is tried first, then a stretch, then matching features. Each candidate is refined, and moved to
    whole pixels if that fits as well.

    Args:
        reference, edited: RGB uint8 (H, W, 3), of any sizes.

    Returns:
        The place; None if none is plausible.
    """
    best: Place | None = None
    luma = _grey(reference), _grey(edited)
    for transform in _candidates(*luma):
        if best is not None and best.misfit < GOOD:
            break
        place = refined(*luma, transform)
        if plausible(place.transform) and (best is None or place.misfit < NEARER * best.misfit):
            best = place
    return best


def _candidates(reference: Image, edited: Image) -> Iterator[Transform]:
    """Yields places to start from, the simplest first. Both pictures are luma."""
    h, w = reference.shape[:2]
    eh, ew = edited.shape[:2]
    if eh <= h and ew <= w and (eh, ew) != (h, w):
        for x, y in _crops(reference, edited):
            yield np.array([[1, 0, -x], [0, 1, -y]], np.float64)
    elif eh >= h and ew >= w and (eh, ew) != (h, w):
        for x, y in _crops(edited, reference):
            yield np.array([[1, 0, x], [0, 1, y]], np.float64)
    yield stretch((h, w), (eh, ew))
    found = _by_features(reference, edited)
    if found is not None:
        yield found


def size_of(image: Image) -> tuple[int, int]:
    """Size (H, W) of a picture."""
    return image.shape[0], image.shape[1]


def stretch(size: tuple[int, int], to: tuple[int, int]) -> Transform:
    """The transform that resizes a whole picture of `size` (H, W) to size `to`."""
    sx, sy = to[1] / size[1], to[0] / size[0]
    return np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2]], np.float64)


def plausible(transform: Transform) -> bool:
    """Whether an editing tool may have made a transform: no mirror, no extreme shear, scale or turn."""
    scales = np.linalg.svd(transform[:, :2], compute_uv=False)
    turn = abs(float(np.degrees(np.arctan2(transform[1, 0], transform[0, 0]))))
    upright = float(np.linalg.det(transform[:, :2])) > 0
    return bool(upright and scales[1] > 0.1 and scales[0] < 10 and scales[0] < 2.2 * scales[1] and turn < 50)


def _crops(whole: Image, part: Image) -> list[tuple[int, int]]:
    """Top left corners (x, y) in `whole` at which `part` may have been cut out, pixels, best first."""
    shrink = max(1.0, min(part.shape[:2]) / CROP_SIDE)
    small = [_local(_resized_by(image, 1 / shrink)) for image in (whole, part)]
    if any(b > a for a, b in zip(small[0].shape, small[1].shape, strict=True)):
        return [(0, 0)]
    score = cv2.matchTemplate(small[0], small[1], cv2.TM_CCOEFF_NORMED)
    corners = []
    for _ in range(PEAKS):
        _, _, _, (x, y) = cv2.minMaxLoc(score)
        corners.append(_nearby(whole, part, x * shrink, y * shrink, shrink))
        score[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4] = -1
    return corners


def _nearby(whole: Image, part: Image, x: float, y: float, reach: float) -> tuple[int, int]:
    """The whole-pixel corner near (x, y) at which the luma agrees best."""
    r = int(np.ceil(reach)) + 2
    h, w = part.shape[:2]
    x0, y0 = (
        int(np.clip(round(v) - r, 0, max(0, side - size)))
        for v, side, size in ((x, whole.shape[1], w), (y, whole.shape[0], h))
    )
    cut = whole[y0 : y0 + h + 2 * r, x0 : x0 + w + 2 * r]
    score = cv2.matchTemplate(_local(cut), _local(part), cv2.TM_CCOEFF_NORMED)
    _, _, _, (dx, dy) = cv2.minMaxLoc(score)
    return x0 + dx, y0 + dy


def _resized_by(image: Image, scale: float) -> Image:
    if scale >= 1:
        return image
    size = (max(8, round(image.shape[1] * scale)), max(8, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _local(image: Image) -> Float:
    """Luma minus its local average, float32 (H, W), so that tone does not count."""
    luma = _grey(image).astype(np.float32)
    local: Float = luma - cv2.GaussianBlur(luma, (0, 0), LOCAL_PX)
    return local


def _grey(image: Image) -> Image:
    """Luma of an RGB picture, uint8 (H, W). A picture that is luma already is returned as it is."""
    if image.ndim == 2:
        return image
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY), np.uint8)


def _by_features(reference: Image, edited: Image) -> Transform | None:
    """Finds an affine transform by SIFT features and RANSAC; None if too few agree."""
    points, descriptors = [], []
    for image in (reference, edited):
        shrink = min(1.0, SEARCH_SIDE / max(image.shape[:2]))
        size = (max(1, round(image.shape[1] * shrink)), max(1, round(image.shape[0] * shrink)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        found, described = cv2.SIFT.create(nfeatures=2500).detectAndCompute(small, None)
        if described is None or len(found) < INLIERS_NEEDED:
            return None
        ratio = np.array([image.shape[1] / size[0], image.shape[0] / size[1]])
        points.append((np.array([p.pt for p in found]) + 0.5) * ratio - 0.5)
        descriptors.append(described)
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(descriptors[0], descriptors[1], k=2)
    kept = [p[0] for p in pairs if len(p) == 2 and p[0].distance < 0.75 * p[1].distance]
    if len(kept) < INLIERS_NEEDED:
        return None
    source = points[0][[m.queryIdx for m in kept]]
    target = points[1][[m.trainIdx for m in kept]]
    cv2.setRNGSeed(1)
    transform, inliers = cv2.estimateAffine2D(
        source, target, method=cv2.RANSAC, ransacReprojThreshold=3.0, maxIters=5000, confidence=0.999
    )
    if transform is None or int(inliers.sum()) < INLIERS_NEEDED:
        return None
    return np.asarray(transform, np.float64)


def refined(reference: Image, edited: Image, transform: Transform) -> Place:
    """Refines a place to some hundredths of a pixel, and moves it to whole pixels if that fits as well.

    Args:
        reference, edited: RGB uint8 (H, W, 3), or luma (H, W).
        transform: the place to start from, a few pixels off at most.
    """
    luma = _grey(reference), _grey(edited)
    best = Place(transform, misfit(*luma, transform))
    if best.misfit >= EXACT:
        best = _descended(luma, best)
    for simpler in _simpler(size_of(edited), best.transform):
        place = Place(simpler, misfit(*luma, simpler))
        if place.misfit <= 1.02 * best.misfit + 0.002:
            return place
    return best


def _descended(luma: tuple[Image, Image], start: Place) -> Place:
    """Refines a place at growing sizes. Returns `start` if the smallest size fits too badly."""
    coarse = 4 * max(1.0, min(luma[1].shape[:2]) / REFINE_SIDE)
    best = start
    chosen = False
    for turns in (False, True):
        moved = _refine(*luma, start.transform, coarse, turns=turns)
        place = Place(moved, misfit(*luma, moved))
        if place.misfit < (TURNED if turns else 1.0) * best.misfit:
            best, chosen = place, turns
    if best.misfit > HOPELESS:
        return start
    for shrink, turns in ((coarse / 2, chosen), (coarse / 4, chosen), (coarse / 4, True)):
        moved = _refine(*luma, best.transform, shrink, turns=turns)
        place = Place(moved, misfit(*luma, moved))
        if place.misfit < (TURNED if turns != chosen else 1.0) * best.misfit:
            best = place
    return best


def _simpler(to: tuple[int, int], transform: Transform) -> Iterator[Transform]:
    """Yields nearby places that tools make: a crop on whole pixels, and a resized crop on whole pixels."""
    h, w = to
    corners = np.array([[-0.5, -0.5, 1], [w - 0.5, h - 0.5, 1]]).T
    back = cv2.invertAffineTransform(transform)
    (x0, x1), (y0, y1) = (back @ corners) + 0.5
    if abs(transform[1, 0]) * w > 0.5:
        return
    if abs(x1 - x0 - w) < 1 and abs(y1 - y0 - h) < 1:
        middle = ((x0 + x1 - w) / 2, (y0 + y1 - h) / 2)
        yield np.array([[1, 0, -round(middle[0])], [0, 1, -round(middle[1])]], np.float64)
    near = [round(v) for v in (x0, x1, y0, y1)]
    if max(abs(a - b) for a, b in zip(near, (x0, x1, y0, y1), strict=True)) < 0.5:
        a0, a1, b0, b1 = near
        if a1 > a0 and b1 > b0:
            sx, sy = w / (a1 - a0), h / (b1 - b0)
            ox, oy = -a0 * sx + (sx - 1) / 2, -b0 * sy + (sy - 1) / 2
            yield np.array([[sx, 0, ox], [0, sy, oy]], np.float64)


def misfit(reference: Image, edited: Image, transform: Transform) -> float:
    """Measures the misfit of the edited picture at a place, [0, 1], see `Place`; 1 for hardly any overlap."""
    seen, inside = seen_at(reference, size_of(edited), transform)
    if inside.mean() < 0.05:
        return 1.0
    before, after = _local(seen), _local(edited)
    weight = np.maximum(np.abs(before), np.abs(after)) * inside
    weight[weight < DETAIL] = 0
    total = float(weight.sum())
    if total < DETAIL * 50:
        return 1.0
    asked = np.flatnonzero(weight)
    asked = asked[:: max(1, asked.size // SAMPLES)]
    difference, weights = np.minimum(np.abs(before - after).ravel()[asked] / CLEAR, 1), weight.ravel()[asked]
    order = np.argsort(difference)
    sums = np.cumsum(weights[order])
    counted = sums <= KEPT * sums[-1]
    return float((difference[order] * weights[order])[counted].sum() / (KEPT * sums[-1]))


def seen_at(
    reference: Image, size: tuple[int, int], transform: Transform, softer_px: float = 0.0
) -> tuple[Image, Bool]:
    """Resamples the reference to the edited picture's grid, with a low-pass that fits the scale.

    Args:
        reference: uint8 (H, W, 3), or luma alone (H, W).
        size: (H, W) of the edited picture.
        transform: from places of the reference to places of the edited picture, float64 (2, 3).
        softer_px: standard deviation of a further low-pass, pixels of the reference.

    Returns:
        The resampled reference, uint8 of `size` with as many channels, and where it is known, bool of `size`.
    """
    to = (size[1], size[0])
    scales = np.hypot(transform[0, :2], transform[1, :2])
    sigma = [0.45 * float(np.sqrt(max(0.0, 1 / s**2 - 1))) + softer_px for s in scales]
    source = reference
    if max(sigma) > 0.2:
        source = cv2.GaussianBlur(reference, (0, 0), max(sigma[0], 0.05), sigmaY=max(sigma[1], 0.05))
    whole = np.array_equal(transform[:, :2], np.eye(2)) and np.array_equal(
        transform[:, 2], np.rint(transform[:, 2])
    )
    how = cv2.INTER_NEAREST if whole else cv2.INTER_CUBIC
    seen = cv2.warpAffine(source, transform, to, flags=how, borderMode=cv2.BORDER_REPLICATE)
    known = cv2.warpAffine(np.ones(reference.shape[:2], np.float32), transform, to)
    return np.asarray(seen, np.uint8), np.asarray(known > 0.999, np.bool_)


def _refine(
    reference: Image, edited: Image, transform: Transform, shrink: float, *, turns: bool
) -> Transform:
    """Refines a transform by Gauss-Newton on luma detail with Tukey's weights, at 1 / `shrink` of the size.

    With `turns` False, only shift and scale are refined.
    """
    small_edited = _resized_by(edited, 1 / shrink) if shrink > 1 else edited
    ratio = np.array([small_edited.shape[1] / edited.shape[1], small_edited.shape[0] / edited.shape[0]])
    to_small = np.array([[ratio[0], 0, (ratio[0] - 1) / 2], [0, ratio[1], (ratio[1] - 1) / 2], [0, 0, 1]])
    now = to_small @ np.vstack([transform, [0, 0, 1]])
    after = _local(small_edited)
    h, w = after.shape
    x, y = np.meshgrid((np.arange(w) - w / 2) / w, (np.arange(h) - h / 2) / h)
    for _ in range(STEPS):
        seen, inside = seen_at(reference, (h, w), now[:2])
        before = _local(seen)
        gx, gy = (cv2.Sobel((before + after) / 2, cv2.CV_32F, *a, ksize=3) / 8 for a in ((1, 0), (0, 1)))
        use = inside & (np.hypot(gx, gy) > 1.0)
        use[:2], use[-2:], use[:, :2], use[:, -2:] = False, False, False, False
        if use.sum() < 200:
            return transform
        rest = (after - before)[use]
        scale = max(1.0, float(np.percentile(np.abs(rest), 50)) / 0.6745)
        trust = np.clip(1 - (rest / (4.685 * scale)) ** 2, 0, None) ** 2
        zeros = np.zeros(rest.size)
        px, py, dx, dy = x[use], y[use], gx[use], gy[use]
        columns = (
            [dx, dx * px, dx * py, dy, dy * px, dy * py]
            if turns
            else [dx, dx * px, zeros, dy, zeros, dy * py]
        )
        jacobian = -np.column_stack(columns)
        weighed = jacobian * trust[:, None]
        gram = weighed.T @ jacobian
        gram += 1e-4 * np.trace(gram) / 6 * np.eye(6)
        step = np.linalg.solve(gram, weighed.T @ rest)
        step = np.clip(step, -4, 4)
        now = _move(step, (h, w)) @ now
        if np.abs(step).max() < 0.005:
            break
    return np.asarray((np.linalg.inv(to_small) @ now)[:2], np.float64)


def _move(step: npt.NDArray[np.float64], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """The transform of a refinement step, float64 (3, 3); the step is relative to the picture's middle."""
    h, w = size
    return np.array(
        [
            [1 + step[1] / w, step[2] / h, step[0] - step[1] / 2 - step[2] / 2],
            [step[4] / w, 1 + step[5] / h, step[3] - step[4] / 2 - step[5] / 2],
            [0, 0, 1],
        ]
    )
