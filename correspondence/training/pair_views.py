"""Views of the material that training pairs are made of."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from correspondence.face.mesh import face_reference, landmark_field
from correspondence.geometry.grid import Float, pixel_grid
from correspondence.geometry.region import Region
from correspondence.training.data import GRID, Clip
from correspondence.types import Image, Landmarks

WHOLE = Region(0, 0, GRID)


def mesh_field(frame: Float, reference: Float) -> tuple[Float, Float, npt.NDArray[np.bool_]]:
    """Compute the landmark field between two faces, see `correspondence.face.mesh.landmark_field`.

    Args:
        frame, reference: landmarks, float32 (478, 3).

    Returns:
        Field (N, N, 2) and validity (N, N), float32; and where the frame's mesh lies, bool (N, N).
    """
    size = (GRID, GRID)
    prepared = face_reference(Landmarks(np.ascontiguousarray(reference), size), WHOLE)
    found = landmark_field(Landmarks(np.ascontiguousarray(frame), size), prepared, WHOLE)
    return found.field, found.validity, found.inside


def to_gray(image: Image) -> npt.NDArray[np.uint8]:
    """Convert RGB uint8 (H, W, 3) to grey, uint8 (H, W)."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def unlikeness(a: Float, b: Float) -> float:
    """Compute how far two faces, float32 (478, 3), differ apart from their place: mean distance, pixels."""
    return float(np.abs((a - a.mean(axis=0)) - (b - b.mean(axis=0)))[:, :2].mean())


def about_middle(turn: float, zoom: float, shift: Any) -> Any:
    """Make the affine map that turns and zooms a picture about its middle and then shifts it.

    Args:
        turn: radians.
        zoom: factor.
        shift: (x, y), pixels.

    Returns:
        Matrix, float64 (3, 3), that takes source pixels to target pixels.
    """
    middle = (GRID - 1) / 2
    a, b = zoom * np.cos(turn), zoom * np.sin(turn)
    matrix = np.array([[a, -b, 0], [b, a, 0], [0, 0, 1.0]])
    to_middle = np.array([[1, 0, -middle], [0, 1, -middle], [0, 0, 1.0]])
    back = np.array([[1, 0, middle + shift[0]], [0, 1, middle + shift[1]], [0, 0, 1.0]])
    return back @ matrix @ to_middle


def view_of(clip: Clip, number: int, matrix: Any) -> tuple[Image, Float]:
    """Return frame `number` of a clip and its landmarks, seen through an affine map (see `about_middle`)."""
    image, points = clip.frames[number], clip.points[number]
    if not np.array_equal(matrix, np.eye(3)):
        image = cv2.warpAffine(image, matrix[:2], (GRID, GRID), borderMode=cv2.BORDER_REPLICATE)
        zoom = np.sqrt(abs(np.linalg.det(matrix[:2, :2])))
        place = points[:, :2] @ matrix[:2, :2].T + matrix[:2, 2]
        points = np.column_stack([place, points[:, 2] * zoom]).astype(np.float32)
    return np.asarray(image, np.uint8), np.asarray(points, np.float32)


def affine_field(matrix: Any) -> Float:
    """Compute the field of an affine map, float32 (N, N, 2), pixels."""
    at = pixel_grid(GRID, GRID)
    return np.asarray(
        at @ matrix[:2, :2].T.astype(np.float32) + matrix[:2, 2].astype(np.float32) - at, np.float32
    )
