"""Carries a rigid object of an edit by the head's motion and lays it over the frame.

The head moves as one piece. Under weak perspective, a point at (x, y) and depth z of the reference is seen at
A (x, y, z, 1). A is a 2 x 4 matrix fitted to landmarks that keep their distances (Ullman and Basri 1991). A
single picture does not show its depth, so the object is placed on a surface that is derived from the
reference's face (`surface`). A pixel of the frame shows what its line of sight meets first.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Box, Float, Image, Landmarks
from reference.compose.blend import UNIT
from reference.compose.layers import Softness, fixed_maps, soft_paint, warp
from reference.compose.surface import Surface, surface_of
from reference.edits.mask import smoothstep
from reference.face.parts import FACE_OVAL, face_size, take
from reference.face.view import RIGID

REACH = 0.3  # landmarks within about this distance of the object decide its place, face sizes
FAR = 0.05  # weight of the other landmarks
CELL = 8  # cell of the grid on which places are computed, pixels
DEPTHS = 24  # number of depths at which a line of sight is tested
THIN = (0.3, 0.5)  # foreshortening at which the object is gone, and at which it shows fully (60 degrees)
MARGIN = 2  # margin around the object's box, pixels
RIM = 0.05  # margin of the picture that is kept around the object for its blur, face sizes

_Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """The place of an object in a frame.

    Attributes:
        box: a box of the frame, (x0, y0, x1, y1), pixels.
        places: place of each pixel of the box on the reference, float32 (h, w, 2), pixels.
        share: opacity of the object, [0, 1]; it falls as the head turns away.
    """

    box: Box
    places: Float
    share: float


class RigidLayer:
    """The rigid objects of one edit. It is immutable and may be shared by threads.

    Args:
        edited: the edited picture, uint8 (H, W, 3).
        alpha: cover of the objects, float32 (H, W) in [0, 1], above 0 somewhere.
        landmarks: landmarks of the reference.
        surface: the surface on which they lie; None to derive it from the face.
    """

    def __init__(
        self, edited: Image, alpha: Float, landmarks: Landmarks, surface: Surface | None = None
    ) -> None:
        cover = np.rint(alpha * 255).astype(np.uint8)
        x, y, w, h = cv2.boundingRect(cover)
        self.box: Box = (x, y, x + w, y + h)
        size = face_size(landmarks)
        rim = round(RIM * size)
        self._corner = (max(0, x - rim), max(0, y - rim))
        cut = np.s_[self._corner[1] : y + h + rim, self._corner[0] : x + w + rim]
        self._paint = np.dstack([edited[cut], cover[cut]])
        points = np.asarray(landmarks.points[list(RIGID)], np.float64)
        self._middle, self._size = points.mean(axis=0), size
        far = cv2.distanceTransform((cover == 0).astype(np.uint8), cv2.DIST_L2, 5)
        at = np.clip(np.rint(points[:, :2]).astype(int), 0, np.array(cover.shape[::-1]) - 1)
        apart = far[at[:, 1], at[:, 0]] / (REACH * size)
        self._weights = np.exp(-(apart**2)) + FAR
        self._anchors = np.column_stack([(points - self._middle) / size, np.ones(len(points))])
        self._surface = surface or surface_of(alpha, self.box, landmarks)

    def place(self, landmarks: Landmarks, size: tuple[int, int], beyond: float = 0.0) -> Placed | None:
        """Finds the object's place in a frame; None if it is out of the frame or turned away.

        Args:
            landmarks: landmarks of the frame.
            size: (H, W) of the frame.
            beyond: further margin of the box around the object, pixels.
        """
        motion = self._motion(landmarks)
        plane = motion[:2].T / self._size  # 2 x 2
        singular = np.linalg.svd(plane, compute_uv=False)
        thin = float(singular[1] / max(singular[0], 1e-9))
        share = float(smoothstep(np.array(thin, np.float32), *THIN))
        box = self._landing(motion, size, MARGIN + int(np.ceil(beyond)))
        if box is None or share <= 0 or np.linalg.det(plane) <= 0:
            return None
        return Placed(box, self._places(motion, np.asarray(np.linalg.inv(plane), np.float64), box), share)

    def carry(self, landmarks: Landmarks, places: Float) -> Float:
        """Maps places of the object to a frame.

        Args:
            landmarks: landmarks of the frame.
            places: on the reference, float32 (N, 2), pixels.

        Returns:
            float32 (N, 2), pixels of the frame; hidden places are included.
        """
        seen = self._forward(self._motion(landmarks), np.asarray(places, np.float64))
        return seen.astype(np.float32)

    def _motion(self, landmarks: Landmarks) -> _Doubles:
        """The head's motion A, (4, 2), from face sizes to pixels of the frame."""
        weighted = self._anchors * self._weights[:, None]
        target = np.asarray(landmarks.points[list(RIGID), :2], np.float64)
        normal = self._anchors.T @ weighted + 1e-4 * np.diag([0.0, 0.0, 1.0, 0.0])
        return np.asarray(np.linalg.solve(normal, weighted.T @ target))

    def _forward(self, motion: _Doubles, places: _Doubles) -> _Doubles:
        """Maps places (N, 2) of the reference to the frame, (N, 2)."""
        depth = self._surface.depth_at(places)
        at = np.column_stack([(places - self._middle[:2]) / self._size, depth, np.ones(len(places))])
        return np.asarray(at @ motion)

    def _landing(self, motion: _Doubles, size: tuple[int, int], margin: int) -> Box | None:
        x0, y0, x1, y1 = self.box
        across, down = np.linspace(x0, x1, 7), np.linspace(y0, y1, 7)
        rim = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
        seen = self._forward(motion, rim)
        low, high = np.floor(seen.min(axis=0)).astype(int), np.ceil(seen.max(axis=0)).astype(int)
        x0, y0 = max(0, int(low[0]) - margin), max(0, int(low[1]) - margin)
        x1, y1 = min(size[1], int(high[0]) + margin + 1), min(size[0], int(high[1]) + margin + 1)
        return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None

    def _places(self, motion: _Doubles, inverse: _Doubles, box: Box) -> Float:
        """Place on the reference that the line of sight of each pixel of a box meets, (h, w, 2)."""
        x0, y0, x1, y1 = box
        columns, rows = -(-(x1 - x0) // CELL) + 2, -(-(y1 - y0) // CELL) + 2  # a cell more on each side
        x = x0 + (np.arange(columns) - 0.5) * CELL - 0.5
        y = y0 + (np.arange(rows) - 0.5) * CELL - 0.5
        wanted = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        start = (wanted - motion[3]) @ inverse.T + self._middle[:2]  # places at the mean depth
        step = inverse @ motion[2]  # the line of sight on the reference, for a depth of 1
        low, high = self._surface.nearest - 1e-3, self._surface.farthest + 1e-3
        depths = np.linspace(low, high, DEPTHS)
        beyond = np.stack(
            [d - self._surface.depth_at(start - d * step) for d in depths]
        )  # rises through 0 at a hit
        hit = np.argmax(beyond >= 0, axis=0)  # the nearest hit; the last depth if there is none before
        hit = np.maximum(np.where(beyond[-1] < 0, DEPTHS - 1, hit), 1)
        cell = np.arange(len(start))
        before, after = beyond[hit - 1, cell], beyond[hit, cell]
        part = np.clip(-before / np.where(after > before, after - before, 1), 0, 1)
        depth = depths[hit - 1] + part * (depths[1] - depths[0])
        grid = (start - depth[:, None] * step).reshape(rows, columns, 2).astype(np.float32)
        full = cv2.resize(grid, (columns * CELL, rows * CELL), interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(full[CELL : CELL + y1 - y0, CELL : CELL + x1 - x0])

    def lay(
        self,
        image: Image,
        placed: Placed,
        gain: float,
        trust: Float | None,
        softness: Softness | None = None,
    ) -> None:
        """Lays the object over a frame, in place. Pixels that it does not cover stay as they are.

        Args:
            image: uint8 (H, W, 3).
            placed: the result of `place`.
            gain: light on the frame divided by light on the reference.
            trust: multiplies the object's cover, float32 (h, w) over the box, [0, 1]; None for 1.
            softness: blur that makes the object as soft as the frame; None for none.
        """
        x0, y0, x1, y1 = placed.box
        places = placed.places - np.array(self._corner, np.float32)
        paint = self._paint if softness is None else soft_paint(self._paint, softness)
        warped = warp(paint, fixed_maps(places))
        colour, cover = cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB), cv2.extractChannel(warped, 3)
        if abs(gain - 1) * UNIT >= 1:
            colour = cv2.convertScaleAbs(colour, alpha=gain)
        share = cover.astype(np.float32) * np.float32(placed.share / 255)
        if trust is not None:
            share *= trust
        under = np.ascontiguousarray(image[y0:y1, x0:x1])
        image[y0:y1, x0:x1] = cv2.blendLinear(colour, under, share, 1 - share)


def on_face(trust: Float, landmarks: Landmarks, box: Box) -> Float:
    """Limits trust in a match to the face, for an object that is laid over it.

    What hides the face hides the object too. Beside the face, low trust does not count, because hair and
    background may look different there.

    Args:
        trust: float32, a coarse grid over the box, [0, 1].
        landmarks: landmarks of the frame.
        box: a box of the frame, (x0, y0, x1, y1), pixels.

    Returns:
        float32 (h, w) over the box: `trust` inside the face's oval, 1 outside.
    """
    x0, y0, x1, y1 = box
    shown = cv2.resize(trust, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    face = np.zeros((y1 - y0, x1 - x0), np.uint8)
    oval = (take(landmarks, FACE_OVAL) - np.array((x0, y0), np.float32)) * 16
    cv2.fillPoly(face, [np.rint(oval).astype(np.int32)], 1, shift=4)
    return np.where(face > 0, shown, np.float32(1)).astype(np.float32)
