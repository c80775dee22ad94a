"""Pairs made from one picture, with known fields and visibility, and different light and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from correspondence.geometry.grid import Float, pixel_grid
from correspondence.types import Image

Generator = np.random.Generator
Any_ = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class PairTruth:
    """The known truth of a pair.

    Attributes:
        field: the field from frame to reference, float32 (N, N, 2), pixels.
        known: 1 where `field` is known, float32 (N, N).
        visible: 1 where the frame's pixel is also visible in the reference, float32 (N, N).
    """

    field: Float
    known: Float
    visible: Float


def smooth_noise(rng: Generator, size: int, points: int, deviation: float, channels: int = 2) -> Float:
    """Draw a smooth field (size, size, channels): Gaussian values on points x points, cubic between."""
    grid = rng.normal(0, deviation, (points, points, channels)).astype(np.float32)
    out = cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(out.reshape(size, size, channels), np.float32)


def affine_field(
    rng: Generator, size: int, turn_deg: float = 9.0, scale: float = 0.16, shift: float = 14.0
) -> Float:
    """Draw a random rotation, zoom and shift about the centre, float32 (size, size, 2), pixels."""
    angle = np.deg2rad(rng.uniform(-turn_deg, turn_deg))
    zoom = np.exp(rng.uniform(-scale, scale, 2) * (1.0, 0.4))
    a, b = zoom[0] * np.cos(angle), zoom[0] * np.sin(angle)
    matrix = np.array([[a * zoom[1], -b], [b, a / zoom[1]]], np.float32)
    away = pixel_grid(size, size) - np.float32((size - 1) / 2)
    return np.asarray(
        away @ (matrix.T - np.eye(2, dtype=np.float32)) + rng.uniform(-shift, shift, 2), np.float32
    )


def random_field(rng: Generator, size: int) -> Float:
    """Draw a smooth warp: affine, a coarse and sometimes a fine field; float32 (size, size, 2), pixels."""
    field = affine_field(rng, size) * np.float32(rng.uniform(0, 1))
    field += smooth_noise(rng, size, int(rng.integers(3, 7)), rng.uniform(0.5, 7))
    if rng.random() < 0.5:
        field += smooth_noise(rng, size, int(rng.integers(8, 17)), rng.uniform(0.1, 1.2))
    return np.asarray(field, np.float32)


def turn_head(rng: Generator, points: Float, yaw_deg: float = 20.0) -> Float:
    """Turn landmarks (478, 3) of a face in depth by up to `yaw_deg`, in orthographic projection."""
    yaw, pitch, roll = np.deg2rad(rng.uniform((-yaw_deg, -14, -8), (yaw_deg, 14, 8)))
    cy, sy, cp, sp, cr, sr = (
        np.cos(yaw),
        np.sin(yaw),
        np.cos(pitch),
        np.sin(pitch),
        np.cos(roll),
        np.sin(roll),
    )
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    centre = points[:468].mean(axis=0)
    centre[2] += 0.3 * np.ptp(points[:468, 0])  # the neck's axis lies behind the face
    turned = (points - centre) @ (about_z @ about_x @ about_y).T + centre
    return np.asarray(turned, np.float32)


def sample(image: Any_, field: Float, border: int = cv2.BORDER_REPLICATE) -> Any_:
    """Sample a picture: out(x) = image(x + field(x)), bilinear."""
    at = pixel_grid(field.shape[0], field.shape[1]) + field
    return np.asarray(cv2.remap(image, at, None, cv2.INTER_LINEAR, borderMode=border))


def invert_field(field: Float, steps: int = 8) -> tuple[Float, Float]:
    """Invert a field by fixed-point iteration: back(y) = -field(y + back(y)).

    Returns:
        The inverse, float32 (N, N, 2), and a mask, float32 (N, N) in {0, 1}, that is 1 where the inverse is
        accurate to 0.25 pixels.
    """
    back = -field
    for _ in range(steps):
        back = -sample(field, back)
    error = back + sample(field, back)
    inside = in_picture(back)
    return back, np.asarray((np.abs(error).max(axis=2) < 0.25) * inside, np.float32)


def in_picture(field: Float) -> Float:
    """Return a mask that is 1 where the field points inside the picture, float32 (N, N)."""
    h, w = field.shape[:2]
    at = pixel_grid(h, w) + field
    good = (at[..., 0] >= 0) & (at[..., 0] <= w - 1) & (at[..., 1] >= 0) & (at[..., 1] <= h - 1)
    return good.astype(np.float32)


def follow_points(field: Float, points: Float) -> Float:
    """Find points of the reference in the frame: p + field(p) = point; float32 (N, 2)."""
    place = points.copy()
    for _ in range(12):
        at = place.reshape(1, -1, 2).astype(np.float32)
        moved = cv2.remap(field, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
        place = 0.5 * place + 0.5 * (points - moved)
    return np.asarray(place, np.float32)


def blob(rng: Generator, size: int, centre: Float, radius: float) -> Float:
    """Draw a random star shape with soft edges: float32 (size, size), [0, 1]."""
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    waves = sum(rng.normal(0, 0.25 / k) * np.cos(k * angles + rng.uniform(0, 6.3)) for k in range(1, 6))
    ring = radius * np.exp(0.6 * np.asarray(waves)) * rng.uniform(0.8, 1.2)
    stretch = np.exp(rng.uniform(-0.5, 0.5))
    corners = centre + np.stack([ring * np.cos(angles) * stretch, ring * np.sin(angles) / stretch], axis=1)
    return _fill(size, [corners], rng)


def hand(rng: Generator, size: int, centre: Float, length: float) -> Float:
    """Draw a palm with four fingers and a thumb: float32 (size, size), [0, 1]."""
    canvas = np.zeros((size, size), np.uint8)
    turn = rng.uniform(0, 2 * np.pi)
    spread = rng.uniform(0.05, 0.28)
    width = max(2, int(length * 0.17))
    for finger in range(5):
        thumb = finger == 4
        angle = turn + (1.1 if thumb else (finger - 1.5) * spread)
        reach = length * (0.65 if thumb else rng.uniform(0.85, 1.05))
        way = np.array([np.cos(angle), np.sin(angle)])
        side = np.array([-np.sin(turn), np.cos(turn)]) * (0 if thumb else (finger - 1.5) * width * 0.9)
        start, stop = np.rint(centre + side).astype(int), np.rint(centre + side + way * reach).astype(int)
        cv2.line(canvas, start.tolist(), stop.tolist(), 255, width, cv2.LINE_AA)
    cv2.circle(canvas, np.rint(centre).astype(int).tolist(), int(length * 0.38), 255, -1, cv2.LINE_AA)
    wrist = np.rint(centre - np.array([np.cos(turn), np.sin(turn)]) * length * 1.5).astype(int)
    cv2.line(
        canvas, np.rint(centre).astype(int).tolist(), wrist.tolist(), 255, int(length * 0.5), cv2.LINE_AA
    )
    return np.asarray(canvas, np.float32) / np.float32(255)


def _fill(size: int, polygons: list[Any_], rng: Generator) -> Float:
    canvas = np.zeros((size, size), np.uint8)
    for corners in polygons:
        cv2.fillPoly(canvas, [np.rint(corners * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    soft = float(rng.uniform(0.3, 1.2))
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), soft), np.float32) / np.float32(255)


def occlude(
    rng: Generator, image: Image, other: Image, box: tuple[float, float, float, float]
) -> tuple[Image, Float]:
    """Paste one to three objects over a picture.

    Args:
        rng: source of randomness.
        image: the picture, uint8 (N, N, 3).
        other: another picture of the same size. Some objects have its texture.
        box: box of the face, (x0, y0, x1, y1). The objects lie near it.

    Returns:
        The picture, and the mask of the objects, float32 (N, N) in [0, 1].
    """
    size = len(image)
    face = max(box[2] - box[0], 24.0)
    out, cover = image.astype(np.float32), np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        middle = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
        centre = (middle + rng.normal(0, 0.45 * face, 2)).astype(np.float32)
        kind = rng.random()
        if kind < 0.4:
            alpha = hand(rng, size, centre, face * rng.uniform(0.3, 0.6))
            skin = image[int(np.clip(middle[1], 0, size - 1)), int(np.clip(middle[0], 0, size - 1))]
            paint = skin * rng.uniform(0.7, 1.15) + smooth_noise(rng, size, 12, 10, 1)
        else:
            alpha = blob(rng, size, centre, face * rng.uniform(0.08, 0.35))
            moved = np.roll(other, tuple(rng.integers(0, size, 2)), (0, 1))
            paint = moved if kind < 0.8 else rng.uniform(0, 255, 3) + smooth_noise(rng, size, 6, 25, 1)
        out += alpha[..., None] * (paint - out)
        cover = np.maximum(cover, alpha)
    return np.clip(out, 0, 255).astype(np.uint8), cover


def relight(rng: Generator, image: Image, strength: float = 1.0) -> Image:
    """Change exposure, tint and side light; uint8 (N, N, 3)."""
    size = len(image)
    gain = np.exp(rng.uniform(-0.15, 0.15) * strength + rng.normal(0, 0.03 * strength, 3))
    side = 1 + smooth_noise(rng, size, 2, 0.12 * strength, 1)
    gamma = np.exp(rng.uniform(-0.15, 0.15) * strength)
    out = 255 * np.power(image.astype(np.float32) / 255, gamma) * gain.astype(np.float32) * side
    return np.clip(out, 0, 255).astype(np.uint8)


def spoil(rng: Generator, image: Image) -> Image:
    """Simulate camera and codec by motion blur, noise and JPEG blocks; uint8 (N, N, 3)."""
    out = image
    if rng.random() < 0.3:
        length = int(rng.integers(2, 8))
        angle = rng.uniform(0, np.pi)
        kernel = np.zeros((9, 9), np.float32)
        way = np.array([np.cos(angle), np.sin(angle)]) * length / 2
        ends = [np.rint(4 + way).astype(int).tolist(), np.rint(4 - way).astype(int).tolist()]
        cv2.line(kernel, ends[0], ends[1], 1.0, 1)
        out = cv2.filter2D(out, -1, kernel / kernel.sum())
    if rng.random() < 0.6:
        noise = rng.integers(-40, 41, out.shape, dtype=np.int8).astype(np.float32) * rng.uniform(0.0, 0.25)
        out = np.clip(out + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        quality = int(rng.integers(35, 96))
        packed = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        out = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return np.asarray(out, np.uint8)


def shift_hue(rng: Generator, images: list[Image]) -> list[Image]:
    """Change all pictures to the same other hue or to grey, so that a network does not learn skin colours."""
    if rng.random() < 0.2:
        greys = [cv2.cvtColor(i, cv2.COLOR_RGB2GRAY) for i in images]
        return [np.repeat(g[..., None], 3, axis=2) for g in greys]
    mix = np.eye(3) + rng.normal(0, 0.08, (3, 3))
    mix = (mix / mix.sum(axis=1, keepdims=True) * rng.uniform(0.85, 1.15)).astype(np.float32)
    return [np.asarray(cv2.transform(i, mix), np.uint8) for i in images]
