"""Places a cover on a face crop: anywhere, at the outline or where it is worn. Blurs it in motion."""

from __future__ import annotations

import cv2
import numpy as np

from correspondence.cover.crop import PER_FACE, SIDE, Matrix
from correspondence.face.topology import OVAL
from correspondence.types import Float

Rng = np.random.Generator
LEAST_SCALE = 0.7  # pictures that become smaller than this share are shrunk before they are turned


def _premultiplied(picture: Float) -> Float:
    out = picture.copy()
    out[..., :3] *= picture[..., 3:]
    return out


def _shrunk(picture: Float, scale: float) -> tuple[Float, float]:
    """Premultiply a picture and shrink it if `scale` is far below 1; return it and the scale that is left."""
    if scale >= LEAST_SCALE:
        return _premultiplied(picture), scale
    small = (max(2, round(picture.shape[1] * scale)), max(2, round(picture.shape[0] * scale)))
    shrunk = cv2.resize(_premultiplied(picture), small, interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, np.float32), 1.0


def placed(rng: Rng, picture: Float, points: Float, size: float, peeking: bool = False) -> Float:
    """Place a cover on or near the face, at any angle: premultiplied, float32 (SIDE, SIDE, 4).

    A peeking one reaches over the face's outline with one end only.
    """
    face = SIDE / PER_FACE
    picture, scale = _shrunk(picture, size * face / max(picture.shape[:2]))
    turn = rng.uniform(0, 2 * np.pi) if rng.random() < 0.5 else rng.normal(0, 0.6)
    side = float(rng.choice([-1, 1]))
    linear = scale * np.array([[np.cos(turn) * side, -np.sin(turn)], [np.sin(turn) * side, np.cos(turn)]])
    stretch = np.diag(np.exp(rng.normal(0, 0.12, 2)))
    linear = linear @ stretch
    target = points[:468].mean(axis=0) + rng.normal(0, 0.3 * face, 2)
    shift = target - linear @ np.array([(picture.shape[1] - 1) / 2, (picture.shape[0] - 1) / 2])
    if peeking:
        shift = _peeking(rng, picture, points, linear)
    return _laid(picture, np.concatenate([linear, shift[:, None]], axis=1))


def _peeking(rng: Rng, picture: Float, points: Float, linear: Matrix) -> Matrix:
    """Draw a shift that moves a cover's end over a place of the face's outline, (2,)."""
    place = points[int(rng.choice(OVAL))].astype(np.float64)
    inward = points[:468].mean(axis=0) - place
    inward /= max(float(np.hypot(*inward)), 1e-3)
    rows, columns = np.nonzero(picture[..., 3] > 0.5)
    if not len(rows):
        return np.asarray(place, np.float64)
    at = np.stack([columns, rows], axis=1) @ linear.T
    end = at[int(np.argmax(at @ inward))]
    return np.asarray(place + rng.uniform(1, 0.25 * SIDE / PER_FACE) * inward - end, np.float64)


def placed_on_face(rng: Rng, picture: Float, points: Float, kind: str) -> Float:
    """Place a face mask over mouth and nose, or glasses before the eyes."""
    left, right = (points[234], points[454]) if kind == "mask" else (points[127], points[356])
    middle = points[[4, 152]].mean(axis=0) if kind == "mask" else points[168]
    along = right - left
    wide = max(float(np.hypot(*along)), 8.0) * rng.uniform(0.95, 1.15)
    turn = np.arctan2(along[1], along[0]) + rng.normal(0, 0.06)
    picture, scale = _shrunk(picture, wide / picture.shape[1])
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    target = middle + rng.normal(0, 0.03 * wide, 2)
    shift = target - linear @ np.array([(picture.shape[1] - 1) / 2, (picture.shape[0] - 1) / 2])
    return _laid(picture, np.concatenate([linear, shift[:, None]], axis=1))


def _laid(picture: Float, matrix: Matrix) -> Float:
    return np.asarray(cv2.warpAffine(picture, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR), np.float32)


def moved(rng: Rng, laid: Float) -> Float:
    """Blur a premultiplied cover, float32 (H, W, channels), along a straight line."""
    length = int(rng.integers(3, 16))
    kernel = np.zeros((length, length), np.float32)
    turn, half = rng.uniform(0, np.pi), (length - 1) / 2
    reach = half * np.array([np.cos(turn), np.sin(turn)])
    ends = [tuple(int(v) for v in np.rint(half + s * reach)) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1)
    return np.asarray(cv2.filter2D(laid, -1, kernel / kernel.sum()), np.float32)
