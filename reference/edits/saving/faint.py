"""Completes faint changes to their rims, and leaves out specks of them.

A faint change stands out above the noise of saving in its middle only. It is mostly of one colour. Averages
of the difference that are weighed towards this colour have less noise than each channel, so the rim can be
followed further out.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Bool, Float

AVERAGES_PX = (1.5, 2.2, 3.3, 5.0)  # standard deviations that are tried, the least one first, pixels at 512
CERTAIN = 3.0  # a rim exceeds so many standard deviations of the noise ...
RIM_LEVELS = 1.2  # ... and these levels ...
SHARES = (0.15, 0.45)  # ... but is between these shares of the change in its middle
REACH_PX, MARGIN_PX = 12, 8  # farthest rim; distance of the noise that is measured, pixels at 512
WINDOW_PX = 40  # margin of the window in which the noise is measured, pixels at 512
LEAST_AREA = 40  # smaller changes have their rim already, pixels at 512
GAP_PX = 3  # gaps and notches up to twice this width are closed, pixels at 512
NOTCH_PX, NOTCH_SHARE = 32, 0.15  # so are wider ones if their mean change has this share and ...
NOTCHED = 8.0  # ... the change is fainter: white skin, as of a blush, is changed in fewer channels; levels
FEWEST = 300  # least number of pixels on which the noise is measured
LEAST_NOISE = 0.1  # levels
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
SPECK_AREA, SPECK_LEVELS = 500, 4.0  # a speck has fewer pixels at 512 and is nowhere changed by so much ...
SPECK_PX = 1.0  # ... on the average over so many pixels at 512 ...
MIXED, MIXED_LEVELS = 8.0, (2.0, 0.35)  # ... or by so much if its mean change is smaller, or that of luma


def unit_of(shape: tuple[int, ...]) -> float:
    """Pixels per pixel of a picture of 512 pixels, at least 1, for a picture of `shape` (H, W, ...)."""
    return max(1.0, min(shape[:2]) / 512)


def completed(ycc: Float, found: Bool, inside: Bool, unit: float) -> Bool:
    """Adds the rims of changes to where they were found.

    Args:
        ycc: difference in luma and chroma, levels, float32 (H, W, 3).
        found: where it is an edit, bool (H, W).
        inside: the pixels that are examined, bool (H, W).
        unit: pixels per pixel of a picture of 512 pixels.

    Returns:
        bool (H, W), never less than `found`.
    """
    whole = found.copy()
    groups, labels, boxes, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8), connectivity=8)
    near = _grown(found, MARGIN_PX * unit)
    margin = round(WINDOW_PX * unit)
    for group in range(1, groups):
        x, y, width, height, area = (int(value) for value in boxes[group])
        if area < LEAST_AREA * unit**2:
            continue
        window = np.s_[max(0, y - margin) : y + height + margin, max(0, x - margin) : x + width + margin]
        quiet = inside[window] & ~near[window]
        if quiet.sum() < FEWEST:
            continue
        whole[window] |= _with_rim(ycc[window], labels[window] == group, inside[window], quiet, unit)
    return whole


def _with_rim(ycc: Float, middle: Bool, inside: Bool, quiet: Bool, unit: float) -> Bool:
    """One change with its rim, bool (H, W). The noise is measured where it is `quiet`."""
    share, least, levels = np.zeros(middle.shape, np.float32), SHARES[1], 0.0
    for scale in AVERAGES_PX:
        average = averaged(ycc, inside, scale * unit)
        rest = np.median(average[quiet], axis=0)
        change = np.median(average[middle], axis=0) - rest
        noise = np.maximum(1.4826 * np.median(np.abs(average[quiet] - rest), axis=0), LEAST_NOISE)
        weights = change / noise**2
        weights /= max(float(weights @ change), 1e-6)
        share = np.asarray((average - rest) @ weights, np.float32)
        spread = CERTAIN * 1.4826 * float(np.median(np.abs(share[quiet])))
        levels = float(np.abs(change).max())
        least = max(spread, RIM_LEVELS / max(levels, 1e-6), SHARES[0])
        if least <= SHARES[1]:
            break
    reached = _grown(middle, REACH_PX * unit) & inside
    over = ((share > min(least, SHARES[1])) & reached) | middle
    _, labels = cv2.connectedComponents(over.astype(np.uint8), connectivity=8)
    joined = np.isin(labels, np.unique(labels[middle])).astype(np.uint8)
    whole = cv2.morphologyEx(joined, cv2.MORPH_CLOSE, _disc(GAP_PX * unit)) > 0
    if levels < NOTCHED:
        notches = cv2.morphologyEx(joined, cv2.MORPH_CLOSE, _disc(NOTCH_PX * unit)) > 0
        whole |= notches & (cv2.GaussianBlur(share, (0, 0), AVERAGES_PX[-1] * unit) > NOTCH_SHARE)
    return np.asarray(whole & inside, np.bool_)


def without_specks(found: Bool, change: Float, unit: float) -> Bool:
    """Leaves out faint places that are hardly larger than a block, which saving may round another way.

    Args:
        found: where it is an edit, bool (H, W).
        change: levels, float32 (H, W, 3).
        unit: pixels per pixel of a picture of 512 pixels.

    Returns:
        bool (H, W), part of `found`.
    """
    groups, labels, boxes, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8), connectivity=8)
    largest = np.zeros(groups, np.float32)
    size = np.abs(averaged(change, found, SPECK_PX * unit)).max(axis=2)
    np.maximum.at(largest, labels[found], size[found])
    areas = np.maximum(boxes[:, cv2.CC_STAT_AREA], 1)  # all of the picture may be found
    sums = np.array([np.bincount(labels.ravel(), change[..., c].ravel(), groups) for c in range(3)])
    means = (np.abs(sums).max(axis=0) / areas, np.abs(LUMA @ sums) / areas)
    clear = (means[0] >= MIXED_LEVELS[0]) & (means[1] >= MIXED_LEVELS[1])
    kept = (areas >= SPECK_AREA * unit**2) | (largest >= np.where(clear, SPECK_LEVELS, MIXED))
    kept[0] = False
    return np.asarray(kept[labels], np.bool_)


def averaged(values: Float, where: Bool, scale_px: float) -> Float:
    """Gaussian averages over the pixels of `where` only, float32 (H, W, 3)."""
    if scale_px <= 0:
        return values
    weight = where.astype(np.float32)
    total = cv2.GaussianBlur(values * weight[..., None], (0, 0), scale_px)
    near = cv2.GaussianBlur(weight, (0, 0), scale_px)
    mean: Float = total / np.maximum(near, 0.15)[..., None]
    return mean


def _grown(area: Bool, radius: float) -> Bool:
    return np.asarray(cv2.dilate(area.astype(np.uint8), _disc(radius)) > 0, np.bool_)


def _disc(radius: float) -> npt.NDArray[np.uint8]:
    side = 2 * max(1, round(radius)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
