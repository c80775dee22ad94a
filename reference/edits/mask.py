"""The soft mask of what an edit changed, exactly 0 where nothing changed, and the opacity of the change."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Bool, Float, Image
from reference.edits.saving.noise import stands_out, stored_exactly

SCALE_PX = 512  # the sizes below refer to a picture whose shorter side is this long, pixels
DILATE_PX = 3  # margin of the mask around a change
OPAQUE_WINDOW_PX = 9  # side of the window in which opacity is judged
VISIBLE = 2  # largest change that is not visible, as at the rim of a soft brush, levels
MIN_STROKE = 6.0  # a change with less summed evidence is a speck (one-pixel strokes have more)


def scaled(size: tuple[int, int], pixels: float) -> int:
    """Scales a length given for a shorter side of 512 pixels to a picture of `size` (H, W), pixels, >= 1."""
    return max(1, round(pixels * min(size) / SCALE_PX))


def smoothstep(x: Float, low: float | Float, high: float | Float) -> Float:
    """A smooth cubic step: 0 below `low`, 1 above `high`; float32 in the shape of `x`."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0).astype(np.float32)
    result: Float = t * t * (3 - 2 * t)
    return result


def change_mask(reference: Image, edited: Image, *, exact: bool = False) -> Float:
    """Computes a soft mask of where `edited` differs from `reference`.

    An edited picture that was stored without loss differs only where it was edited, so a difference of 2
    levels counts in full. A picture that went through JPEG, WebP or an editor's noise differs nearly
    everywhere. There only changes count that stand out above the noise, see `noise.stands_out`.

    Args:
        reference, edited: RGB uint8 (H, W, 3), equal sizes.
        exact: whether it is known that the edited picture was never stored with loss. False judges by the
            pictures, which takes seconds for a large change.

    Returns:
        float32 (H, W) in [0, 1]; exactly 0 further than about 5 px (at 512) from the nearest change.
    """
    size = (reference.shape[0], reference.shape[1])
    difference = cv2.absdiff(reference, edited).max(axis=2)
    if not difference.any():
        return np.zeros(size, np.float32)
    if exact or stored_exactly(reference, difference):
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
    """Mean of `after` for each level of `before`, uint8 (256,); levels that do not occur are interpolated."""
    count = np.bincount(before.ravel(), minlength=256).astype(np.float64)
    total = np.bincount(before.ravel(), weights=after.ravel(), minlength=256)
    seen = np.flatnonzero(count)
    change = np.interp(np.arange(256), seen, total[seen] / count[seen] - seen)
    return np.clip(np.rint(np.arange(256) + change), 0, 255).astype(np.uint8)


def _without_specks(evidence: Float) -> Float:
    """Removes connected groups whose evidence sums to less than that of a short one-pixel stroke."""
    groups, labels = cv2.connectedComponents((evidence > 0).astype(np.uint8), connectivity=8)
    sums = np.bincount(labels.ravel(), weights=evidence.ravel(), minlength=groups)
    kept = sums >= MIN_STROKE
    kept[0] = False
    result: Float = np.where(kept[labels], evidence, np.float32(0))
    return result


def visibly_changed(reference: Image, edited: Image) -> Bool:
    """The pixels where some channel changed by more than `VISIBLE` levels, bool (H, W)."""
    return np.asarray(cv2.absdiff(reference, edited).max(axis=2) > VISIBLE, np.bool_)


def opacity(reference: Image, edited: Image, mask: Float) -> Float:
    """Computes how far an edit covers the reference instead of tinting it.

    Around each pixel, inside the change, the edited luma is fitted by the reference luma (least squares in a
    small window). A tint keeps the texture: the slope is near its contrast and the residual is small. Paint
    that hides the skin has a slope near 0 over textured ground. New detail, such as a drawn frame or hair,
    leaves a large residual.

    Args:
        reference, edited: RGB uint8 (H, W, 3).
        mask: `change_mask` of the two, float32 (H, W).

    Returns:
        float32 (H, W) in [0, 1].
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
