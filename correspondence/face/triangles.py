"""Drawing of FaceMesh's triangles on a grid: which of them is visible at each cell."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from correspondence.face import topology as topo
from correspondence.geometry.grid import Float

Indices = npt.NDArray[np.int32]
NOSE = 4  # the landmark at the tip of the nose, from which the whole outline is seen
_GRACE = 0.02  # cells by which a triangle is enlarged, so that there is no gap between neighbours


def triangles_within(points: Float, shape: tuple[int, int]) -> npt.NDArray[np.intp]:
    """Find the triangles whose boxes touch a grid of (rows, columns): their numbers, rising."""
    corners = points[topo.topology().triangles, :2]
    low, high = corners.min(axis=1), corners.max(axis=1)
    limit = np.array([shape[1], shape[0]], np.float32)
    return np.flatnonzero(((high >= -_GRACE - 1) & (low <= limit + _GRACE)).all(axis=1))


def silhouette(points: Float, size: int) -> npt.NDArray[np.bool_]:
    """Fill the outline of the mesh on the whole grid, bool (size, size). Fast, and almost what `draw` covers.

    Args:
        points: landmarks, float32 (478, 2 or 3), cells of that grid.
        size: cells on a side of the grid.
    """
    drawn = np.zeros((size, size), np.uint8)
    rim = np.rint(points[list(topo.OVAL), :2] * 16).astype(np.int32)
    tip = np.broadcast_to(np.rint(points[NOSE, :2] * 16).astype(np.int32), rim.shape)
    for corners in np.stack([tip, rim, np.roll(rim, -1, axis=0)], axis=1):
        cv2.fillConvexPoly(drawn, corners, 1, cv2.LINE_8, 4)
    return drawn.view(np.bool_)


def signed_areas(points: Float, triangles: Indices) -> Float:
    """Compute the signed area of each triangle, float32 (T,), cells squared."""
    a, b, c = (points[triangles[:, k], :2] for k in range(3))
    u, v = b - a, c - a
    return np.asarray((u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]) / 2, np.float32)


def draw(points: Float, triangles: Indices, area: Float, shape: tuple[int, int]) -> npt.NDArray[np.int16]:
    """Find the row of `triangles` that is visible at each cell, int16 of (rows, columns) `shape`; -1: none.

    Triangles that face away are drawn first, then the others from far to near. A later one covers an earlier
    one. Scan lines of all triangles are computed at once, since one OpenCV call for each triangle would
    release the interpreter's lock 900 times in a frame.
    """
    height, width = shape
    order = np.lexsort((-points[triangles, 2].sum(axis=1), area > 0))
    corners = points[triangles[order], :2]  # (T, 3, 2)
    heights = corners[..., 1]
    top = np.clip(np.ceil(np.minimum.reduce(heights.T) - _GRACE), 0, height).astype(np.int32)
    bottom = np.clip(np.floor(np.maximum.reduce(heights.T) + _GRACE), -1, height - 1).astype(np.int32)
    rows = np.maximum(bottom - top + 1, 0)
    owner, y = _runs(top, rows)
    left, right = _spans(corners, area[order], owner, y, width)
    span, x = _runs(left, np.maximum(right - left + 1, 0))
    index = np.full(height * width, -1, np.int16)
    index[y[span] * width + x] = order.astype(np.int16)[owner][span]
    return index.reshape(shape)


def _runs(start: Indices, length: Indices) -> tuple[Indices, Indices]:
    """Concatenate runs of integers start[i], start[i] + 1, ...; return the run of each, and the integers."""
    of = np.repeat(np.arange(len(start), dtype=np.int32), length)
    offset = start - np.cumsum(length, dtype=np.int32) + length
    return of, np.arange(len(of), dtype=np.int32) + offset[of]


def _spans(corners: Float, area: Float, owner: Indices, y: Indices, width: int) -> tuple[Indices, Indices]:
    """First and last column of triangle `owner` on row `y`, clipped to the grid; empty if last < first.

    Each side of a triangle bounds the columns of a row from below or from above, depending on its direction.
    A horizontal side bounds only the rows.
    """
    start, along = corners, np.roll(corners, -1, axis=1) - corners  # (T, 3, 2)
    turn = np.where(area < 0, np.float32(-1), np.float32(1))[:, None]
    scale = turn / np.maximum(np.hypot(along[..., 0], along[..., 1]), np.float32(1e-6))
    a, b = -along[..., 1] * scale, along[..., 0] * scale  # inside: a x + b y >= c
    c = a * start[..., 0] + b * start[..., 1] - np.float32(_GRACE)
    slope = np.where(np.abs(a) < 1e-6, np.float32(1), a)
    at, per_row = c / slope, b / slope
    low, high = np.where(a > 1e-6, at, -np.inf), np.where(a < -1e-6, at, np.inf)
    left, right = np.zeros(len(y), np.float32), np.full(len(y), width - 1, np.float32)
    for k in range(3):
        shift = per_row[owner, k] * y
        np.maximum(left, low[owner, k] - shift, out=left)
        np.minimum(right, high[owner, k] - shift, out=right)
    return np.ceil(left).astype(np.int32), np.floor(right).astype(np.int32)
