"""Limits an edit of the face to the face's mesh on the frame. What lands elsewhere is a wrong match.

A field that wrongly maps hair, ear or neck to a painted cheek would show the paint twice. Paint that lies on
the mesh in the reference is therefore shown only where the frame's mesh, slightly widened, carries it.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Bool, Box, Float, Image, Landmarks
from correspondence.face.topology import topology
from correspondence.face.triangles import signed_areas
from reference.compose.blend import lay_over
from reference.face.parts import face_size

CELLS = 96  # cells across the face on which the mask is carried
BESIDE = 0.05  # paint this near to the mesh moves with its rim, face sizes
SLACK = 0.006  # allowed distance between match and mesh, face sizes
MOST_STRETCH = 4.0  # a triangle enlarged more than this was seen edge-on in the reference and is not used
CANVAS_PX = 2  # cell of the canvas on the frame, pixels


class FaceGate:
    """The part of an edit that moves with the face's mesh. It is immutable and may be shared by threads.

    Args:
        edited: bool (H, W), the reference's pixels that the edit changes.
        landmarks: landmarks of the reference.

    Attributes:
        free: uint8 (H, W), 255 at edited pixels off the mesh, which the gate does not limit; None if there
            are none.
        share: share of the edited pixels that the gate limits, [0, 1].
    """

    def __init__(self, edited: Bool, landmarks: Landmarks) -> None:
        size = face_size(landmarks)
        owner = _owners(landmarks, (edited.shape[0], edited.shape[1]), BESIDE * size)
        beyond = (edited & (owner < 0)).astype(np.uint8) * np.uint8(255)
        self.free = beyond if beyond.any() else None
        self.share = 1 - int(np.count_nonzero(beyond)) / max(int(np.count_nonzero(edited)), 1)
        self._step = max(1, round(size / CELLS))
        y, x = _cells(edited & (owner >= 0), self._step)
        triangles = topology().triangles
        self._owner = owner[y, x]  # the triangle that carries each cell
        corners = landmarks.points[:, :2][triangles]
        shares = _barycentric(np.stack([x, y], axis=1).astype(np.float32), corners[self._owner])
        self._shares = np.ascontiguousarray(shares.T)  # (3, N)
        self._corners = np.ascontiguousarray(triangles[self._owner].T)  # corners of these triangles, (3, N)
        self._most_area = MOST_STRETCH * _area(corners) / size**2  # not above 0 for triangles turned away
        self._size = size

    def allowed(self, landmarks: Landmarks, box: Box, beyond: float = 0.0) -> Image:
        """Finds where paint of the mesh may show on a box of the frame.

        Triangles that face away from the camera, or were nearly edge-on in the reference, carry no paint.

        Args:
            landmarks: landmarks of the frame.
            box: (x0, y0, x1, y1) of the frame.
            beyond: further margin around the carried paint, pixels.

        Returns:
            uint8 (y1 - y0, x1 - x0), 255: allowed, 0: not allowed. It falls off over a few pixels, because
            a hard rim would be visible.
        """
        x0, y0, x1, y1 = box
        area = 2 * signed_areas(landmarks.points, topology().triangles)
        seen = ((area > 0) & (area < self._most_area * face_size(landmarks) ** 2))[self._owner]
        scale = face_size(landmarks) / self._size
        radius = 0.75 * self._step * scale + SLACK * face_size(landmarks) + beyond
        reach = max(1, round(radius / CANVAS_PX))
        gap = max(1, round(self._step * scale / CANVAS_PX))  # gaps this wide open where the mesh stretches
        edge = reach + gap
        columns, rows = (-(-(x1 - x0) // CANVAS_PX), -(-(y1 - y0) // CANVAS_PX))
        canvas = np.zeros((rows + 2 * edge, columns + 2 * edge), np.uint8)
        x, y = (
            np.floor((self._carried(landmarks.points[:, axis]) - first) * np.float32(1 / CANVAS_PX)) + edge
            for axis, first in ((0, x0), (1, y0))
        )
        seen &= (x >= 0) & (x < canvas.shape[1]) & (y >= 0) & (y < canvas.shape[0])
        canvas[y[seen].astype(np.intp), x[seen].astype(np.intp)] = 255
        grown = cv2.erode(cv2.dilate(canvas, _disc(edge)), _disc(gap))[
            edge : edge + rows, edge : edge + columns
        ]
        soft = cv2.convertScaleAbs(cv2.blur(grown, (3, 3)), alpha=2)  # falls off outside the grown area
        full = cv2.resize(soft, (columns * CANVAS_PX, rows * CANVAS_PX), interpolation=cv2.INTER_LINEAR)
        return np.asarray(full[: y1 - y0, : x1 - x0], np.uint8)

    def _carried(self, points: Float) -> Float:
        """One coordinate of all cells on a frame, float32 (N,), from its landmarks', float32 (478,)."""
        (a, b, c), (u, v, w) = self._corners, self._shares
        return np.asarray(u * points[a] + v * points[b] + w * points[c], np.float32)

    def shut(self, out: Image, live: Image, at: Float, allowed: Image) -> None:
        """Restores the live pixels where paint of the face would land off the face, in place.

        Args:
            out: the composed picture, uint8 (h, w, 3).
            live: the frame there, uint8 (h, w, 3).
            at: place of each pixel in the reference, float32 (h, w, 2), pixels.
            allowed: the result of `allowed` there, uint8 (h, w).
        """
        x, y, w, h = cv2.boundingRect(cv2.compare(allowed, 255, cv2.CMP_LT))
        if not w:
            return
        part = np.s_[y : y + h, x : x + w]
        allowed = allowed[part]
        if self.free is not None:
            free = cv2.remap(self.free, at[part], None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
            allowed = cv2.max(allowed, free)
        closed = cv2.bitwise_not(allowed)
        x, y, w, h = cv2.boundingRect(closed)
        if w:
            near = np.s_[y : y + h, x : x + w]
            lay_over(out[part][near], live[part][near], closed[near])


def _disc(radius: int) -> Image:
    disc: Image = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return disc


def _owners(landmarks: Landmarks, size: tuple[int, int], beside: float) -> npt.NDArray[np.int32]:
    """Number of the triangle at each pixel, or of the nearest within `beside` pixels; -1 elsewhere; int32."""
    triangles = topology().triangles
    drawn = np.full(size, -1, np.float32)  # float32 holds the numbers exactly, and OpenCV draws on it
    depth = landmarks.points[triangles, 2].mean(axis=1)
    corners = np.rint(landmarks.points[triangles, :2] * 16).astype(np.int32)
    for index in np.argsort(-depth):  # far to near
        cv2.fillConvexPoly(drawn, corners[index], float(index), lineType=cv2.LINE_8, shift=4)
    owner = drawn.astype(np.int32)
    off = (owner < 0).astype(np.uint8)
    if not off.any() or off.all():
        return owner
    far, label = cv2.distanceTransformWithLabels(off, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    nearest = np.zeros(int(label.max()) + 1, np.int32)
    nearest[label[off == 0]] = owner[off == 0]
    return np.where(far <= beside, nearest[label], -1).astype(np.int32)


def _cells(where: Bool, step: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows and columns of one pixel of `where` in each cell of step x step pixels that has one."""
    y, x = np.nonzero(where)
    columns = -(-where.shape[1] // step)
    _, first = np.unique((y // step) * columns + x // step, return_index=True)
    return y[first], x[first]


def _barycentric(points: Float, corners: Float) -> Float:
    """Barycentric coordinates of (N, 2) points in (N, 3, 2) triangles, float32 (N, 3); 1 / 3 in flat ones."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = _area(corners)
    flat = np.abs(area) < 1e-3
    area = np.where(flat, 1, area)
    v = _area(np.stack([a, points, c], axis=1)) / area
    w = _area(np.stack([a, b, points], axis=1)) / area
    shares = np.stack([1 - v - w, v, w], axis=1)
    shares[flat] = 1 / 3
    return shares.astype(np.float32)


def _area(corners: Float) -> Float:
    """Twice the signed area of triangles (N, 3, 2), positive where they face the camera."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], np.float32)
