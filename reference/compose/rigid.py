"""Carries a rigid object of an edit by the head's motion and lays it over the frame.

The head moves as one piece. A point p of the reference's head, with depth, is seen at t + w A p. A is a 2 x 3
matrix fitted to landmarks that keep their distances (Ullman and Basri 1991), t a shift, and w = D / (D + k p)
the perspective of a camera at D: k is the unit vector across both rows of A, so that k p is the depth in the
frame. A single picture does not show its depth, so the object is placed on a surface that is derived from the
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
from reference.compose.surface import CAMERA, Plane, Spectacles, Surface, lifted, nearness, surface_of
from reference.edits.mask import smoothstep
from reference.face.parts import FACE_OVAL, face_size, take
from reference.face.view import RIGID

REACH = 0.3  # landmarks within about this distance of the object decide its place, face sizes
FAR = 0.05  # weight of the other landmarks
CELL = 8  # cell of the grid on which places are computed, pixels
DEPTHS = 24  # number of depths at which a line of sight is tested
THIN = (0.3, 0.5)  # foreshortening at which the object is gone, and at which it shows fully (60 degrees)
MARGIN = 2  # margin around the object's box, pixels
NOWHERE = -1e4  # place on the reference of what shows nothing, pixels
ROUNDS = 3  # number of fits, each with the depths of the one before (DeMenthon and Davis 1995)
CLOSE = 0.02  # an edit this close to an object belongs to it, face sizes
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


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """A motion of the head.

    Attributes:
        seen: A above t, float64 (4, 2), from face sizes to pixels of the frame.
        ahead: k, the direction of the frame's depth on the reference, float64 (3,), of length 1.
    """

    seen: _Doubles
    ahead: _Doubles

    def forward(self, points: _Doubles) -> _Doubles:
        """Maps points (N, 3) of the reference's head, face sizes, to the frame, (N, 2), pixels."""
        return self.seen[3] + nearness(points @ self.ahead) * (points @ self.seen[:3])


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
        flat = (points - self._middle) / size
        self._anchors = lifted(flat[:, :2], flat[:, 2])
        self._surface = surface or surface_of(alpha, self.box, landmarks)

    def share_of(self, mask: Float) -> float:
        """Share of a mask of the reference, float32 (H, W), that lies on the objects or close beside them."""
        x, y = self._corner
        height, width = self._paint.shape[:2]
        side = 2 * max(1, round(CLOSE * self._size)) + 1
        near = cv2.dilate(self._paint[..., 3], np.ones((side, side), np.uint8)) > 0
        return float(mask[y : y + height, x : x + width][near].sum() / max(float(mask.sum()), 1e-6))

    def place(self, landmarks: Landmarks, size: tuple[int, int], beyond: float = 0.0) -> Placed | None:
        """Finds the object's place in a frame; None if it is out of the frame or turned away.

        Args:
            landmarks: landmarks of the frame.
            size: (H, W) of the frame.
            beyond: further margin of the box around the object, pixels.
        """
        motion = self._motion(landmarks)
        plane = motion.seen[:2].T / self._size  # 2 x 2
        singular = np.linalg.svd(plane, compute_uv=False)
        thin = float(singular[1] / max(singular[0], 1e-9))
        share = float(smoothstep(np.array(thin, np.float32), *THIN))
        box = self._landing(motion, size, MARGIN + int(np.ceil(beyond)))
        if box is None or share <= 0 or np.linalg.det(plane) <= 0:
            return None
        return Placed(box, self._places(motion, box), share)

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

    def _motion(self, landmarks: Landmarks) -> Motion:
        """Fits the head's motion to the landmarks of a frame."""
        target = np.asarray(landmarks.points[list(RIGID), :2], np.float64)
        near = np.ones((len(target), 1))
        for _ in range(ROUNDS):
            basis = np.column_stack([near * self._anchors, np.ones(len(target))])
            weighted = basis * self._weights[:, None]
            normal = basis.T @ weighted + 1e-4 * np.diag([0.0, 0.0, 1.0, 0.0])
            seen = np.linalg.solve(normal, weighted.T @ target)
            across = np.cross(seen[:3, 0], seen[:3, 1])
            ahead = across / max(float(np.linalg.norm(across)), 1e-9)
            near = nearness(self._anchors @ ahead)
        return Motion(seen, ahead)

    def _forward(self, motion: Motion, places: _Doubles) -> _Doubles:
        """Maps places (N, 2) of the reference to the frame, (N, 2)."""
        flat = (places - self._middle[:2]) / self._size
        at = flat if isinstance(self._surface, Spectacles) else places
        return motion.forward(lifted(flat, self._surface.depth_at(at)))

    def _landing(self, motion: Motion, size: tuple[int, int], margin: int) -> Box | None:
        x0, y0, x1, y1 = self.box
        across, down = np.linspace(x0, x1, 7), np.linspace(y0, y1, 7)
        rim = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
        if isinstance(self._surface, Spectacles):  # a lens may reach farther out than its arm
            rim = np.concatenate([rim, *self._hinges(self._surface, y0, y1)])
        seen = self._forward(motion, rim)
        low, high = np.floor(seen.min(axis=0)).astype(int), np.ceil(seen.max(axis=0)).astype(int)
        x0, y0 = max(0, int(low[0]) - margin), max(0, int(low[1]) - margin)
        x1, y1 = min(size[1], int(high[0]) + margin + 1), min(size[0], int(high[1]) + margin + 1)
        return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None

    def _hinges(self, glasses: Spectacles, top: int, bottom: int) -> list[_Doubles]:
        """Places of the two hinges at the height of the box's top and bottom, pixels, (2, 2) each."""
        down = np.array([-glasses.across[1], glasses.across[0]])
        found = []
        for fold in glasses.folds[1:3]:
            at = self._middle[:2] + self._size * (glasses.bridge + fold * glasses.across)
            found.append(at + np.outer((top - at[1], bottom - at[1]), down))
        return found

    def _places(self, motion: Motion, box: Box) -> Float:
        """Place on the reference that the line of sight of each pixel of a box meets, (h, w, 2)."""
        x0, y0, x1, y1 = box
        columns, rows = -(-(x1 - x0) // CELL) + 2, -(-(y1 - y0) // CELL) + 2  # a cell more on each side
        x = x0 + (np.arange(columns) - 0.5) * CELL - 0.5
        y = y0 + (np.arange(rows) - 0.5) * CELL - 0.5
        away = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2) - motion.seen[3]
        # What is seen at `away` is q = start + d step at depth d: (D A - away k) (q, d) = D away.
        facing = CAMERA * motion.seen[:3].T - away[:, :, None] * motion.ahead  # (N, 2, 3)
        both = np.linalg.solve(facing[..., :2], np.stack([CAMERA * away, -facing[..., 2]], axis=-1))
        start, step = both[..., 0], both[..., 1]

        if isinstance(self._surface, Surface):
            return self._grown(self._marched(self._surface, start, step), (rows, columns), box)
        return self._folded(self._surface, motion, start, step, (rows, columns), box)

    def _shown(self, start: _Doubles, step: _Doubles, depth: float | _Doubles) -> _Doubles:
        """Place on the reference, (N, 2), pixels, of points at depths of lines of sight."""
        flat = (start + depth * step) * (CAMERA / (CAMERA + depth))
        return np.asarray(self._middle[:2] + self._size * flat, np.float64)

    def _grown(self, places: _Doubles, cells: tuple[int, int], box: Box) -> Float:
        """Enlarges places of cells to those of all pixels of a box, (h, w, 2)."""
        rows, columns = cells
        grid = places.reshape(rows, columns, 2).astype(np.float32)
        full = cv2.resize(grid, (columns * CELL, rows * CELL), interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(full[CELL : CELL + box[3] - box[1], CELL : CELL + box[2] - box[0]])

    def _marched(self, surface: Surface, start: _Doubles, step: _Doubles) -> _Doubles:
        """Place where each line of sight meets a smooth surface first."""
        depths = np.linspace(surface.nearest - 1e-3, surface.farthest + 1e-3, DEPTHS)
        beyond = np.stack([d - surface.depth_at(self._shown(start, step, d)) for d in depths])
        hit = np.argmax(beyond >= 0, axis=0)  # the nearest hit; the last depth if there is none before
        hit = np.maximum(np.where(beyond[-1] < 0, DEPTHS - 1, hit), 1)
        cell = np.arange(len(start))
        before, after = beyond[hit - 1, cell], beyond[hit, cell]
        part = np.clip(-before / np.where(after > before, after - before, 1), 0, 1)
        depth = depths[hit - 1] + part * (depths[1] - depths[0])
        return self._shown(start, step, depth[:, None])

    def _folded(
        self,
        glasses: Spectacles,
        motion: Motion,
        start: _Doubles,
        step: _Doubles,
        cells: tuple[int, int],
        box: Box,
    ) -> Float:
        """Place on the front of glasses, and beyond a hinge on its arm if that shows its outer side."""

        def on(plane: Plane) -> Float:
            met = self._shown(start, step, plane.met(start, step)[:, None])
            return self._grown(np.where(np.isnan(met), NOWHERE, met), cells, box)

        line = np.append(glasses.across, -(glasses.across @ (self._middle[:2] / self._size + glasses.bridge)))
        line[:2] /= self._size

        def along(places: Float) -> Float:
            return np.asarray(cv2.transform(places, line[None]), np.float32)

        places = on(glasses.planes[2])
        across = along(places)
        for arm, end, hinge, sign in ((1, 0, 1, -1), (3, 4, 2, 1)):
            beyond = sign * across > sign * glasses.folds[hinge]
            if not beyond.any():
                continue
            places[beyond] = NOWHERE  # where the head hides it
            own = glasses.corner(arm)
            if _turn(motion.forward(own)) * _turn(own[:, :2]) > 0:
                bent = on(glasses.planes[arm])
                ended = sign * along(bent) > sign * glasses.folds[0 if arm == 1 else 3]
                bent[ended] = on(glasses.planes[end])[ended]
                places[beyond] = bent[beyond]
        return places

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


def _turn(points: _Doubles) -> float:
    """Twice the signed area of a triangle, (3, 2)."""
    (ax, ay), (bx, by) = points[1] - points[0], points[2] - points[0]
    return float(ax * by - ay * bx)


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
