"""The landmark field: FaceMesh's triangles map the frame's face onto the reference's face (StreamEdit).

The module works on the square grid of a `region.Region`. Points of the frame and of the reference are in
cells of their own grids. The field leads from cells of the frame's grid to cells of the reference's.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

import cv2
import numpy as np
import numpy.typing as npt

from correspondence.face import topology as topo
from correspondence.face.triangles import Indices, chosen, draw, signed_areas, silhouette, triangles_within
from correspondence.geometry.grid import Float, pixel_grid, shifted
from correspondence.geometry.region import GRID, Part, Region
from correspondence.types import Landmarks

HOLE_VALIDITY = 0.5  # validity in the mouth and the eyes: only their border is known, the rest is a guess
OUTSIDE_VALIDITY = 0.3  # validity at the mesh's outline; it falls to 0 with the distance from it
REACH = 0.45  # distance over which the head's motion fades outside the mesh, in face sides
_SHIFT = 4  # fractional bits of OpenCV's drawing coordinates
_COARSE = 4  # factor by which the grid of the extension beyond the mesh is coarser
_MOST_STRETCH = 4.0  # a triangle this many times larger than in the reference counts as hidden there


@dataclass(frozen=True, slots=True, eq=False)
class FaceReference:
    """The reference's face, prepared once for landmark fields. It is immutable.

    Attributes:
        points: landmarks in cells of the reference's grid, float32 (478, 2).
        area: signed area of each triangle, float32 (T,). It is positive if the triangle faces the camera.
        visible: share of each triangle that is not hidden by nearer ones, float32 (T,), [0, 1].
        region: the reference's region.
        size: cells on a side of the grid.
    """

    points: Float
    area: Float
    visible: Float
    region: Region
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class LandmarkField:
    """The landmark field of one frame.

    Attributes:
        field: displacement from cells of the frame's grid to cells of the reference's, float32 (N, N, 2).
        validity: float32 (N, N), [0, 1]. It is 1 on skin that both pictures show and 0 where the mesh hides
            the skin in one of them.
        inside: True where the mesh covers the cell, bool (N, N).
    """

    field: Float
    validity: Float
    inside: npt.NDArray[np.bool_]


def face_reference(landmarks: Landmarks, region: Region, size: int = GRID) -> FaceReference:
    """Prepare the reference's face for landmark fields.

    Args:
        landmarks: landmarks of the reference.
        region: the reference's region.
        size: cells on a side of the grid.
    """
    points = _on_grid(landmarks, region, size)
    triangles = topo.topology().triangles
    area = signed_areas(points, triangles)
    index = draw(points, triangles, area, (size, size))
    drawn = np.bincount(index[index >= 0].ravel(), minlength=len(area)).astype(np.float32)
    visible = np.clip(drawn / np.maximum(0.5 * np.abs(area), 1.0), 0, 1)
    visible[area <= 0] = 0
    return FaceReference(points[:, :2].copy(), area, visible.astype(np.float32), region, size)


def landmark_field(
    frame: Landmarks,
    reference: FaceReference,
    region: Region,
    here: Part | None = None,
    there: Part | None = None,
) -> LandmarkField:
    """Compute the field that the landmarks imply, on the frame's grid.

    Inside the mesh the field is affine in each triangle, and nearer triangles cover farther ones. A triangle
    is invalid if it faces away in one of the pictures, is hidden in the reference, or is much larger than in
    the reference. Each iris moves as a whole. Beyond the mesh the field follows the head's similarity
    motion, joins the mesh's motion smoothly at the outline, and fades to standing still.

    Args:
        frame: the frame's landmarks.
        reference: the result of `face_reference`.
        region: the frame's region. Its grid has the size of the reference's.
        here: the cells of the frame's grid to compute; all when None. Only triangles there are drawn.
        there: cells of the reference's grid; the field then leads to cells counted from their first one.
    """
    size = reference.size
    here, there = here or Part(0, 0, size, size), there or Part(0, 0, size, size)
    on_grid = _on_grid(frame, region, size)
    points = on_grid - np.array([here.x, here.y, 0], np.float32)
    target = reference.points - np.array([there.x, there.y], np.float32)
    kept = triangles_within(points, here.shape)
    triangles = chosen(kept)
    area = signed_areas(points, triangles)
    index = draw(points, triangles, area, here.shape)
    inside = index >= 0
    field, validity = np.empty((*here.shape, 2), np.float32), np.zeros(here.shape, np.float32)
    if not inside.all():
        distance = _distance(inside if here.shape == (size, size) else silhouette(on_grid, size))
        fade, field = _extension(on_grid, distance, reference, region, here)
        np.copyto(validity, fade, where=~inside)
        if here != there:
            field = shifted(field, np.array([here.x - there.x, here.y - there.y], np.float32))
    x, y, w, h = cv2.boundingRect(inside.astype(np.uint8))
    if w == 0 or h == 0:
        return LandmarkField(field, validity, inside)
    cut = np.s_[y : y + h, x : x + w]
    within, owner = inside[cut], np.maximum(index[cut], 0).astype(np.intp)
    moved = np.take(_affine(points[:, :2], target, triangles, area), owner, axis=1)  # (6, h, w)
    across, down = np.arange(x, x + w, dtype=np.float32), np.arange(y, y + h, dtype=np.float32)[:, None]
    piece = np.empty((h, w, 2), np.float32)
    for axis in range(2):
        a, b, c = moved[3 * axis : 3 * axis + 3]
        piece[..., axis] = a * across + b * down + c
    cv2.copyTo(piece, within.view(np.uint8), field[cut])
    trust = _trust(area, reference, kept)
    np.copyto(validity[cut], np.take(trust, owner), where=within)
    _draw_irises(field, validity, points[:, :2], target)
    return LandmarkField(field, validity, inside)


def _on_grid(landmarks: Landmarks, region: Region, size: int) -> Float:
    """Convert landmarks to cells, z in the same unit: float32 (478, 3)."""
    out = np.empty_like(landmarks.points)
    out[:, :2] = region.to_grid(landmarks.points[:, :2], size)
    out[:, 2] = landmarks.points[:, 2] * (size / region.side)
    return out


def _affine(source: Float, target: Float, triangles: Indices, area: Float) -> Float:
    """Compute the affine displacement of each triangle, (a, b, c, d, e, f): float32 (6, T).

    dx = a x + b y + c, dy = d x + e y + f. A degenerate triangle moves with its first corner.
    """
    corners, delta = triangles.T, target - source
    (x, x1, x2), (y, y1, y2) = (np.take(source[:, axis], corners) for axis in range(2))
    ux, uy, vx, vy = x1 - x, y1 - y, x2 - x, y2 - y
    firm = np.abs(area) > 0.025
    inverse = np.where(firm, 1 / np.where(firm, 2 * area, 1), 0)
    out = np.empty((6, len(area)), np.float32)
    for axis in range(2):
        d, d1, d2 = np.take(delta[:, axis], corners)
        e, f = d1 - d, d2 - d
        gx, gy = (e * vy - f * uy) * inverse, (f * ux - e * vx) * inverse  # slopes along x and along y
        out[3 * axis : 3 * axis + 3] = gx, gy, d - gx * x - gy * y
    return out


def _trust(area: Float, reference: FaceReference, kept: npt.NDArray[np.intp]) -> Float:
    """Compute the validity of each triangle, float32 (T,), [0, 1]. `kept` has their numbers."""
    before = reference.area[kept]
    stretch = area / np.maximum(before, 1e-3)
    even = np.clip((_MOST_STRETCH - stretch) / (_MOST_STRETCH - 2), 0, 1)
    trust = np.where((area > 0) & (before > 0), even * reference.visible[kept], 0).astype(np.float32)
    trust[kept >= topo.topology().skin] *= HOLE_VALIDITY
    return trust


def similarity(source: Float, target: Float) -> Float:
    """Fit the least-squares similarity from `source` to `target` (Umeyama 1991, Eq. 40 in the plane).

    Args:
        source: points, float32 (N, 2).
        target: their targets, float32 (N, 2).

    Returns:
        The matrix [s R | t], float32 (2, 3).
    """
    rows = np.empty((4, len(source)), np.float64)  # rows of numbers are fast to sum
    rows[:2], rows[2:] = source.T, target.T
    means = np.add.reduce(rows, axis=1) / len(source)
    rows -= means[:, None]
    (x_power, _, xx, xy), (_, y_power, yx, yy) = (rows[:2] @ rows.T).tolist()
    power = max(x_power + y_power, 1e-6)
    a, b = (xx + yy) / power, (xy - yx) / power
    x, y, u, v = means.tolist()
    return np.array([[a, -b, u - a * x + b * y], [b, a, v - b * x - a * y]], np.float32)


def affine(source: Float, target: Float) -> npt.NDArray[np.float64]:
    """Fit the least-squares affine map from `source` to `target`.

    Args:
        source: points, float32 (N, 2). Across a line on which all of them lie, the map is constant.
        target: their targets, float32 (N, 2).

    Returns:
        The matrix [A | t], float64 (2, 3).
    """
    rows = np.empty((4, len(source)), np.float64)  # rows of numbers are fast to sum
    rows[:2], rows[2:] = source.T, target.T
    means = np.add.reduce(rows, axis=1) / len(source)
    rows -= means[:, None]
    (xx, xy, xu, xv), (_, yy, yu, yv) = (rows[:2] @ rows.T).tolist()
    xx, yy = xx + 1e-6, yy + 1e-6
    over = 1 / (xx * yy - xy * xy)
    x, y, u, v = means.tolist()
    a, b = (yy * xu - xy * yu) * over, (xx * yu - xy * xu) * over
    c, d = (yy * xv - xy * yv) * over, (xx * yv - xy * xv) * over
    return np.array([[a, b, u - a * x - b * y], [c, d, v - c * x - d * y]])


def _distance(inside: npt.NDArray[np.bool_]) -> Float:
    """Compute the distance of the coarse cells from the mesh, in cells of the fine grid: float32 (n, n)."""
    n = len(inside) // _COARSE
    outside = cv2.resize((~inside).view(np.uint8), (n, n), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, 3) * np.float32(_COARSE), np.float32)


def _face_side(points: Float) -> float:
    """Return the longer side of the face's outline, in cells, at least 1."""
    outline = points[list(topo.OVAL), :2]
    return max(float((outline.max(axis=0) - outline.min(axis=0)).max()), 1.0)


def _extension(
    points: Float, distance: Float, reference: FaceReference, region: Region, here: Part
) -> tuple[Float, Float]:
    """Compute validity and field beyond the mesh, float32 (rows, columns) and (rows, columns, 2) of `here`.

    The validity falls with the distance from the mesh. All is computed on the coarse cells around `here`.
    """
    size, n = reference.size, len(distance)
    part = _coarse_part(here, n)
    cells = (np.arange(n, dtype=np.float32) + np.float32(0.5)) * (size / n) - np.float32(0.5)
    rows, columns = part.cells
    x, y = cells[columns], cells[rows, None]
    rigid = list(topo.RIGID)
    motion = similarity(points[rigid, :2], reference.points[rigid])
    line = np.column_stack([cells, cells])
    still = reference.region.to_grid(region.to_pixels(line, size), size) - line
    outline, face = points[list(topo.OVAL), :2], _face_side(points)
    near = distance[part.cells] / (REACH * face)
    fade = np.exp(-near * near)
    rest = reference.points[list(topo.OVAL)] - (outline @ motion[:, :2].T + motion[:, 2])
    spread = _spread(outline / np.float32(_COARSE), rest, n, face / _COARSE, part)
    spread *= np.exp(distance[part.cells] / np.float32(-0.3 * face))[..., None]
    coarse = np.empty((*part.shape, 3), np.float32)
    for axis, (a, b, shift), own, stays in (
        (0, motion[0], x, still[columns, 0]),
        (1, motion[1], y, still[rows, 1, None]),
    ):
        head = a * x + b * y + (shift - own) + spread[..., axis]
        coarse[..., axis] = stays + fade * (head - stays)
    np.multiply(fade, np.float32(OUTSIDE_VALIDITY), out=coarse[..., 2])
    full = (size, size) if part.shape == (n, n) else (part.columns * _COARSE, part.rows * _COARSE)
    fine = cv2.resize(coarse, full, interpolation=cv2.INTER_LINEAR)
    top, left = here.y - part.y * _COARSE, here.x - part.x * _COARSE
    fine = fine[top : top + here.rows, left : left + here.columns]
    return fine[..., 2], np.ascontiguousarray(fine[..., :2])


def _coarse_part(here: Part, n: int) -> Part:
    """The cells of the coarse grid of n x n that decide the fine cells of `here` when it is enlarged."""
    x, y = max(0, here.x // _COARSE - 1), max(0, here.y // _COARSE - 1)
    right = min(n, -(-(here.x + here.columns) // _COARSE) + 1)
    bottom = min(n, -(-(here.y + here.rows) // _COARSE) + 1)
    return Part(x, y, right - x, bottom - y)


def _spread(at: Float, values: Float, size: int, scale: float, part: Part) -> Float:
    """Spread values known at a few points smoothly over a part of a grid of size x size cells.

    Returns float32 (rows, columns, 2). The function uses normalised convolution (Knutsson and Westin 1993)
    with a narrow and a wide Gaussian.
    """
    known = np.zeros((size, size, 3), np.float32)
    cells = np.clip(np.rint(at - 0.5 + 0.5 / _COARSE).astype(np.int32), 0, size - 1)
    np.add.at(known, (cells[:, 1], cells[:, 0]), np.column_stack([values, np.ones(len(values))]))
    near = cv2.GaussianBlur(known, (0, 0), max(scale * 0.05, 1.0), borderType=cv2.BORDER_CONSTANT)
    far = cv2.GaussianBlur(known, (0, 0), max(scale * 0.2, 2.0), borderType=cv2.BORDER_CONSTANT)
    total = near[part.cells] + np.float32(0.05) * far[part.cells]
    return np.asarray(total[..., :2] / (total[..., 2:] + np.float32(1e-6)), np.float32)


def _draw_irises(field: Float, validity: Float, points: Float, reference: Float) -> None:
    """Write the motion of each iris inside the open eye into `field`, with validity HOLE_VALIDITY."""
    height, width = field.shape[:2]
    for iris, lids in ((topo.RIGHT_IRIS, topo.RIGHT_EYE), (topo.LEFT_IRIS, topo.LEFT_EYE)):
        centre = points[iris[0]]
        rim = points[list(iris[1:])] - centre
        radius = float(np.hypot(rim[:, 0], rim[:, 1]).mean())
        x0, y0 = (max(0, floor(value - radius - 1)) for value in centre.tolist())
        x1, y1 = (
            min(end, ceil(value + radius + 2))
            for value, end in zip(centre.tolist(), (width, height), strict=True)
        )
        if x1 <= x0 or y1 <= y0:
            continue
        motion = similarity(points[list(iris)], reference[list(iris)])
        at = pixel_grid(height, width)[y0:y1, x0:x1]
        moved = cv2.transform(at, motion) - at
        opening = np.zeros((y1 - y0, x1 - x0), np.uint8)
        corners = np.rint((points[list(lids)] - (x0, y0)) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(opening, [corners], 1, 8, _SHIFT)
        disc = ((at - centre) ** 2).sum(axis=2) <= radius * radius
        where = disc & (opening > 0)
        np.copyto(field[y0:y1, x0:x1], moved, where=where[..., None])
        np.copyto(validity[y0:y1, x0:x1], np.float32(HOLE_VALIDITY), where=where)
