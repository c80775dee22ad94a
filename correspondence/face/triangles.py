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
    tip = np.rint(points[NOSE, :2] * 16).astype(np.int32)
    (x, y), (right, down) = (rim - tip).T, (np.roll(rim, -1, axis=0) - tip).T
    turns = x * down - y * right > 0
    if turns.all() or not turns.any():  # the tip sees the whole rim, so that its triangles do not overlap
        cv2.fillPoly(drawn, [rim], 1, cv2.LINE_8, 4)
        return drawn.view(np.bool_)
    for corners in np.stack([np.broadcast_to(tip, rim.shape), rim, np.roll(rim, -1, axis=0)], axis=1):
        cv2.fillConvexPoly(drawn, corners, 1, cv2.LINE_8, 4)
    return drawn.view(np.bool_)


def signed_areas(points: Float, triangles: Indices) -> Float:
    """Compute the signed area of each triangle, float32 (T,), cells squared."""
    corners = _rows(triangles)
    (ax, bx, cx), (ay, by, cy) = (np.take(points[:, axis], corners) for axis in range(2))
    return np.asarray(((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)) / 2, np.float32)


def chosen(kept: npt.NDArray[np.intp]) -> Indices:
    """The corners of the mesh's triangles of given numbers, int32 (T, 3); its transpose lies in rows."""
    return np.take(_by_corner(), kept, axis=1).T


def _rows(triangles: Indices) -> Indices:
    """Corners as rows of numbers, int32 (3, T). Columns of three take numpy several times as long."""
    return np.ascontiguousarray(triangles.T)


def draw(points: Float, triangles: Indices, area: Float, shape: tuple[int, int]) -> npt.NDArray[np.int16]:
    """Find the row of `triangles` that is visible at each cell, int16 of (rows, columns) `shape`; -1: none.

    Triangles that face away are drawn first, then the others from far to near. A later one covers an earlier
    one. Scan lines of all triangles are computed at once, since one OpenCV call for each triangle would
    release the interpreter's lock 900 times in a frame.
    """
    height, width = shape
    corners = _rows(triangles)
    depth = np.add.reduce(np.take(points[:, 2], corners))
    order = np.argsort(np.where(area > 0, np.float64(0), _BEHIND) - depth)
    corners = np.take(corners, order, axis=1)
    x, y = np.take(points[:, 0], corners), np.take(points[:, 1], corners)  # (3, T)
    top = np.maximum(np.ceil(np.minimum.reduce(y) - _GRACE), 0).astype(np.int32)
    bottom = np.minimum(np.floor(np.maximum.reduce(y) + _GRACE), height - 1).astype(np.int32)
    rows = np.maximum(bottom - top + 1, 0)
    row = _runs(top, rows)
    left, right = _spans(x, y, area[order], rows, row, width)
    columns = np.maximum(right - left + 1, 0)
    index = np.full(height * width, -1, np.int16)
    index[_runs(row * np.int32(width) + left, columns)] = np.repeat(
        np.repeat(order.astype(np.int16), rows), columns
    )
    return index.reshape(shape)


def _runs(start: Indices, length: Indices) -> Indices:
    """Concatenate runs of integers start[i], start[i] + 1, ..., length[i] of them: int32."""
    end = np.cumsum(length, dtype=np.int32)
    total = int(end[-1]) if len(end) else 0
    return np.arange(total, dtype=np.int32) + np.repeat(start - end + length, length)


def _spans(
    x: Float, y: Float, area: Float, rows: Indices, row: Indices, width: int
) -> tuple[Indices, Indices]:
    """First and last column of each triangle on each of its rows, clipped to the grid; empty if last < first.

    Each side of a triangle bounds the columns of a row from below or from above, depending on its direction.
    A horizontal side bounds only the rows. `x` and `y` are those of the corners, float32 (3, T). `rows` has
    the number of rows of each triangle, int32 (T,), and `row` their numbers, one after the other.
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
    down = row.astype(np.float32)
    for k in range(3):
        shift = np.repeat(per_row[k], rows) * down
        np.maximum(left, np.repeat(low[k], rows) - shift, out=left)
        np.minimum(right, np.repeat(high[k], rows) - shift, out=right)
    return np.ceil(left).astype(np.int32), np.floor(right).astype(np.int32)
