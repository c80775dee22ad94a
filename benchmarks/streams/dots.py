"""An edit made to be measured: dots on landmarks. Their places and colours give the error.

Half of the dots are opaque, half are a tint. The truth of a frame is the same dots drawn at the frame's own
landmarks under its own light. A dot's place is the centroid of the output's change towards the dot's colour
within `WINDOW` of its true place. It is compared with the truth's centroid, found in the same way. A dot of
which less than `LEAST_SHOWN` is found counts as missing. Its colour is the mean where the change is
strongest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

from benchmarks.matching.metrics import FloatAny
from correspondence import Bool, Float, Image, Landmarks
from correspondence.face.topology import OVAL, topology
from reference.face.parts import INNER_LIPS, LEFT_EYE, OUTER_LIPS, RIGHT_EYE, face_size

RADIUS = 0.022  # radius of a dot, face sizes
APART = 0.11  # least distance between two dots in the reference, face sizes
WINDOW = 0.05  # reach around the true place, face sizes
SHOWN_AREA = 0.4  # a dot is not judged if its skin has less than this share of its area in the reference
LEAST_SHOWN = 0.35  # share of the truth's change that must be found
COLOURS = (
    (20, 150, 60),
    (30, 60, 220),
    (0.45, 0.6, 1.0),
    (1.0, 0.5, 0.75),
)  # opaque as 8 bit, tints as factors


@dataclass(frozen=True, slots=True, eq=False)
class Dots:
    """The landmarks that wear a dot, and the dots' colours.

    Attributes:
        points: landmark numbers.
        kinds: index in `COLOURS` of each dot.
        reference: landmarks of the picture that the user edits.
        face_px: size of its face, pixels.
    """

    points: tuple[int, ...]
    kinds: tuple[int, ...]
    reference: Landmarks
    face_px: float

    def visible(self, landmarks: Landmarks) -> Bool:
        """Which dots a frame shows well enough to be judged, bool (N,)."""
        now, then = (_areas(lm)[list(self.points)] for lm in (landmarks, self.reference))
        ratio = now / np.maximum(then, 1e-6) * (self.face_px / face_size(landmarks)) ** 2
        at = landmarks.points[list(self.points), :2]
        h, w = landmarks.image_size
        margin = WINDOW * face_size(landmarks) + 1
        inside = (at >= margin).all(axis=1) & (at[:, 0] < w - margin) & (at[:, 1] < h - margin)
        return np.asarray((ratio > SHOWN_AREA) & inside, np.bool_)

    def paint(self, picture: Float, landmarks: Landmarks, light: Float | None = None) -> Float:
        """Draw the dots on a picture, float32 (H, W, 3) in [0, 255]. With `light` the paint is lit by it."""
        out = picture.copy()
        radius = RADIUS * face_size(landmarks)
        for number, kind in zip(self.points, self.kinds, strict=True):
            rows, columns, away = _window(landmarks.points[number, :2], radius + 2, out.shape)
            if away.size == 0:
                continue
            cover = np.clip(radius + 0.5 - away, 0, 1)[..., None]
            there = out[rows, columns]
            colour = np.array(COLOURS[kind], np.float32)
            paint = there * colour if kind >= 2 else colour
            if kind < 2 and light is not None:
                paint = paint * light[rows, columns]
            out[rows, columns] = there + cover * (paint - there)
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Landed:
    """Where the dots of one frame were found.

    Attributes:
        error: float64 (N,), pixels. NaN for a missing dot.
        colour: CIEDE2000, float64 (N,). NaN for a missing dot.
        limit: largest error that can be found, pixels.
    """

    error: FloatAny
    colour: FloatAny
    limit: float


def choose_dots(landmarks: Landmarks, withheld: Bool) -> Dots:
    """Choose withheld landmarks of the skin, spread over the face. Lips, lids and outline are left out."""
    size = face_size(landmarks)
    moving = {*INNER_LIPS, *OUTER_LIPS, *LEFT_EYE, *RIGHT_EYE, *OVAL}
    area = _areas(landmarks)
    free = [i for i in np.flatnonzero(withheld[:468]) if i not in moving and area[i] > 0]
    apart = APART * size
    edge = landmarks.points[list({*INNER_LIPS, *OUTER_LIPS, *LEFT_EYE, *RIGHT_EYE}), :2]
    chosen: list[int] = []
    for i in free:
        at = landmarks.points[i, :2]
        near = landmarks.points[chosen, :2] if chosen else np.full((1, 2), np.inf)
        if np.linalg.norm(near - at, axis=1).min() < apart:
            continue
        if np.linalg.norm(edge - at, axis=1).min() > 1.5 * RADIUS * size:
            chosen.append(int(i))
    return Dots(tuple(chosen), tuple(k % len(COLOURS) for k in range(len(chosen))), landmarks, size)


def measure(out: Image, live: Image, truth: Float, landmarks: Landmarks, dots: Dots) -> Landed:
    """Measure how far the visible dots of an output lie from their true places.

    Args:
        out: the edited frame, uint8 (H, W, 3).
        live: the frame before the edit.
        truth: the frame with the true dots, float32 (H, W, 3).
        landmarks: all true landmarks of the frame.
    """
    limit = WINDOW * face_size(landmarks)
    errors: list[float] = []
    shown, should = [], []  # mean colours of the dots; NaN for a missing one
    for number in np.array(dots.points)[dots.visible(landmarks)]:
        rows, columns, away = _window(landmarks.points[number, :2], limit, out.shape)
        before, wanted = live[rows, columns].astype(np.float32), truth[rows, columns]
        towards = (wanted - before)[away < 0.5 * RADIUS / WINDOW * limit].mean(axis=0)
        scale = max(float(towards @ towards), 1.0)
        share = [
            np.where(away <= limit, ((picture - before) @ towards) / scale, 0)
            for picture in (out[rows, columns].astype(np.float32), wanted)
        ]
        found, true = (np.where(s > 0.25, np.minimum(s, 1.2), 0) for s in share)
        if found.sum() < LEAST_SHOWN * true.sum():
            errors.append(np.nan)
            shown.append(np.full(3, np.nan))
            should.append(np.full(3, np.nan))
            continue
        errors.append(float(np.linalg.norm(_centroid(found) - _centroid(true))))
        shown.append(out[rows, columns][found >= 0.7 * found.max()].mean(axis=0))
        should.append(wanted[true >= 0.7 * true.max()].mean(axis=0))
    return Landed(np.array(errors), colour_differences(np.array(shown), np.array(should)), limit)


def colour_differences(a: FloatAny, b: FloatAny) -> FloatAny:
    """CIEDE2000 between sRGB colours, (N, 3) in [0, 255] each: float64 (N,). NaN stays NaN."""
    if len(a) == 0:
        return np.zeros(0)
    first, second = (rgb2lab(np.clip(c, 0, 255)[None] / 255) for c in (a, b))
    return np.asarray(deltaE_ciede2000(first, second)[0], np.float64)


def _window(centre: Float, radius: float, shape: tuple[int, ...]) -> tuple[slice, slice, Float]:
    """Return rows and columns around a point, inside the picture, and each pixel's distance from it."""
    x, y = float(centre[0]), float(centre[1])
    rows = slice(max(0, int(y - radius)), max(0, min(shape[0], int(np.ceil(y + radius)) + 1)))
    columns = slice(max(0, int(x - radius)), max(0, min(shape[1], int(np.ceil(x + radius)) + 1)))
    at_y, at_x = np.mgrid[rows, columns]
    return rows, columns, np.hypot(at_x - x, at_y - y).astype(np.float32)


def _centroid(weight: FloatAny) -> FloatAny:
    y, x = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


def _areas(landmarks: Landmarks) -> FloatAny:
    """Signed area of the skin around each mesh point, positive towards the camera, float64 (468,)."""
    triangles = topology().triangles[: topology().skin]
    a, b, c = (landmarks.points[triangles[:, k], :2].astype(np.float64) for k in range(3))
    u, v = b - a, c - a
    area = (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]) / 6
    out = np.zeros(468)
    for k in range(3):
        np.add.at(out, triangles[:, k], area)
    return out
