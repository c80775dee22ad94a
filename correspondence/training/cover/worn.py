"""Draws what belongs to a face without hiding it: make-up, glasses, light, tongue.

All functions draw on a crop, float32 (H, W, 3) RGB in [0, 255], in place or as a new array. Landmarks are in
pixels of the crop. The same seed draws the same on frame and reference of one face.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from correspondence.face.topology import (
    INNER_LIPS,
    LEFT_BROW,
    LEFT_EYE,
    LIPS,
    RIGHT_BROW,
    RIGHT_EYE,
    topology,
)
from correspondence.training.cover.placing import moved
from correspondence.types import Float

Rng = np.random.Generator
NOISE = np.random.default_rng(0).standard_normal((320, 320, 3), np.float32)  # cut anew for each crop
CLEAR = 0.25  # share of glasses with a pale, see-through frame
GROUPS = (LIPS, RIGHT_BROW, LEFT_BROW, RIGHT_EYE, LEFT_EYE)


def make_up(image: Float, points: Float, seed: int) -> None:
    """Draw lips, stripes, spots, freckles or a painted part of the face, in place."""
    rng = np.random.default_rng(seed)
    size = image.shape[:2]
    alpha = np.zeros(size, np.uint8)
    kind = rng.random()
    at = np.rint(points[:468] * 16).astype(np.int32)
    if kind < 0.25:
        cv2.fillPoly(alpha, [at[list(GROUPS[int(rng.integers(len(GROUPS)))])]], 255, cv2.LINE_AA, 4)
    elif kind < 0.5:  # stripes
        for _ in range(int(rng.integers(1, 8))):
            ends = at[rng.integers(0, 468, int(rng.integers(2, 4)))]
            cv2.polylines(alpha, [ends], False, 255, int(rng.integers(1, 9)), cv2.LINE_AA, 4)
    elif kind < 0.7:  # freckles and spots
        for i in rng.integers(0, 468, int(rng.integers(5, 90))):
            centre = (int(at[i, 0]), int(at[i, 1]))
            cv2.circle(alpha, centre, int(rng.integers(8, 40)), 255, -1, cv2.LINE_AA, 4)
    else:  # the triangles on one side of a line across the face, or around a place
        mesh = topology().triangles
        middle = points[:468][mesh].mean(axis=1)
        start = middle[int(rng.integers(len(mesh)))]
        turn = rng.uniform(0, 2 * np.pi)
        beyond = (middle - start) @ np.array([np.cos(turn), np.sin(turn)]) > 0
        near = np.hypot(*(middle - start).T) < rng.uniform(6, 40) * size[0] / 128
        chosen = mesh[beyond if rng.random() < 0.5 else near]
        cv2.fillPoly(alpha, list(at[chosen]), 255, cv2.LINE_8, 4)
    share = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.5, 2.5)).astype(np.float32) / 255
    share *= np.float32(rng.uniform(0.3, 0.95))
    colour = rng.uniform(0, 255, 3).astype(np.float32)
    if rng.random() < 0.5:  # tints, so that the face's light and shade stay
        colour = image * (colour * np.float32(1 / 160))
    image += share[..., None] * (colour - image)


def tongue(image: Float, points: Float, rng: Rng) -> None:
    """Draw a tongue over the lower lip, in place."""
    lips = points[list(INNER_LIPS)]
    wide = float(np.ptp(lips[:, 0])) * rng.uniform(0.3, 0.48)
    top = lips.mean(axis=0)
    low = top + np.array([rng.normal(0, 0.2) * wide, wide * rng.uniform(0.9, 2.2)])
    alpha = np.zeros(image.shape[:2], np.uint8)
    line = np.rint(np.stack([top, low]) * 16).astype(np.int32)
    cv2.polylines(alpha, [line], False, 255, max(2, round(wide)), cv2.LINE_AA, 4)
    share = cv2.GaussianBlur(alpha, (0, 0), 0.8).astype(np.float32) / 255
    skin = np.median(image[alpha > 0], axis=0) if (alpha > 0).any() else np.full(3, 120.0)
    colour = (0.35 * skin + 0.65 * np.array([195, 95, 100]) * rng.uniform(0.6, 1.1)).astype(np.float32)
    image += share[..., None] * (colour - image)


def glasses(image: Float, points: Float, seed: int, motion: Rng | None = None) -> Float:
    """Draw a pair of glasses, in place.

    Args:
        image: the crop.
        points: landmarks.
        seed: seed of their shape and colours.
        motion: source of a motion blur. None: they are drawn sharp.

    Returns:
        Where frames or dark lenses hide the face, float32 (H, W), [0, 1]. A clear frame hides it, too.
    """
    rng = np.random.default_rng(seed)
    frame, lens = _outlines(image.shape[:2], points, rng)
    tint = rng.choice([0.0, rng.uniform(0.05, 0.3), rng.uniform(0.8, 0.98)], p=[0.5, 0.25, 0.25])
    dark = rng.uniform(0, 60, 3).astype(np.float32)
    glass = lens * np.float32(tint)
    firm = np.float32(rng.uniform(0.8, 1))
    colour = rng.uniform(0, 70, 3) if rng.random() < 0.7 else rng.uniform(0, 255, 3)
    if rng.random() < CLEAR:
        firm, colour = np.float32(rng.uniform(0.2, 0.8)), rng.uniform(120, 255) * rng.uniform(0.85, 1, 3)
    rim = frame * firm
    hidden = np.maximum(frame, glass) if tint > 0.6 else frame
    over = glass * (1 - rim)
    light = rim[..., None] * colour.astype(np.float32) + over[..., None] * dark
    layer = np.dstack([light, rim + over, hidden])
    if motion is not None:
        layer = moved(motion, layer)
    image *= 1 - layer[..., 3:4]
    image += layer[..., :3]
    return np.ascontiguousarray(layer[..., 4])


def _outlines(size: tuple[int, ...], points: Float, rng: Rng) -> tuple[Float, Float]:
    """Draw the frames and the lenses of glasses on two masks, float32 (H, W), [0, 1]."""
    frame, lens = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    eyes = [points[list(e)].mean(axis=0) for e in (RIGHT_EYE, LEFT_EYE)]
    apart = eyes[1] - eyes[0]
    gap = float(np.hypot(*apart))
    turn = float(np.degrees(np.arctan2(apart[1], apart[0])))
    drop = np.array([-apart[1], apart[0]]) * rng.uniform(-0.02, 0.14)
    axes = (gap * rng.uniform(0.33, 0.47), gap * rng.uniform(0.22, 0.44))
    wide = max(1, round(gap * rng.uniform(0.02, 0.12)))
    square = rng.random() < 0.4
    for eye in eyes:
        centre = eye + drop
        if square:
            box = cv2.boxPoints(((float(centre[0]), float(centre[1])), (2 * axes[0], 2 * axes[1]), turn))
            outline = np.rint(box * 16).astype(np.int32)
        else:
            outline = np.rint(
                cv2.ellipse2Poly((0, 0), (round(axes[0] * 16), round(axes[1] * 16)), round(turn), 0, 360, 10)
                + centre * 16
            ).astype(np.int32)
        cv2.fillPoly(lens, [outline], 255, cv2.LINE_AA, 4)
        cv2.polylines(frame, [outline], True, 255, wide, cv2.LINE_AA, 4)
    along = apart / max(gap, 1e-3)
    bridge = np.stack([eyes[0] + drop + along * axes[0], eyes[1] + drop - along * axes[0]])
    sides = [
        np.stack([eyes[0] + drop - along * axes[0], points[127]]),
        np.stack([eyes[1] + drop + along * axes[0], points[356]]),
    ]
    for line in (bridge, *sides):
        cv2.polylines(frame, [np.rint(line * 16).astype(np.int32)], False, 255, wide, cv2.LINE_AA, 4)
    return frame.astype(np.float32) / np.float32(255), lens.astype(np.float32) / np.float32(255)


def glare(image: Float, points: Float, rng: Rng) -> None:
    """Draw the mirror image of a lamp or window on one or both lenses, in place."""
    share = np.zeros(image.shape[:2], np.uint8)
    eyes = [points[list(e)].mean(axis=0) for e in (RIGHT_EYE, LEFT_EYE)]
    gap = float(np.hypot(*(eyes[1] - eyes[0])))
    shift, turn = rng.normal(0, 0.14, 2) * gap, float(rng.uniform(0, 180))
    axes = tuple(max(1, round(float(rng.uniform(0.04, 0.3)) * gap)) for _ in range(2))
    for eye in eyes if rng.random() < 0.6 else eyes[:1]:
        at = np.rint(eye + shift).astype(int)
        cv2.ellipse(share, (int(at[0]), int(at[1])), axes, turn, 0, 360, 255, -1, cv2.LINE_AA)
    soft = cv2.GaussianBlur(share, (0, 0), rng.uniform(0.5, 3)).astype(np.float32) / 255
    soft *= np.float32(rng.uniform(0.15, 0.9))
    image += soft[..., None] * (rng.uniform(170, 255, 3).astype(np.float32) - image)


def side_light(image: Float, points: Float, rng: Rng) -> Float:
    """Light the crop from one side and shade the other. Returns a new array."""
    size = image.shape[0]
    y, x = np.mgrid[:size, :size].astype(np.float32)
    turn = rng.uniform(0, 2 * np.pi)
    nose = points[1]
    along = (np.cos(turn) * (x - nose[0]) + np.sin(turn) * (y - nose[1])) / (size * rng.uniform(0.08, 0.5))
    low, high = rng.uniform(0.25, 0.8), rng.uniform(0.9, 1.5)
    light = low + (high - low) / (1 + np.exp(-np.clip(along, -20, 20)))
    tint = rng.normal(1, 0.05, 3)
    return np.asarray(np.minimum(image * (light[..., None] * tint).astype(np.float32), 255), np.float32)


def exposed(image: Float, rng: Rng, spread: float) -> Float:
    """Change exposure, contrast and colour of light. Returns a new array."""
    gain = np.exp(rng.normal(0, spread)) * np.exp(rng.normal(0, 0.35 * spread, 3))
    power = float(np.exp(rng.normal(0, 0.6 * spread)))
    table = np.minimum(255 * (np.arange(256) / 255)[:, None] ** power * gain, 255).astype(np.float32)
    levels = np.clip(image, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(levels, table[None]), np.float32)


def as_filmed(image: Float, rng: Rng) -> Float:
    """Add a camera's blur, noise and coding. Returns a new array, float32."""
    if rng.random() < 0.35:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.4))
    if rng.random() < 0.5:
        y, x = rng.integers(0, NOISE.shape[0] - image.shape[0], 2)
        noise = NOISE[y : y + image.shape[0], x : x + image.shape[1]] * np.float32(rng.uniform(1, 9))
        image = image + (cv2.GaussianBlur(noise, (3, 3), 0) if rng.random() < 0.5 else noise)
    out: Any = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 95))]
        out = cv2.imdecode(cv2.imencode(".jpg", out, quality)[1], cv2.IMREAD_COLOR)
    return np.asarray(out, np.float32)
