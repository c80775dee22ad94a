"""A still face made to blink and to close its mouth: its picture bent after landmarks that are moved."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from correspondence import Image, Landmarks
from correspondence.face.mesh import face_reference, landmark_field
from correspondence.geometry.grid import pixel_grid
from correspondence.geometry.region import ideal_region
from reference.compose.sampling import read_grid
from reference.face.parts import LEFT_LOWER_LID, LEFT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_UPPER_LID

UPPER_LIP = (191, 80, 81, 82, 13, 312, 311, 310, 415)  # inner rims, corners left out, one above the other
LOWER_LIP = (95, 88, 178, 87, 14, 317, 402, 318, 324)


def enlarged(image: Image, landmarks: Landmarks, times: int = 3) -> tuple[Image, Landmarks]:
    """The head alone, enlarged, with its landmarks."""
    x0, y0, x1, y1 = landmarks.box
    margin = 0.25 * (x1 - x0)
    left, top = max(0, int(x0 - margin)), max(0, int(y0 - margin))
    part = image[top : int(y1 + margin), left : int(x1 + margin)]
    size = (part.shape[1] * times, part.shape[0] * times)
    points = (landmarks.points - (left - 0.5, top - 0.5, 0)) * times - (0.5, 0.5, 0)
    large = cv2.resize(part, size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, np.uint8), Landmarks(points.astype(np.float32), (size[1], size[0]))


def blinked(landmarks: Landmarks, openness: float) -> Landmarks:
    """The lids nearer to each other, 1: as they were, 0: closed on the lower one."""
    pairs = ((RIGHT_UPPER_LID, RIGHT_LOWER_LID), (LEFT_UPPER_LID, LEFT_LOWER_LID))
    points = landmarks.points.copy()
    for upper, lower in pairs:
        points[list(upper)] = _between(landmarks, lower, upper, openness)
    return Landmarks(points, landmarks.image_size)


def mouthed(landmarks: Landmarks, openness: float) -> Landmarks:
    """The inner lips nearer to each other, 1: as they were, 0: closed half-way between."""
    points = landmarks.points.copy()
    for one, other in ((UPPER_LIP, LOWER_LIP), (LOWER_LIP, UPPER_LIP)):
        points[list(one)] = _between(landmarks, other, one, 0.5 + openness / 2)
    return Landmarks(points, landmarks.image_size)


def acted(image: Image, own: Landmarks, now: Landmarks) -> Image:
    """The picture bent so that its face has other landmarks, by the face's mesh."""
    height, width = own.image_size
    region = ideal_region(own, own.image_size)
    carried = landmark_field(now, face_reference(own, region), region)
    bend = carried.field * carried.inside[..., None] * (region.side / carried.field.shape[0])
    whole = (0, 0, width, height)
    at = pixel_grid(height, width) + read_grid(bend.astype(np.float32), region.box, whole, (height, width))
    return np.asarray(cv2.remap(image, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _between(
    landmarks: Landmarks, start: Sequence[int], end: Sequence[int], share: float
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    a, b = landmarks.points[list(start)], landmarks.points[list(end)]
    return np.asarray(a + np.float32(share) * (b - a), np.float32)
