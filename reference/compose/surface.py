"""The surface on which a rigid object of an edit lies, derived from the face of its reference.

Glasses lie on a plane through the bridge of the nose; their parts beyond the hinges bend back to the temples.
Other objects lie on a smooth surface over brows, bridge, cheekbones, temples and forehead, where they can
touch the head.
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
LENS_SHARE = 0.35  # columns of at least this share of the largest height are lenses, the others arms
STEEP = 2.0  # depth of an arm per distance across, if no temple lies beyond the hinge

_Doubles = npt.NDArray[np.float64]


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


def surface_of(alpha: Float, box: Box, landmarks: Landmarks) -> Surface:
    """Derives the surface of a rigid object.

    Args:
        alpha: cover of the object, float32 (H, W), [0, 1].
        box: around the object, (x0, y0, x1, y1), pixels.
        landmarks: landmarks of the reference.
    """
    around, at, shape = _grid(box, landmarks)
    depth = _plane(at, alpha, landmarks) if frames_eyes(alpha, landmarks) else _contact(at, landmarks)
    depth -= landmarks.points[list(RIGID), 2].mean() / face_size(landmarks)
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


def _plane(places: _Doubles, alpha: Float, landmarks: Landmarks) -> _Doubles:
    """Depth of glasses at places (N, 2), (N,), face sizes: a plane with arms that bend back at the hinges."""
    size = face_size(landmarks)
    points = np.asarray(landmarks.points, np.float64)
    right, left = points[list(EYE_CORNERS)]
    across = (left - right)[:2] / np.linalg.norm((left - right)[:2])
    down = np.array([-across[1], across[0]])
    above, below = points[list(ABOVE)].mean(axis=0), points[list(BELOW)].mean(axis=0)
    slope = (left - right)[2] / float((left - right)[:2] @ across)
    fall = below - above
    lean = (fall[2] - slope * float(fall[:2] @ across)) / max(float(fall[:2] @ down), 1e-6)
    bridge = points[list(BRIDGE)].mean(axis=0)

    def flat(at: _Doubles) -> _Doubles:
        away = at - bridge[:2]
        return np.asarray(bridge[2] + slope * (away @ across) + lean * (away @ down))

    depth = flat(places)
    along = (places - bridge[:2]) @ across
    for hinge, temple in zip(_hinges(alpha, bridge[:2], across), points[list(TEMPLES)], strict=True):
        side = np.sign(hinge)
        out = side * (float((temple[:2] - bridge[:2]) @ across) - hinge)  # distance from hinge to temple
        back = float(temple[2] - flat(temple[None, :2])[0])
        steep = back / out if out > 0.02 * size and back > 0 else STEEP
        depth += steep * np.maximum(side * (along - hinge), 0)
    return depth / size


def _hinges(alpha: Float, middle: _Doubles, across: _Doubles) -> tuple[float, float]:
    """The outer ends of the lenses on either side of the nose, pixels along the line through the eyes."""
    y, x = np.nonzero(alpha > 0.5)
    away = np.column_stack([x, y]) - middle
    along = np.rint(away @ across).astype(int)
    down = away @ np.array([-across[1], across[0]])
    first = int(along.min())
    high, low = (np.full(int(along.max()) - first + 1, start) for start in (np.inf, -np.inf))
    np.minimum.at(high, along - first, down)
    np.maximum.at(low, along - first, down)
    extent = np.where(np.isfinite(high), low - high, 0.0)
    lens = np.flatnonzero(extent >= LENS_SHARE * extent.max()) + first
    return float(min(lens.min(), -1)), float(max(lens.max(), 1))


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
