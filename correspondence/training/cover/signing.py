"""Masks of real hands before a face, from MediaPipe's hand landmarks and the picture's colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from correspondence.types import Float, Image

Hands = Callable[[Image], list[Float]]
FINGERS = ((0, 1, 2, 3, 4), (0, 5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (0, 17, 18, 19, 20))
PALM = (0, 1, 5, 9, 13, 17)
ITERATIONS = 3


def hands_of(model: Path) -> Hands:
    """Return a function that finds hands in single pictures with MediaPipe: float32 (21, 2) each, pixels.

    Args:
        model: the bundle `hand_landmarker.task`.

    Raises:
        ValueError: there is no such file.
    """
    from correspondence.face import mediapipe_graphs

    if not model.is_file():
        raise ValueError(f"no model of hands at {model}: name MediaPipe's hand_landmarker.task with --hands")
    finder = mediapipe_graphs.Hands(model)

    def found(image: Image) -> list[Float]:
        size = np.array([image.shape[1], image.shape[0]], np.float32)
        return [np.asarray(hand * size - np.float32(0.5), np.float32) for hand in finder(image)]

    return found


def hand_masks(image: Image, hands: Sequence[Float]) -> tuple[Float, Float]:
    """Find where hands are in a picture, and where that is uncertain.

    Pixels along a hand's bones surely belong to it. GrabCut (Rother et al. 2004) finds the outline around
    them. A band at the outline is uncertain, and so is the forearm, which has no landmarks.

    Args:
        image: uint8 (H, W, 3).
        hands: landmarks of each hand, float32 (21, 2), pixels. Parts of a hand may lie outside the picture.

    Returns:
        Mask and uncertainty, float32 (H, W), {0, 1}.
    """
    size = (image.shape[0], image.shape[1])
    mask, unsure = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    for hand in hands:
        wide = max(float(np.hypot(*(hand[5] - hand[17]))), 0.4 * float(np.hypot(*(hand[9] - hand[0]))))
        bones, near = _drawn(hand, size, 0.16 * wide), _drawn(hand, size, 0.55 * wide)
        if not bones.any() or not near.any():
            continue
        trimap = np.full(size, cv2.GC_BGD, np.uint8)
        trimap[near > 0] = cv2.GC_PR_BGD
        trimap[_drawn(hand, size, 0.34 * wide) > 0] = cv2.GC_PR_FGD
        trimap[bones > 0] = cv2.GC_FGD
        background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(image, trimap, None, background, foreground, ITERATIONS, cv2.GC_INIT_WITH_MASK)
        mine = np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
        mask |= mine
        reach = max(1, round(0.1 * wide))
        square = np.ones((2 * reach + 1,) * 2, np.uint8)
        unsure |= cv2.dilate(mine, square) - cv2.erode(mine, square)
        unsure |= _forearm(hand, size, 1.4 * wide)
    unsure[cv2.erode(mask, np.ones((5, 5), np.uint8)) > 0] = 0
    return mask.astype(np.float32), unsure.astype(np.float32)


def _drawn(hand: Float, size: tuple[int, int], width: float) -> Image:
    """Draw fingers as lines and the palm filled, grown by half a finger's width, uint8 {0, 1}."""
    out = np.zeros(size, np.uint8)
    at = np.rint(hand * 8).astype(np.int32)
    for finger in FINGERS:
        cv2.polylines(out, [at[list(finger)]], False, 1, max(1, round(width)), cv2.LINE_8, 3)
    palm = cv2.convexHull(at[list(PALM)])
    cv2.fillPoly(out, [palm], 1, cv2.LINE_8, 3)
    cv2.polylines(out, [palm], True, 1, max(1, round(width)), cv2.LINE_8, 3)
    return out


def _forearm(hand: Float, size: tuple[int, int], width: float) -> Image:
    """Draw where the arm continues beyond the wrist, uint8 {0, 1}."""
    out = np.zeros(size, np.uint8)
    away = hand[0] - hand[9]
    ends = np.rint(np.stack([hand[0] + 0.1 * away, hand[0] + 4 * away]) * 8).astype(np.int32)
    cv2.polylines(out, [ends], False, 1, max(1, round(width)), cv2.LINE_8, 3)
    return out
