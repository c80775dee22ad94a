"""Masks of holes: growing, softening and cutting them out, and pasting fills into pictures."""

from __future__ import annotations

import cv2
import numpy as np

from correspondence import Bool, Box, Float, Image, check_image
from inpaint.types import Fill, FillContext, check_mask

HOLE_SHARE = (0.02, 0.35)  # smallest and largest share of the picture for a hole that a match leaves


def dilate(mask: Float, radius_px: int) -> Float:
    """Grow a mask by a disc. Each pixel gets the largest value within `radius_px`.

    Args:
        mask: float32 (H, W).
        radius_px: radius of the disc, pixels, 0 or more.

    Returns:
        The grown mask, float32 (H, W).

    Raises:
        ValueError: `radius_px` is negative.
    """
    if radius_px < 0:
        raise ValueError(f"radius_px must be 0 or more, got {radius_px}")
    if radius_px == 0:
        return mask.copy()
    side = 2 * radius_px + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.dilate(mask, disc), np.float32)


def feather(mask: Float, radius_px: float) -> Float:
    """Soften a mask inwards. It rises from 0 at its border to its own value `radius_px` inside.

    Where the mask is 0 it stays exactly 0, so a feathered paste changes no pixel outside the hole. The
    border of the picture does not count as a border of the mask.

    Args:
        mask: float32 (H, W), [0, 1].
        radius_px: width of the ramp, pixels; 0 leaves the mask unchanged.

    Returns:
        The softened mask, float32 (H, W), nowhere above `mask`. The ramp has zero slope at both ends.
    """
    if radius_px <= 0:
        return mask.copy()
    inside = np.pad((mask > 0).astype(np.uint8), 1, mode="edge")
    if inside.all():
        return mask.copy()
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
    ramp = np.clip(distance / np.float32(radius_px + 1), 0, 1)
    return np.asarray(mask * (ramp * ramp * (3 - 2 * ramp)), np.float32)


def hole_box(mask: Float, margin_px: int = 0) -> Box | None:
    """Find the smallest box that contains all mask values above 0, and grow it by a margin.

    Args:
        mask: float32 (H, W).
        margin_px: margin on each side, pixels. The box is clipped to the picture.

    Returns:
        The box (x0, y0, x1, y1) with exclusive end points; None for an empty mask.
    """
    rows, columns = np.flatnonzero((mask > 0).any(axis=1)), np.flatnonzero((mask > 0).any(axis=0))
    if rows.size == 0:
        return None
    h, w = mask.shape
    x0, x1 = max(0, int(columns[0]) - margin_px), min(w, int(columns[-1]) + 1 + margin_px)
    y0, y1 = max(0, int(rows[0]) - margin_px), min(h, int(rows[-1]) + 1 + margin_px)
    return x0, y0, x1, y1


def square_box(box: Box, size: tuple[int, int], least_px: int = 64) -> Box:
    """Make a square box around a box. It is moved inside the picture, and cut if it is too large for it.

    Args:
        box: (x0, y0, x1, y1).
        size: (H, W) of the picture.
        least_px: smallest side of the result, pixels.

    Returns:
        The square box (x0, y0, x1, y1).
    """
    h, w = size
    side = max(box[2] - box[0], box[3] - box[1], least_px)
    width, height = min(side, w), min(side, h)
    x0 = min(max(0, (box[0] + box[2] - width) // 2), w - width)
    y0 = min(max(0, (box[1] + box[3] - height) // 2), h - height)
    return x0, y0, x0 + width, y0 + height


def paste(image: Image, filled: Image, mask: Float, feather_px: float = 0.0) -> Image:
    """Lay `filled` over `image` by the mask: image + feather(mask) * (filled - image).

    Args:
        image: the picture, uint8 (H, W, 3).
        filled: the filled picture, uint8 (H, W, 3).
        mask: mask of the hole, float32 (H, W), [0, 1].
        feather_px: width of the ramp at the border of the hole, pixels.

    Returns:
        uint8 (H, W, 3), bit-equal to `image` wherever `mask` is 0.

    Raises:
        ValueError: shapes or dtypes do not fit.
    """
    size = check_image(image)
    if check_image(filled, "filled") != size:
        raise ValueError(f"filled must have the picture's size {size}, got {filled.shape[:2]}")
    check_mask(mask, size)
    weight = feather(mask, feather_px)[..., None]
    mixed = image + weight * (filled.astype(np.float32) - image)
    return np.where(weight > 0, np.rint(mixed), image).astype(np.uint8)


def match_boundary(image: Image, filled: Image, mask: Float, radius_px: float = 12.0) -> Image:
    """Adjust the colours of a fill so that they match the picture at the border of the hole.

    The difference `image - filled` around the hole is spread into it by normalised convolution with Gaussian
    weights, and fades with distance. This is a cheap substitute for Poisson cloning. It removes the colour
    offset that an autoencoder leaves.

    Args:
        image: the picture, uint8 (H, W, 3).
        filled: the filled picture, uint8 (H, W, 3), plausible on both sides of the border.
        mask: mask of the hole, float32 (H, W), 1 in the hole.
        radius_px: reach of the correction, pixels.

    Returns:
        The adjusted fill, uint8 (H, W, 3).
    """
    known = (mask == 0).astype(np.float32)
    if known.all() or not known.any():
        return filled
    difference = (image.astype(np.float32) - filled) * known[..., None]
    total = cv2.GaussianBlur(difference, (0, 0), radius_px)
    weight = cv2.GaussianBlur(known, (0, 0), radius_px)
    fade = np.minimum(1.0, 2.0 * weight)[..., None]  # 1 at a straight border, falling inside the hole
    correction = total / np.maximum(weight, 1e-3)[..., None] * fade
    return np.asarray(np.clip(np.rint(filled + correction), 0, 255), np.uint8)


def fill_delta(
    frame: Image, edited: Image, mask: Float, fill: Fill, context: FillContext | None = None
) -> tuple[Image, np.ndarray[tuple[int, ...], np.dtype[np.int16]]]:
    """Fill an edited picture, then compute its change. So no model sees a difference image.

    Args:
        frame: the unedited picture, uint8 (H, W, 3).
        edited: the same view with the edit where it is known, uint8 (H, W, 3).
        mask: where the edit is unknown, float32 (H, W).
        fill: any `Fill`.
        context: context for `fill`.

    Returns:
        The filled picture, uint8 (H, W, 3), and its difference from `frame`, int16 (H, W, 3).

    Raises:
        ValueError: `frame` and `edited` differ in size.
    """
    if check_image(frame, "frame") != check_image(edited, "edited"):
        raise ValueError(f"frame {frame.shape[:2]} and edited {edited.shape[:2]} must have one size")
    whole = fill(edited, mask, context)
    return whole, whole.astype(np.int16) - frame.astype(np.int16)


def matched_hole(lost: Bool) -> Float | None:
    """Make the mask of the hole that a match leaves.

    Args:
        lost: where the match is not reliable, bool (H, W).

    Returns:
        The mask, float32 (H, W), 0 or 1; None if its share of the picture is outside `HOLE_SHARE`.
    """
    opened = cv2.morphologyEx(lost.astype(np.float32), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    hole = dilate(np.asarray(opened, np.float32), 2)
    return hole if HOLE_SHARE[0] < hole.mean() < HOLE_SHARE[1] else None


def draw_occluder(
    size: tuple[int, int], box: tuple[float, float, float, float] | None, rng: np.random.Generator
) -> Float:
    """Draw a rotated ellipse over 5 to 20 % of a picture, like an object held before the face.

    Args:
        size: (H, W) of the picture.
        box: the box (x0, y0, x1, y1) that its centre lies in, pixels; None for the picture's middle half.
        rng: draws size, shape, place and rotation.

    Returns:
        float32 (H, W), 1 inside the ellipse and 0 outside.
    """
    h, w = size
    share, aspect = rng.uniform(0.05, 0.20), rng.uniform(0.5, 1.0)
    long = np.sqrt(share * h * w / (np.pi * aspect))
    x0, y0, x1, y1 = box or (0.25 * w, 0.25 * h, 0.75 * w, 0.75 * h)
    centre = (float(rng.uniform(x0, x1)), float(rng.uniform(y0, y1)))
    mask = np.zeros((h, w), np.float32)
    turned = (centre, (2 * float(long), 2 * float(long * aspect)), float(rng.uniform(0, 180)))
    cv2.ellipse(mask, turned, 1.0, -1)
    return mask
