"""The face crop that the cover network sees: cut out of the picture and turned upright by the landmarks."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from correspondence.face.topology import OVAL
from correspondence.face_crop import FaceCrop
from correspondence.types import Float, Image, Landmarks

SIDE = 128  # side of a crop, pixels
PER_FACE = 1.5  # side of the crop over the face's longer side
TOP, CHIN = 10, 152  # landmarks at both ends of the face's long axis
Matrix = npt.NDArray[np.float64]  # (2, 3)


def crop_matrix(points: Float, side: int = SIDE, per_face: float = PER_FACE) -> Matrix:
    """Compute the similarity that maps pixels of a picture to pixels of its face crop.

    The crop is a square around the face's outline, turned so that forehead and chin are upright.

    Args:
        points: landmarks, float32 (478, 2 or 3), x and y in pixels.
        side: side of the crop, pixels.
        per_face: side of the crop over the face's longer side.

    Returns:
        float64 (2, 3).
    """
    axis = points[CHIN, :2] - points[TOP, :2]
    length = max(float(np.hypot(*axis)), 1e-3)
    down = (axis / length).astype(np.float64)
    across = np.array([down[1], -down[0]])
    outline = points[list(OVAL), :2].astype(np.float64)
    along = np.stack([outline @ across, outline @ down], axis=1)
    low, high = along.min(axis=0), along.max(axis=0)
    scale = side / (per_face * max(float((high - low).max()), 1.0))
    turn = scale * np.stack([across, down])
    middle = turn @ ((low + high) / 2 @ np.stack([across, down]))
    shift = (side - 1) / 2 - middle
    return np.concatenate([turn, shift[:, None]], axis=1)


def carried(points: Float, matrix: Matrix) -> Float:
    """Map x and y of points by a crop's matrix, float32 (..., 2)."""
    return np.asarray(points[..., :2] @ matrix[:, :2].T + matrix[:, 2], np.float32)


def cut(image: Image, matrix: Matrix, side: int = SIDE) -> Image:
    """Cut the crop out of a picture, uint8 (side, side, 3). Border pixels are repeated outside the picture.

    A picture that is more than twice as fine as the crop is halved first, to avoid aliasing.
    """
    scale = float(np.hypot(*matrix[:, 0]))
    while scale <= 0.5 and min(image.shape[:2]) >= 2:
        inverse = cv2.invertAffineTransform(matrix)
        corners = carried(np.array([[0, 0], [side, 0], [0, side], [side, side]], np.float32), inverse)
        low = np.floor(corners.min(axis=0)).astype(int) // 2 * 2 - 2
        high = np.ceil(corners.max(axis=0)).astype(int) // 2 * 2 + 4
        x0, y0 = (int(v) for v in np.maximum(low, 0))
        x1, y1 = min(int(high[0]), image.shape[1]), min(int(high[1]), image.shape[0])
        if x1 - x0 < 2 or y1 - y0 < 2:
            break
        part = image[y0 : y0 + (y1 - y0) // 2 * 2, x0 : x0 + (x1 - x0) // 2 * 2]
        image = cv2.resize(part, (part.shape[1] // 2, part.shape[0] // 2), interpolation=cv2.INTER_AREA)
        # Full pixel u is half pixel (u - origin + 0.5) / 2 - 0.5.
        matrix = np.concatenate(
            [2 * matrix[:, :2], (matrix[:, 2] + matrix[:, :2] @ (np.array([x0, y0]) + 0.5))[:, None]], axis=1
        )
        scale *= 2
    out = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.uint8)


def face_area(points: Float, side: int = SIDE, around: int = 0) -> Float:
    """Fill the face's outline, float32 (side, side), {0, 1}.

    Args:
        points: landmarks in pixels of the crop, float32 (478, 2 or 3).
        side: side of the crop, pixels.
        around: how far beyond the outline the area reaches, pixels.
    """
    area = np.zeros((side, side), np.uint8)
    outline = points[list(OVAL), :2]
    at = [np.rint(outline * 16).astype(np.int32)]
    cv2.fillPoly(area, at, 1, shift=4)
    if around:
        cv2.polylines(area, at, True, 1, 2 * around + 1, cv2.LINE_8, 4)
    return area.astype(np.float32)


def face_crop(image: Image, landmarks: Landmarks | None) -> FaceCrop | None:
    """Cut the face out of a picture, upright, SIDE pixels a side. None without a face."""
    if landmarks is None:
        return None
    matrix = crop_matrix(landmarks.points)
    return FaceCrop(cut(image, matrix), carried(landmarks.points, matrix))
