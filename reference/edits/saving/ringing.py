"""Tells an edit from what saving made of it and beside it.

JPEG and its like store blocks. A dark mole rings through all of its blocks, so that the change is wider than
the edit. If its middle alone is laid on the reference and saved in the same way, the same ringing appears
around it. What does not appear is edited too. In the same way the colours are found that become, when they
are saved, those of the file (projection onto what saving allows, by steps of the difference that is left).

Savings that cannot be repeated exactly, as WebP, leave a fringe some pixels wide beside a stroke. It is weak
and of other colours than the stroke's own. The rim of a soft brush is of the brush's colour and stays.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from correspondence import Bool, Float, Image
from reference.edits.saving.faint import LUMA, averaged

REACH_PX = 16  # largest block of JPEG with chroma at half size, pixels
STRONG = 24.0  # smaller changes ring below the noise, levels
MIDDLE = 0.3  # the middle of a change exceeds this share of the largest change nearby; a fringe does not
EXPLAINED = 0.7  # share of the change's energy below which the rest is no edit
NEAR_PX = 5  # side of the window in which energies are compared, pixels
FAINT_PX = 3.0  # standard deviation of the average by which a change is faint, pixels
WIDE_PX = 8.0  # radius of a disc that places which are not thin hold, pixels
ROUND_PX = 6.0  # standard deviation of the average by which they are rounded, pixels
STEPS = 6  # steps to the picture before saving
SMOOTH_PX = 1.0  # smoothing of the colours' correction, which keeps the noise of saving out of it, pixels
CLEAR = 12.0  # change of luma that tells the shape of a spot, levels
RIM_PX, RIM_POWER = 1.5, 4  # the rim counts less: by this power of an average over so many pixels
STEADY_PX = 4.0  # distance over which its correction is the same, pixels
BETTER = 0.5  # share by which one chroma must come closer to the file than its own to count wholly
INSIDE_PX = (6.0, 10.0)  # distances from the rim up to which chroma is corrected, wholly and at all, pixels
CHROMA_PX = 2.5  # distance over which a spot's chroma is the same, pixels
ROUNDS = 4  # in each round what is not explained joins the middle
BESIDE_PX = 8.0  # distance within which the strongest change counts, pixels of the saved picture
THIN_PX = 8.0  # what reaches further from the strong change is no fringe, pixels of the saved picture ...
APART_PX, TOUCHING_PX = 12.0, 1.5  # ... or further than this if it does not touch the strong change
GAP_PX = 6.0  # gaps in the strong change up to twice this width belong to it, pixels of the saved picture
EVENED_PX = 1.2  # standard deviation of the average that is compared with the strong change's colour, pixels
EVEN = 0.5  # length of this average, as a share of the mean length, from which the change is even
ALIKE = 0.8  # cosine to the strong change's colour from which it is the rim of a soft brush


def without_ringing(
    found: Bool, base: Image, edited: Image, again: Callable[[Image], Image]
) -> tuple[Bool, Float]:
    """Leaves out the places that only ring, and finds the colours that were saved.

    Args:
        found: where `edited` differs by more than noise, bool (H, W).
        base: the picture without its edit before it was saved, RGB uint8 (H, W, 3).
        edited: the saved picture, RGB uint8 (H, W, 3).
        again: saves a picture as `edited` was saved and reads it back.

    Returns:
        Where it was edited, bool (H, W), part of `found`, and what brings the colours there back to those
        before saving, levels, float32 (H, W, 3), 0 elsewhere.
    """
    change = cv2.absdiff(edited, base).max(axis=2)
    kernel = np.ones((2 * REACH_PX + 1,) * 2, np.uint8)
    largest = cv2.dilate(np.where(found, change, 0).astype(np.uint8), kernel).astype(np.float32)
    middle = found & ((change >= MIDDLE * largest) | (largest < STRONG))
    energy = _energy(edited, again(base))
    before = edited
    for _ in range(ROUNDS):
        before = _before_saving(middle, base, edited, again)
        rest = _energy(edited, again(before))
        unexplained = found & ~middle & (_near(rest, ~middle) > EXPLAINED * _near(energy, ~middle))
        if not unexplained.any():
            break
        middle |= unexplained
    correction = averaged(np.subtract(before, edited, dtype=np.float32), middle, SMOOTH_PX)
    return middle, correction * (middle & (largest >= STRONG))[..., None]


def without_gaps(kept: Bool, found: Bool) -> Bool:
    """Adds narrow gaps to what was kept of `found`, both bool (H, W): weak places inside soft paint."""
    closed = cv2.morphologyEx(kept.astype(np.uint8), cv2.MORPH_CLOSE, _disc(GAP_PX)) > 0
    return np.asarray(kept | (found & closed), np.bool_)


def without_blocks(found: Bool, change: Float) -> Bool:
    """Rounds a faint change whose rim follows JPEG's blocks.

    A block of which the edit covers a corner is rounded another way as a whole. Spurs and notches smaller
    than such a block are left out and filled. Places that are thin all over stay as they are.

    Args:
        found: where it is edited, bool (H, W).
        change: levels, float32 (H, W, 3).

    Returns:
        bool (H, W), no more than `found` grown by a few pixels.
    """
    size = np.abs(cv2.GaussianBlur(change, (0, 0), FAINT_PX)).max(axis=2) * found
    faint = cv2.dilate(size, np.ones((2 * REACH_PX + 1,) * 2, np.uint8)) < STRONG
    wide = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_OPEN, _disc(WIDE_PX))
    near = cv2.dilate(wide, _disc(2 * WIDE_PX)) > 0
    rounded = cv2.GaussianBlur(found.astype(np.float32), (0, 0), ROUND_PX) > 0.5
    return np.asarray(np.where(near & faint, rounded, found), np.bool_)


def _before_saving(middle: Bool, base: Image, edited: Image, again: Callable[[Image], Image]) -> Image:
    """A picture that is edited in the middle only and comes close to `edited` when it is saved."""
    where = middle[..., None].astype(np.float32)
    before = base + where * np.subtract(edited, base, dtype=np.float32)
    for _ in range(STEPS):
        saved = again(np.clip(np.rint(before), 0, 255).astype(np.uint8))
        before += where * np.subtract(edited, saved, dtype=np.float32)
    return np.clip(np.rint(before), 0, 255).astype(np.uint8)


def chroma_before_saving(middle: Bool, base: Image, edited: Image, again: Callable[[Image], Image]) -> Float:
    """What brings chroma that was stored at half size back to that before saving, levels, float32 (H, W, 3).

    Saving spreads the chroma of paint over pixels beside it. Luma tells the shape of the paint, which is
    given one slowly varying chroma. This is changed until it becomes, saved, that of the file. The correction
    is 0 where this comes no closer to the file than the file's own colours, as for paint of many colours,
    and further inside, where nothing was spread.
    """
    shape = _shape(middle, base, edited)[..., None]
    bare, own = _chroma(base), _chroma(edited)
    luma = edited - own
    inner = shape * cv2.GaussianBlur(shape, (0, 0), RIM_PX)[..., None] ** RIM_POWER

    def evened(values: Float, scale: float) -> Float:
        total = cv2.GaussianBlur(inner * values, (0, 0), scale)
        mean: Float = total / np.maximum(cv2.GaussianBlur(inner * shape, (0, 0), scale), 1e-2)[..., None]
        return mean

    def model(paint: Float) -> Image:
        painted = np.where(shape > 0, luma + bare + shape * (paint - bare), base)
        return np.clip(np.rint(painted), 0, 255).astype(np.uint8)

    def rest(before: Image) -> Float:
        return own - _chroma(again(before))

    paint = evened(own - (1 - shape) * bare, CHROMA_PX)
    for _ in range(STEPS):
        paint = paint + evened(rest(model(paint)), STEADY_PX)
    as_it_is = np.where(middle[..., None], edited, base)
    left, plain = (
        cv2.GaussianBlur((rest(before) ** 2).sum(axis=2) * (shape[..., 0] > 0), (0, 0), STEADY_PX)
        for before in (model(paint), as_it_is)
    )
    better = np.clip((plain - left) / np.maximum(BETTER * plain, 1e-3), 0, 1)
    inside = cv2.distanceTransform((shape > 0).astype(np.uint8), cv2.DIST_L2, 3)
    near = np.clip((INSIDE_PX[1] - inside) / (INSIDE_PX[1] - INSIDE_PX[0]), 0, 1)
    correction: Float = bare + shape * (paint - bare) - own
    return correction * (better * near * (middle & (shape[..., 0] > 0)))[..., None]


def _shape(middle: Bool, base: Image, edited: Image) -> Float:
    """Share of paint in each pixel, float32 (H, W) in [0, 1]: by luma, where paint changes it."""
    before, after = base @ LUMA, edited @ LUMA
    size = np.abs(after - before) * middle
    total = np.maximum(cv2.GaussianBlur(size, (0, 0), CHROMA_PX), 1e-3)
    most = cv2.GaussianBlur(after * size, (0, 0), CHROMA_PX) / total - before
    near = cv2.dilate(middle.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    told = near & (np.abs(most) > CLEAR)
    share: Float = np.where(told, np.clip((after - before) / np.where(told, most, 1), 0, 1), middle)
    return share.astype(np.float32)


def _chroma(values: Float | Image) -> Float:
    """What is left of colours without their luma, levels, float32 (H, W, 3)."""
    chroma: Float = values - (values @ LUMA)[..., None]
    return chroma


def _energy(a: Image, b: Image) -> Float:
    difference = np.subtract(a, b, dtype=np.float32)
    energy: Float = (difference * difference).sum(axis=2)
    return energy


def _near(values: Float, where: Bool) -> Float:
    """Averages over the pixels of `where` in a small window, float32 (H, W)."""
    total = cv2.blur(values * where, (NEAR_PX, NEAR_PX))
    weight = cv2.blur(where.astype(np.float32), (NEAR_PX, NEAR_PX))
    mean: Float = total / np.maximum(weight, 1e-3)
    return mean


def without_fringe(found: Bool, change: Float, pixel: float = 1.0) -> Bool:
    """Leaves out fringes of what was found.

    Args:
        found: where it is edited, bool (H, W).
        change: edited - reference, levels, float32 (H, W, 3).
        pixel: side of a pixel of the saved picture, pixels.

    Returns:
        bool (H, W), part of `found`.
    """
    size = np.abs(change).max(axis=2) * found
    largest = cv2.dilate(size, _disc(BESIDE_PX * pixel))
    strong = found & (size >= np.maximum(STRONG, MIDDLE * largest))
    if not strong.any():
        return found
    beside = found & ~strong
    groups, labels = cv2.connectedComponents(beside.astype(np.uint8), connectivity=8)
    distance = cv2.distanceTransform((~strong).astype(np.uint8), cv2.DIST_L2, 3)
    farthest, nearest = np.zeros(groups, np.float32), np.full(groups, np.inf, np.float32)
    np.maximum.at(farthest, labels[beside], distance[beside])
    np.minimum.at(nearest, labels[beside], distance[beside])
    apart = nearest > TOUCHING_PX
    thin = (farthest <= np.where(apart, APART_PX, THIN_PX) * pixel)[labels]
    largest = np.where(apart[labels], cv2.dilate(size, _disc(APART_PX * pixel)), largest)
    weak = beside & (size < MIDDLE * largest) & (largest >= STRONG)
    whole = cv2.morphologyEx(strong.astype(np.uint8), cv2.MORPH_CLOSE, _disc(GAP_PX * pixel)) > 0
    own = cv2.GaussianBlur(change * strong[..., None], (0, 0), BESIDE_PX / 2 * pixel)
    alike = _alike(change * beside[..., None], own)
    return np.asarray(found & ~(weak & thin & ~alike & ~whole), np.bool_)


def _alike(change: Float, own: Float) -> Bool:
    """Where a change is even and of the colour `own`, both float32 (H, W, 3): bool (H, W)."""
    smooth = cv2.GaussianBlur(change, (0, 0), EVENED_PX)
    total = cv2.GaussianBlur(np.linalg.norm(change, axis=2), (0, 0), EVENED_PX)
    length = np.linalg.norm(smooth, axis=2)
    along = (smooth * own).sum(axis=2)
    same = along > ALIKE * np.maximum(length * np.linalg.norm(own, axis=2), 1e-6)
    return np.asarray(same & (length > EVEN * total), np.bool_)


def _disc(radius: float) -> cv2.typing.MatLike:
    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
