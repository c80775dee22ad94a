"""Drawing of FaceMesh's triangles on a grid: which of them is visible at each cell."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from correspondence.face import topology as topo
from correspondence.geometry.grid import Float

Indices = npt.NDArray[np.int32]
NOSE = 4  # the landmark at the tip of the nose, from which the whole outline is seen
_GRACE = 0.02  # cells by which a triangle is enlarged, so that there is no gap between neighbours
_BEHIND = -1e9  # added to the depth of triangles that face away, so that they are drawn first
_NEXT = [1, 2, 0]  # the corner after each corner


def triangles_within(points: Float, shape: tuple[int, int]) -> npt.NDArray[np.intp]:
    """Find the triangles whose boxes touch a grid of (rows, columns): their numbers, rising."""
    corners = _by_corner()
    near: npt.NDArray[np.bool_] | None = None
    for axis, extent in ((0, shape[1]), (1, shape[0])):
        at = points[:, axis][corners]
        touches = np.maximum.reduce(at) >= -_GRACE - 1
        touches &= np.minimum.reduce(at) <= np.float32(extent + _GRACE)
        near = touches if near is None else near & touches
    assert near is not None
    return np.flatnonzero(near)


@lru_cache(maxsize=1)
def _by_corner() -> Indices:
    """The corners of all triangles, one row a corner, int32 (3, T). Rows of numbers are fast to reduce."""
    return np.ascontiguousarray(topo.topology().triangles.T)


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
    (ax, bx, cx), (ay, by, cy) = (points[:, axis][triangles.T] for axis in range(2))
    return np.asarray(((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)) / 2, np.float32)


def draw(points: Float, triangles: Indices, area: Float, shape: tuple[int, int]) -> npt.NDArray[np.int16]:
    """Find the row of `triangles` that is visible at each cell, int16 of (rows, columns) `shape`; -1: none.

    Triangles that face away are drawn first, then the others from far to near. A later one covers an earlier
    one. Scan lines of all triangles are computed at once, since one OpenCV call for each triangle would
    release the interpreter's lock 900 times in a frame.
    """
    height, width = shape
    away = np.where(area > 0, np.float64(0), _BEHIND)
    corners = triangles.T
    order = np.argsort(away - points[:, 2][corners].sum(axis=0), kind="stable")
    corners = corners[:, order]
    x, y = points[:, 0][corners], points[:, 1][corners]  # (3, T)
    top = np.clip(np.ceil(np.minimum.reduce(y) - _GRACE), 0, height).astype(np.int32)
    bottom = np.clip(np.floor(np.maximum.reduce(y) + _GRACE), -1, height - 1).astype(np.int32)
    owner, row = _runs(top, np.maximum(bottom - top + 1, 0))
    left, right = _spans(x, y, area[order], owner, row, width)
    span, column = _runs(left, np.maximum(right - left + 1, 0))
    index = np.full(height * width, -1, np.int16)
    index[(row * width)[span] + column] = order.astype(np.int16)[owner][span]
    return index.reshape(shape)


def _runs(start: Indices, length: Indices) -> tuple[Indices, Indices]:
    """Concatenate runs of integers start[i], start[i] + 1, ...; return the run of each, and the integers."""
    of = np.repeat(np.arange(len(start), dtype=np.int32), length)
    offset = start - np.cumsum(length, dtype=np.int32) + length
    return of, np.arange(len(of), dtype=np.int32) + offset[of]


def _spans(
    x: Float, y: Float, area: Float, owner: Indices, row: Indices, width: int
) -> tuple[Indices, Indices]:
    """First and last column of triangle `owner` on a row, clipped to the grid; empty if last < first.

    Each side of a triangle bounds the columns of a row from below or from above, depending on its direction.
    A horizontal side bounds only the rows. `x` and `y` are those of the corners, float32 (3, T).
    """
    along_x, along_y = x[_NEXT] - x, y[_NEXT] - y
    turn = np.where(area < 0, np.float32(-1), np.float32(1))
    scale = turn / np.maximum(np.hypot(along_x, along_y), np.float32(1e-6))
    a, b = -along_y * scale, along_x * scale  # inside: a x + b y >= c
    c = a * x + b * y - np.float32(_GRACE)
    slope = np.where(np.abs(a) < 1e-6, np.float32(1), a)
    at, per_row = c / slope, b / slope
    low, high = np.where(a > 1e-6, at, -np.inf), np.where(a < -1e-6, at, np.inf)
    left, right = np.zeros(len(row), np.float32), np.full(len(row), width - 1, np.float32)
    for k in range(3):
        shift = per_row[k][owner] * row
        np.maximum(left, low[k][owner] - shift, out=left)
        np.minimum(right, high[k][owner] - shift, out=right)
    return np.ceil(left).astype(np.int32), np.floor(right).astype(np.int32)
