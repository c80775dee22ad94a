"""Tells an edit from what saving made of it and beside it.

JPEG and its like store blocks. A dark mole rings through all of its blocks, so that the change is wider than
the edit. If its middle alone is laid on the reference and saved in the same way, the same ringing appears
around it. What does not appear is edited too. In the same way the colours are found that become, when they
are saved, those of the file (projection onto what saving allows, by steps of the difference that is left).
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from correspondence import Bool, Float, Image
from reference.edits.faint import averaged

REACH_PX = 16  # largest block of JPEG with chroma at half size, pixels
STRONG = 24.0  # smaller changes ring below the noise, levels
MIDDLE = 0.3  # the middle of a change exceeds this share of the largest change within reach
EXPLAINED = 0.7  # share of the change's energy below which the rest is no edit
NEAR_PX = 5  # side of the window in which energies are compared, pixels
STEPS = 6  # steps to the picture before saving
SMOOTH_PX = 1.0  # smoothing of the colours' correction, which keeps the noise of saving out of it, pixels
ROUNDS = 4  # in each round what is not explained joins the middle


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


def _before_saving(middle: Bool, base: Image, edited: Image, again: Callable[[Image], Image]) -> Image:
    """A picture that is edited in the middle only and comes close to `edited` when it is saved."""
    where = middle[..., None].astype(np.float32)
    before = base + where * np.subtract(edited, base, dtype=np.float32)
    for _ in range(STEPS):
        saved = again(np.clip(np.rint(before), 0, 255).astype(np.uint8))
        before += where * np.subtract(edited, saved, dtype=np.float32)
    return np.clip(np.rint(before), 0, 255).astype(np.uint8)


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
