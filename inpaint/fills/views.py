"""Views of pictures and landmarks for the model: a square crop, resized."""

from __future__ import annotations

import cv2
import numpy as np

from correspondence import Float, Image, Landmarks, check_image


def view_landmarks(
    landmarks: Landmarks | None, box: tuple[int, int, int, int], side: int
) -> Landmarks | None:
    """Convert landmarks to pixels of the crop `box` (x0, y0, x1, y1), resized to side x side.

    None stays None.
    """
    if landmarks is None:
        return None
    x0, y0, x1, y1 = box
    scale = np.array([side / (x1 - x0), side / (y1 - y0)], np.float32)
    moved = landmarks.points * np.append(scale, scale.mean())
    moved[:, :2] += (0.5 - np.array([x0, y0], np.float32)) * scale - 0.5
    return Landmarks(np.asarray(moved, np.float32), (side, side))


def points_of(landmarks: Landmarks | None) -> Float | None:
    """Return the points of landmarks, float32 (478, 3). None stays None."""
    return None if landmarks is None else landmarks.points


def view(image: Image, box: tuple[int, int, int, int], side: int) -> Image:
    """Cut the crop `box` (x0, y0, x1, y1) out of a picture and resize it to uint8 (side, side, 3)."""
    check_image(image)
    x0, y0, x1, y1 = box
    crop = np.ascontiguousarray(image[y0:y1, x0:x1])
    shrink = side < min(crop.shape[:2])
    return np.asarray(
        cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC), np.uint8
    )
