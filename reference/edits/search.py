"""Finds where an edited picture lies on its reference: candidates are refined, and the best is taken."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from correspondence import Image
from reference.edits.placing import (
    Place,
    Transform,
    local_luma,
    luma_of,
    refined,
    resized_by,
    stretch,
)

SEARCH_SIDE = 900  # features are sought in pictures no longer than this
INLIERS_NEEDED = 12  # least number of features that must agree
CROP_SIDE = 256  # crops are first searched in pictures of this shorter side, pixels
PEAKS = 3  # number of places of a crop that are tried
GOOD = 0.08  # misfit below which no further candidate is tried
NEARER = 0.85  # a later candidate must reduce the misfit to less than this share


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
    luma = luma_of(reference), luma_of(edited)
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


def plausible(transform: Transform) -> bool:
    """Whether an editing tool may have made a transform: no mirror, no extreme shear, scale or turn."""
    scales = np.linalg.svd(transform[:, :2], compute_uv=False)
    turn = abs(float(np.degrees(np.arctan2(transform[1, 0], transform[0, 0]))))
    upright = float(np.linalg.det(transform[:, :2])) > 0
    return bool(upright and scales[1] > 0.1 and scales[0] < 10 and scales[0] < 2.2 * scales[1] and turn < 50)


def _crops(whole: Image, part: Image) -> list[tuple[int, int]]:
    """Top left corners (x, y) in `whole` at which `part` may have been cut out, pixels, best first."""
    shrink = max(1.0, min(part.shape[:2]) / CROP_SIDE)
    small = [local_luma(resized_by(image, 1 / shrink)) for image in (whole, part)]
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
    score = cv2.matchTemplate(local_luma(cut), local_luma(part), cv2.TM_CCOEFF_NORMED)
    _, _, _, (dx, dy) = cv2.minMaxLoc(score)
    return x0 + dx, y0 + dy


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
