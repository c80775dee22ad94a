"""The surface on which a rigid object of an edit lies, derived from the face of its reference.

Glasses lie on a plane through the bridge of the nose, and their arms on planes that bend back to the temples
at the hinges. Other objects lie on a smooth surface over brows, bridge, cheekbones, temples and forehead,
where they can touch the head. Depth counts from the mean depth of the rigid landmarks, in face sizes; larger
is farther from the camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Box, Float, Landmarks
from reference.edits.objects import frames_eyes
from reference.face.parts import FACE_OVAL, face_size, take
from reference.face.view import RIGID

# Landmarks where hats and the like touch the head: bridge of the nose, brows, cheekbones and forehead.
CONTACT = RIGID[:8] + RIGID[18:] + (70, 63, 105, 66, 107, 300, 293, 334, 296, 336)
CONTACT += (50, 280, 117, 118, 346, 347)
# Landmarks that the surface meets exactly: the temples, where it bends back sharply, and some others.
HELD = (127, 356, 162, 389, 168, 6, 70, 300, 116, 345, 10, 151, 54, 284)
HELD_SIGMA = 0.06  # over which a held landmark pulls the surface, face sizes
DEPTH_SIGMA = 0.07  # over which the contact depths are smoothed, face sizes
BRIDGE = (168, 6)  # bridge of the nose
EYE_CORNERS = (33, 263)  # outer corners: the plane of glasses is parallel to the line through them
ABOVE, BELOW = (105, 334), (117, 346)  # brows and cheekbones: the plane leans like the line between them
TEMPLES = (127, 356)  # where the arms of glasses end in a picture
FOREHEAD, CHIN = 10, 152  # ends of the line along which a flat object leans as the head does
LENS_SHARE = 0.35  # columns of at least this share of the largest height are surely lenses
ARM = 1.8  # columns are lenses, too, if they are as many times as high as the arm beside them
CAMERA = 5.0  # distance of the camera from the face, face sizes; it is not known, most are at 3 to 8
LEAST_ARM = 0.004  # least distance between hinge and temple in the picture, face sizes
STEEP = 2.0  # depth of an arm per distance across, if no temple lies beyond the hinge

_Doubles = npt.NDArray[np.float64]


def nearness(depth: _Doubles) -> _Doubles:
    """Size at which things of depth (N,) are seen, relative to those of depth 0: (N, 1)."""
    return np.asarray(CAMERA / (CAMERA + depth[:, None]), np.float64)


def lifted(flat: _Doubles, depth: _Doubles) -> _Doubles:
    """Points in space, (N, 3), that the reference shows at `flat` (N, 2) at depth (N,), all in face sizes."""
    return np.column_stack([flat / nearness(depth), depth])


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """A plane in space: a point (q, d) of it has depth d = level + slope q.

    Attributes:
        level: depth at q = 0, face sizes.
        slope: float64 (2,).
    """

    level: float
    slope: _Doubles

    @classmethod
    def through(cls, points: _Doubles) -> Plane:
        """The plane through three points in space, (3, 3), face sizes."""
        found = np.linalg.solve(np.column_stack([points[:, :2], np.ones(3)]), points[:, 2])
        return cls(float(found[2]), np.asarray(found[:2], np.float64))

    def depth_at(self, flat: _Doubles) -> _Doubles:
        """Depth, (N,), of its points that the reference shows at `flat` (N, 2), face sizes."""
        return np.asarray((self.level + flat @ self.slope) / (1 - flat @ self.slope / CAMERA))

    def met(self, start: _Doubles, step: _Doubles) -> _Doubles:
        """Depth at which lines q = start + d step meet it, (N,); NaN for lines along it."""
        steep = 1 - step @ self.slope
        depth = (self.level + start @ self.slope) / np.where(np.abs(steep) > 0.05, steep, np.nan)
        return np.where(np.abs(depth) < CAMERA / 2, depth, np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class Spectacles:
    """The planes of glasses. Places are in face sizes from the mean of the rigid landmarks.

    Attributes:
        planes: from left to right in the picture: what is drawn beyond the left arm's end, the left arm, the
            front with the lenses, the right arm, and what is beyond its end.
        bridge: place of the bridge of the nose, float64 (2,).
        across: direction of the line through the eyes, float64 (2,).
        folds: float64 (4,), where the planes meet, along `across` from the bridge; the middle two are hinges.
    """

    planes: tuple[Plane, Plane, Plane, Plane, Plane]
    bridge: _Doubles
    across: _Doubles
    folds: _Doubles

    def number(self, flat: _Doubles) -> npt.NDArray[np.intp]:
        """Tells which plane is at places (N, 2): its number, (N,)."""
        return np.searchsorted(self.folds, (flat - self.bridge) @ self.across)

    def depth_at(self, flat: _Doubles) -> _Doubles:
        """Depth at places (N, 2), (N,)."""
        return np.choose(self.number(flat), [plane.depth_at(flat) for plane in self.planes])

    def corner(self, arm: int) -> _Doubles:
        """Three points of an arm, 1 or 3, in space, (3, 3): two at the hinge, one beyond it."""
        down = np.array([-self.across[1], self.across[0]])
        hinge = self.bridge + self.folds[1 if arm == 1 else 2] * self.across
        beyond = hinge + (arm - 2) * 0.05 * self.across
        flat = np.stack([hinge - 0.05 * down, hinge + 0.05 * down, beyond])
        return lifted(flat, self.planes[arm].depth_at(flat))


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Depth over a box of the reference.

    Attributes:
        depth: float32 (rows, columns), in face sizes, relative to the mean depth of the rigid landmarks;
            larger is farther from the camera.
        box: the box (x0, y0, x1, y1) of the reference that the cells cover evenly, pixels.
    """

    depth: Float
    box: Box

    @property
    def nearest(self) -> float:
        """The least depth, face sizes."""
        return float(self.depth.min())

    @property
    def farthest(self) -> float:
        """The largest depth, face sizes."""
        return float(self.depth.max())

    def depth_at(self, places: _Doubles) -> _Doubles:
        """Reads depth, (N,), at places (N, 2) of the reference, pixels; border cells serve beyond the box."""
        x0, y0, x1, y1 = self.box
        rows, columns = self.depth.shape
        scale = np.array([columns / (x1 - x0), rows / (y1 - y0)])
        at = ((places + 0.5 - (x0, y0)) * scale - 0.5).astype(np.float32)[None]
        depth = cv2.remap(self.depth, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(depth[0], np.float64)


def surface_of(alpha: Float, box: Box, landmarks: Landmarks) -> Surface | Spectacles:
    """Derives the surface of a rigid object.

    Args:
        alpha: cover of the object, float32 (H, W), [0, 1].
        box: around the object, (x0, y0, x1, y1), pixels.
        landmarks: landmarks of the reference.
    """
    if frames_eyes(alpha, landmarks):
        return _spectacles(alpha, landmarks)
    around, at, shape = _grid(box, landmarks)
    depth = _contact(at, landmarks) - landmarks.points[list(RIGID), 2].mean() / face_size(landmarks)
    return Surface(depth.reshape(shape).astype(np.float32), around)


def flat_surface(box: Box, landmarks: Landmarks, through: float) -> Surface:
    """A plane that faces as the head does.

    Args:
        box: around the object, (x0, y0, x1, y1), pixels.
        landmarks: landmarks of the reference.
        through: depth of the plane at the middle of the box, pixels as in `Landmarks`.
    """
    size = face_size(landmarks)
    around, at, shape = _grid(box, landmarks)
    points = np.asarray(landmarks.points, np.float64)
    right, left = points[list(EYE_CORNERS)]
    top, low = points[FOREHEAD], points[CHIN]
    slope = np.linalg.solve([(left - right)[:2], (low - top)[:2]], [(left - right)[2], (low - top)[2]])
    middle = np.array([box[0] + box[2], box[1] + box[3]]) / 2
    depth = (through + (at - middle) @ slope - points[list(RIGID), 2].mean()) / size
    return Surface(depth.reshape(shape).astype(np.float32), around)


def _grid(box: Box, landmarks: Landmarks) -> tuple[Box, _Doubles, tuple[int, int]]:
    """The cells on which depth is kept: the box that they cover, their places (N, 2), rows and columns."""
    size = face_size(landmarks)
    reach = round(0.2 * size)
    around = (box[0] - reach, box[1] - reach, box[2] + reach, box[3] + reach)
    step = max(1.0, 0.025 * size)
    columns, rows = (max(2, round((around[i + 2] - around[i]) / step)) for i in (0, 1))
    x = around[0] + (np.arange(columns) + 0.5) * (around[2] - around[0]) / columns - 0.5
    y = around[1] + (np.arange(rows) + 0.5) * (around[3] - around[1]) / rows - 0.5
    return around, np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2), (rows, columns)


def _spectacles(alpha: Float, landmarks: Landmarks) -> Spectacles:
    """Places glasses: the front leans like the line from brows to cheekbones, the arms end at the temples."""
    points = np.asarray(landmarks.points, np.float64)
    points = (points - points[list(RIGID)].mean(axis=0)) / face_size(landmarks)
    space = lifted(points[:, :2], points[:, 2])
    right, left = points[list(EYE_CORNERS), :2]
    across = (left - right) / np.linalg.norm(left - right)
    down = np.array([-across[1], across[0]])
    bridge = space[list(BRIDGE)].mean(axis=0)
    along = np.subtract(*space[list(EYE_CORNERS[::-1])])
    fall = space[list(BELOW)].mean(axis=0) - space[list(ABOVE)].mean(axis=0)
    front = Plane.through(np.stack([bridge, bridge + along, bridge + fall]))
    middle = points[list(BRIDGE), :2].mean(axis=0)
    pixels = np.asarray(landmarks.points[list(BRIDGE), :2], np.float64).mean(axis=0)
    first, last = (end / face_size(landmarks) for end in _hinges(alpha, pixels, across))
    planes, folds = [front], [first, last]
    for side, hinge, temple in ((-1, first, TEMPLES[0]), (1, last, TEMPLES[1])):
        flat = np.stack([middle + hinge * across - 0.1 * down, middle + hinge * across + 0.1 * down])
        end, depth = points[temple, :2], float(points[temple, 2])
        out = side * (float((end - middle) @ across) - hinge)  # distance from hinge to temple
        if out <= LEAST_ARM or depth <= float(front.depth_at(end[None])[0]):
            out = 0.1
            end = middle + (hinge + side * out) * across
            depth = float(front.depth_at(end[None])[0]) + STEEP * out
        arm = Plane.through(lifted(np.vstack([flat, end]), np.append(front.depth_at(flat), depth)))
        low = end + (0.1 * down)
        edge = np.stack([end, low, end + side * 0.1 * across])
        at = arm.depth_at(edge)
        at[2] = at[0]
        planes = [*planes, arm, Plane.through(lifted(edge, at))]
        folds.append(hinge + side * out)
    front, left, beyond_left, right, beyond_right = planes
    order = (beyond_left, left, front, right, beyond_right)
    return Spectacles(order, middle, across, np.array([folds[2], first, last, folds[3]]))


def _hinges(alpha: Float, middle: _Doubles, across: _Doubles) -> tuple[float, float]:
    """The outer ends of the lenses on either side of the nose, pixels along the line through the eyes.

    A lens ends where the object becomes nearly as low as the arm beyond it.
    """
    y, x = np.nonzero(alpha > 0.5)
    away = np.column_stack([x, y]) - middle
    along = np.rint(away @ across).astype(int)
    down = away @ np.array([-across[1], across[0]])
    first = int(along.min())
    high, low = (np.full(int(along.max()) - first + 1, start) for start in (np.inf, -np.inf))
    np.minimum.at(high, along - first, down)
    np.maximum.at(low, along - first, down)
    extent = np.where(np.isfinite(high), low - high, 0.0)
    sure = np.flatnonzero(extent >= LENS_SHARE * extent.max())
    ends: list[int] = []
    for beyond, inmost in (
        (extent[: sure.min()], int(sure.min())),
        (extent[: sure.max() : -1], int(sure.max())),
    ):
        arm = float(np.median(beyond[: 1 + len(beyond) // 2])) if len(beyond) else 0.0
        lens = int((np.cumsum(beyond[::-1] <= ARM * arm) == 0).sum())  # columns up to the arm
        ends.append(inmost + (lens if ends else -lens) + first)
    return float(min(ends[0], -1)), float(max(ends[1], 1))


def _contact(places: _Doubles, landmarks: Landmarks) -> _Doubles:
    """Depth of the surface that objects on the head touch, at places (N, 2), (N,), face sizes.

    It consists of local planes through the depths of `CONTACT`, bent to meet the landmarks `HELD`. Beside the
    face, the nearest place on the face gives the depth.
    """
    size = face_size(landmarks)
    at = _onto(places, take(landmarks, FACE_OVAL))
    contact, held = (np.asarray(landmarks.points[list(n)], np.float64) / size for n in (CONTACT, HELD))
    pull = _kernel(held[:, :2], held[:, :2]) + 1e-6 * np.eye(len(HELD))
    missed = np.linalg.solve(pull, held[:, 2] - _planes(contact, held[:, :2]))
    return np.asarray(_planes(contact, at / size) + _kernel(at / size, held[:, :2]) @ missed)


def _planes(known: _Doubles, places: _Doubles) -> _Doubles:
    """Depth at places (N, 2) by local planes through known points (K, 3), all in face sizes, (N,)."""
    apart = known[None, :, :2] - places[:, None]
    square = (apart**2).sum(axis=2) / DEPTH_SIGMA**2
    weight = np.exp(-0.5 * (square - square.min(axis=1, keepdims=True)))
    basis = np.concatenate([np.ones((*apart.shape[:2], 1)), apart], axis=2)  # (N, K, 3)
    weighted = (basis * weight[..., None]).transpose(0, 2, 1)
    normal = weighted @ basis + 1e-3 * weight.sum(axis=1)[:, None, None] * np.diag([0.0, 1.0, 1.0])
    return np.asarray(np.linalg.solve(normal, (weighted @ known[:, 2])[..., None])[:, 0, 0])


def _kernel(a: _Doubles, b: _Doubles) -> _Doubles:
    """Gaussian weights between places (N, 2) and (K, 2), face sizes: (N, K)."""
    square = ((a[:, None] - b[None]) ** 2).sum(axis=2)
    return np.asarray(np.exp(-0.5 * square / HELD_SIGMA**2))


def _onto(places: _Doubles, outline: Float) -> _Doubles:
    """Moves places (N, 2) outside a closed outline to the nearest point on the outline."""
    polygon = np.ascontiguousarray(outline, np.float32).reshape(-1, 1, 2)
    out = places.copy()
    start, step = outline, np.roll(outline, -1, axis=0) - outline
    for i, place in enumerate(places):
        if cv2.pointPolygonTest(polygon, (float(place[0]), float(place[1])), False) >= 0:
            continue
        t = np.clip(((place - start) * step).sum(axis=1) / np.maximum((step**2).sum(axis=1), 1e-9), 0, 1)
        on = start + t[:, None] * step
        out[i] = on[((on - place) ** 2).sum(axis=1).argmin()]
    return out
