"""Boxes of faces in a picture, and FaceMesh run on a window around one of them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from correspondence.face.mediapipe_graphs import FaceDetector, FaceMesh
from correspondence.geometry.region import Region, crop
from correspondence.types import Image, Landmarks

FaceBox = tuple[float, float, float, float]  # x0, y0, x1, y1, pixels

LONGEST_SIDE = 1280  # larger pictures are shrunk to this; FaceMesh sees the face at 192 x 192
SMALL_FACE = 0.15  # share of the longer side; FaceMesh's own detector sees the whole picture at 128 x 128
WINDOW_PER_FACE = 4.0  # side of the window in which a small face is followed, in face sides
SAME_PLACE = 0.5  # distance below which two boxes show the same face, in face sides
_RIM = 0.5  # the window moves when the face comes this near its border, in face sides


def face_area(box: FaceBox) -> float:
    """Compute the area of a box, square pixels."""
    return (box[2] - box[0]) * (box[3] - box[1])


def face_side(box: FaceBox) -> float:
    """Return the longer side of a box, pixels, at least 1."""
    return max(box[2] - box[0], box[3] - box[1], 1.0)


def distance(box: FaceBox, other: FaceBox) -> float:
    """Compute the distance between the centres of two boxes, in sides of `other`."""
    across = (box[0] + box[2] - other[0] - other[2]) / 2
    down = (box[1] + box[3] - other[1] - other[3]) / 2
    return float(np.hypot(across, down)) / face_side(other)


def fits_window(face: FaceBox, window: Region) -> bool:
    """Tell whether a window suits a face: it is not near the border and of a suitable size."""
    side = face_side(face)
    rim = _RIM * side
    x0, y0, x1, y1 = window.box
    inside = face[0] - rim >= x0 and face[1] - rim >= y0 and face[2] + rim <= x1 and face[3] + rim <= y1
    return inside and side * WINDOW_PER_FACE / 2 <= window.side <= side * WINDOW_PER_FACE * 2


def window_around(face: FaceBox, height: int, width: int) -> Region | None:
    """Return the window in which to look for a small face; None, for the whole picture, if it is large."""
    if face_side(face) >= SMALL_FACE * max(height, width):
        return None
    side = max(round(WINDOW_PER_FACE * face_side(face)), 32)
    return Region(round((face[0] + face[2] - side) / 2), round((face[1] + face[3] - side) / 2), side)


def hide_others(image: Image, boxes: Sequence[FaceBox], keep: FaceBox) -> Image:
    """Paint over all faces but one. The picture itself is returned if there is no other face."""
    if len(boxes) < 2:
        return image
    out = image.copy()
    for box in boxes:
        x0, y0, x1, y1 = (max(0, round(value)) for value in box)
        out[y0:y1, x0:x1] = 128
    x0, y0, x1, y1 = (max(0, round(value)) for value in keep)
    out[y0:y1, x0:x1] = image[y0:y1, x0:x1]
    return out


def _shrink(image: Image) -> Image:
    """Shrink a picture so that its longer side is at most LONGEST_SIDE."""
    longest = max(image.shape[:2])
    if longest <= LONGEST_SIDE:
        return np.ascontiguousarray(image)
    ratio = LONGEST_SIDE / longest
    size = (max(1, round(image.shape[1] * ratio)), max(1, round(image.shape[0] * ratio)))
    # down to half size bilinear reading skips no pixel, and takes a quarter of the area mean's time
    how = cv2.INTER_LINEAR if ratio >= 0.5 else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)


def detect_boxes(detector: FaceDetector, image: Image) -> list[FaceBox]:
    """Detect the boxes of all faces, pixels of the picture."""
    seen = _shrink(image)
    across, down = image.shape[1] / seen.shape[1], image.shape[0] / seen.shape[0]
    return [(x0 * across, y0 * down, x1 * across, y1 * down) for x0, y0, x1, y1 in detector(seen)]


def best_score(detector: FaceDetector, image: Image) -> float:
    """The detector's score of a picture's clearest face, [0.5, 1]; 0 without a face."""
    return detector.score(_shrink(image))


def run_mesh(mesh: FaceMesh, image: Image, window: Region | None) -> list[Landmarks]:
    """Run FaceMesh on a window of the picture and return all faces in pixels of the whole picture.

    FaceMesh's unit coordinates times the size are pixels with centres on integers. This was measured:
    pictures and their halves and quarters then agree to 0.01 pixel.
    """
    height, width = image.shape[:2]
    seen = _shrink(image) if window is None else crop(image, window, max(64, min(window.side, 512)))
    rows, columns = seen.shape[:2]
    out = []
    for face in mesh(seen):
        points = face * np.array([columns, rows, columns], np.float32)  # z is in units of the width
        if window is None:
            ratio = np.array([width / columns, height / rows], np.float32)
            points[:, :2] = (points[:, :2] + np.float32(0.5)) * ratio - np.float32(0.5)
            points[:, 2] *= ratio[0]
        else:
            points[:, :2] = window.to_pixels(points[:, :2], rows)
            points[:, 2] *= window.side / rows
        out.append(Landmarks(points, (height, width)))
    return out
