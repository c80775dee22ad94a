"""What an edit changed: a soft mask that is exactly 0 where nothing changed, and how opaque the change is."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Bool, Float, Image
from reference.edits.noise import stands_out, stored_exactly

SCALE_PX = 512  # sizes below are pixels of a picture whose shorter side is this long
DILATE_PX = 3
OPAQUE_WINDOW_PX = 9
VISIBLE = 2  # levels; a smaller change, as at the rim of a soft brush, says nothing of where the edit is
MIN_STROKE = 6.0  # a change with less summed evidence than this is a speck (one-pixel strokes have more)


def scaled(size: tuple[int, int], pixels: float) -> int:
    """A length of `pixels` at a shorter side of 512, in pixels of a picture of `size` (H, W), >= 1."""
    return max(1, round(pixels * min(size) / SCALE_PX))


def smoothstep(x: Float, low: float | Float, high: float | Float) -> Float:
    """0 below `low`, 1 above `high`, a smooth cubic between; float32 as `x`."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0).astype(np.float32)
    result: Float = t * t * (3 - 2 * t)
    return result


def change_mask(reference: Image, edited: Image) -> Float:
    """Where `edited` differs from `reference`, soft.

    An edited picture that was stored without loss differs nowhere else, so any difference of 2 levels counts
    in full. One that went through JPEG, WebP or an editor's noise differs nearly everywhere: there a change
    counts that stands out above what saving did, see `noise.stands_out`.

    Args:
        reference, edited: RGB uint8 (H, W, 3), equal sizes.

    Returns:
        float32 (H, W) in [0, 1]; exactly 0 further than about 5 px (at 512) from the nearest change.
    """
    size = (reference.shape[0], reference.shape[1])
    difference = cv2.absdiff(reference, edited).max(axis=2)
    if not difference.any():
        return np.zeros(size, np.float32)
    if stored_exactly(reference, difference):
        evidence = _without_specks(smoothstep(difference.astype(np.float32), 0.0, 2.0))
    else:
        evidence = stands_out(reference, edited.astype(np.float32) - reference).astype(np.float32)
    radius = scaled(size, DILATE_PX)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    grown = cv2.dilate(np.rint(evidence * 255).astype(np.uint8), kernel)
    feather = 2 * (radius // 2) + 1 if radius > 1 else 1
    soft = cv2.blur(grown, (feather, feather))  # in uint8: integer sums leave exact zeros
    return soft.astype(np.float32) / np.float32(255)


def colour_table(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Mean of `after` where `before` has each level, uint8 (256,); unseen levels are interpolated."""
    count = np.bincount(before.ravel(), minlength=256).astype(np.float64)
    total = np.bincount(before.ravel(), weights=after.ravel(), minlength=256)
    seen = np.flatnonzero(count)
    change = np.interp(np.arange(256), seen, total[seen] / count[seen] - seen)
    return np.clip(np.rint(np.arange(256) + change), 0, 255).astype(np.uint8)


def _without_specks(evidence: Float) -> Float:
    """`evidence` without connected groups that sum to less than a short one-pixel stroke."""
    groups, labels = cv2.connectedComponents((evidence > 0).astype(np.uint8), connectivity=8)
    sums = np.bincount(labels.ravel(), weights=evidence.ravel(), minlength=groups)
    kept = sums >= MIN_STROKE
    kept[0] = False
    result: Float = np.where(kept[labels], evidence, np.float32(0))
    return result


def visibly_changed(reference: Image, edited: Image) -> Bool:
    """Where some channel changed by more than `VISIBLE`, bool (H, W)."""
    return np.asarray(cv2.absdiff(reference, edited).max(axis=2) > VISIBLE, np.bool_)


def opacity(reference: Image, edited: Image, mask: Float) -> Float:
    """How far the edit covers the reference instead of tinting it, float32 (H, W) in [0, 1].

    Around each pixel the edited luma is fitted by the reference luma (least squares in a small window, inside
    the change). A tint keeps the texture: slope near its contrast, little left over. Paint that hides the
    skin has a slope near 0 over textured ground; new detail (a drawn frame, hair) leaves a large rest.

    Args:
        reference, edited: RGB uint8 (H, W, 3).
        mask: `change_mask` of the two, float32 (H, W).
    """
    size = (reference.shape[0], reference.shape[1])
    side = 2 * scaled(size, OPAQUE_WINDOW_PX / 2) + 1
    before = cv2.cvtColor(reference, cv2.COLOR_RGB2GRAY).astype(np.float32)
    after = cv2.cvtColor(edited, cv2.COLOR_RGB2GRAY).astype(np.float32)
    core = ((mask > 0.5) & visibly_changed(reference, edited)).astype(np.float32)

    def mean(values: Float) -> Float:
        averaged: Float = cv2.blur(values * core, (side, side)) / weight
        return averaged

    weight = np.maximum(cv2.blur(core, (side, side)), 1e-3)
    mean_before, mean_after = mean(before), mean(after)
    var_before: Float = np.maximum(mean(before * before) - mean_before**2, 0)
    var_after = np.maximum(mean(after * after) - mean_after**2, 0)
    covariance = mean(before * after) - mean_before * mean_after
    quiet = 9.0  # variance, levels squared: below it there is no texture to judge by
    slope = (covariance + quiet) / (var_before + quiet)
    rest = np.maximum(var_after - covariance**2 / (var_before + quiet), 0)
    change = mean((after - before) ** 2)
    covers = smoothstep(np.float32(1) - slope, 0.55, 0.9)
    new_detail = smoothstep(rest / (change + 16 * quiet), 0.35, 0.8)
    spread = cv2.blur(np.maximum(covers, new_detail) * core, (side, side)) / weight
    result: Float = np.clip(spread, 0, 1) * (mask > 0)
    return result
