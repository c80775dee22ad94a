"""Drawn covers: cups, phones, microphones, hands, arms, strands of hair, rims, rods, plain shapes.

Each is a picture of `CANVAS` pixels, float32 (CANVAS, CANVAS, 4): RGB in [0, 255] and alpha in [0, 1]. A
texture is a cut of any photo. Shapes are drawn at random places and fill most of the canvas.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from correspondence.types import Float, Image

CANVAS = 128
Rng = np.random.Generator
Alpha = npt.NDArray[np.uint8]


def drawn_cover(rng: Rng, texture: Image, skin: Float) -> tuple[Float, str]:
    """Draw a cover. Returns it and its kind.

    Args:
        rng: source of randomness.
        texture: a photo, uint8 (H, W, 3), at least 16 pixels on a side.
        skin: a skin colour, float32 (3,) RGB in [0, 255].
    """
    kinds = list(_DRAWN)
    kind = kinds[int(rng.choice(len(kinds), p=_SHARES))]
    return _DRAWN[kind](rng, texture, skin), kind


def _grid() -> tuple[Float, Float]:
    y, x = np.mgrid[:CANVAS, :CANVAS].astype(np.float32)
    return x, y


def _shaded(rng: Rng, colour: Float, alpha: Alpha, depth: float) -> Float:
    """Shade a colour, plain (3,) or a picture, towards the outline of alpha and from one side."""
    inside = cv2.distanceTransform((alpha > 127).astype(np.uint8), cv2.DIST_L2, 3)
    reach = rng.uniform(4, 18)
    round_off = np.float32(1) - np.float32(depth) * np.exp(-inside / np.float32(reach))
    x, y = _grid()
    turn = rng.uniform(0, 2 * np.pi)
    slope = (np.cos(turn) * (x - 64) + np.sin(turn) * (y - 64)) / 64
    light = round_off * (1 + np.float32(rng.uniform(0, 0.35)) * slope.astype(np.float32))
    picture = np.broadcast_to(np.asarray(colour, np.float32), (CANVAS, CANVAS, 3)) * light[..., None]
    return np.dstack([np.clip(picture, 0, 255), alpha.astype(np.float32) / 255]).astype(np.float32)


def _cloth(rng: Rng, texture: Image) -> Float:
    """Cut a photo at a random size and recolour it, float32 (CANVAS, CANVAS, 3)."""
    h, w = texture.shape[:2]
    side = int(rng.integers(16, max(17, min(h, w) // 2 + 1)))
    y, x = int(rng.integers(0, h - side + 1)), int(rng.integers(0, w - side + 1))
    cut = cv2.resize(texture[y : y + side, x : x + side], (CANVAS, CANVAS), interpolation=cv2.INTER_CUBIC)
    gain = rng.uniform(0.5, 1.5, 3) if rng.random() < 0.5 else np.full(3, rng.uniform(0.6, 1.4))
    out = cut.astype(np.float32) * gain.astype(np.float32)
    return np.asarray(np.clip(out, 0, 255)[:, :: rng.choice([-1, 1])], np.float32)


def _colour(rng: Rng) -> Float:
    """Draw a colour. Greys and dark colours are frequent, as on cups, phones and sleeves."""
    if rng.random() < 0.5:
        return np.full(3, rng.uniform(5, 250), np.float32) + rng.normal(0, 6, 3).astype(np.float32)
    return rng.uniform(0, 255, 3).astype(np.float32)


def _fabric(rng: Rng, texture: Image) -> Float:
    return _cloth(rng, texture) if rng.random() < 0.6 else _colour(rng)


def _tone(rng: Rng, skin: Float) -> Float:
    """Draw a skin colour: near to a given one, or any from dark to light."""
    if rng.random() < 0.65:
        near = skin * rng.uniform(0.75, 1.25) * rng.normal(1, 0.04, 3)
        return np.asarray(np.clip(near, 5, 255), np.float32)
    dark, light = np.array([60, 38, 28]), np.array([245, 210, 190])
    return np.asarray(dark + rng.beta(0.8, 1.2) * (light - dark), np.float32)


def _cup(rng: Rng, texture: Image, skin: Float) -> Float:
    alpha = np.zeros((CANVAS, CANVAS), np.uint8)
    top, bottom = rng.uniform(30, 54), rng.uniform(20, 46)
    high = rng.uniform(34, 56)
    body = np.array(
        [[64 - top, 64 - high], [64 + top, 64 - high], [64 + bottom, 64 + high], [64 - bottom, 64 + high]]
    )
    cv2.fillPoly(alpha, [np.rint(body).astype(np.int32)], 255, cv2.LINE_AA)
    cv2.ellipse(
        alpha,
        (64, round(64 - high)),
        (round(top), round(rng.uniform(2, 12))),
        0,
        0,
        360,
        255,
        -1,
        cv2.LINE_AA,
    )
    if rng.random() < 0.5:
        at = (round(64 + rng.choice([-1, 1]) * (top + bottom) / 2), 64)
        cv2.ellipse(
            alpha,
            at,
            (round(rng.uniform(10, 20)), round(0.6 * high)),
            0,
            0,
            360,
            255,
            round(rng.uniform(4, 9)),
            cv2.LINE_AA,
        )
    return _shaded(rng, _fabric(rng, texture), alpha, rng.uniform(0, 0.5))


def _phone(rng: Rng, texture: Image, skin: Float) -> Float:
    alpha = np.zeros((CANVAS, CANVAS), np.uint8)
    wide, high = rng.uniform(22, 40), rng.uniform(44, 60)
    low, top = (round(64 - wide), round(64 - high)), (round(64 + wide), round(64 + high))
    cv2.rectangle(alpha, low, top, 255, -1, cv2.LINE_AA)
    corner = int(rng.integers(1, 9)) * 2 + 1
    alpha = (cv2.GaussianBlur(alpha, (corner, corner), 0) > 140).astype(np.uint8) * np.uint8(255)
    out = _shaded(rng, _colour(rng) * rng.uniform(0.1, 1), alpha, 0.2)
    if rng.random() < 0.5:  # the screen, or a picture on its case
        rim = round(rng.uniform(2, 7))
        area = np.zeros_like(alpha)
        cv2.rectangle(area, (low[0] + rim, low[1] + rim), (top[0] - rim, top[1] - rim), 1, -1)
        out[..., :3] = np.where(
            area[..., None] > 0, _cloth(rng, texture) * np.float32(rng.uniform(0.3, 1)), out[..., :3]
        )
    for _ in range(int(rng.integers(0, 4))):  # lenses
        at = (int(rng.integers(low[0] + 4, 66)), int(rng.integers(low[1] + 4, 60)))
        shade = float(rng.uniform(0, 60))
        cv2.circle(out, at, int(rng.integers(3, 8)), (shade, shade, shade, 1.0), -1, cv2.LINE_AA)
    return out


def _microphone(rng: Rng, texture: Image, skin: Float) -> Float:
    alpha = np.zeros((CANVAS, CANVAS), np.uint8)
    head = rng.uniform(14, 30)
    cv2.line(
        alpha,
        (64, 40),
        (64 + round(rng.uniform(-14, 14)), 160),
        255,
        round(rng.uniform(0.5, 1.2) * head),
        cv2.LINE_AA,
    )
    cv2.ellipse(
        alpha, (64, 36), (round(head), round(head * rng.uniform(1, 1.4))), 0, 0, 360, 255, -1, cv2.LINE_AA
    )
    colour = np.full(3, rng.uniform(8, 120), np.float32) if rng.random() < 0.7 else _colour(rng)
    out = _shaded(rng, colour, alpha, rng.uniform(0.1, 0.6))
    x, y = _grid()
    step = rng.uniform(2.5, 6)
    mesh = np.sin(2 * np.pi * x / step) * np.sin(2 * np.pi * y / step)
    out[:70, :, :3] *= (1 + np.float32(rng.uniform(0, 0.35)) * mesh[:70, :, None]).astype(np.float32)
    out[..., :3] = np.clip(out[..., :3], 0, 255)
    return out


def _hand(rng: Rng, texture: Image, skin: Float) -> Float:
    """Draw a palm with fingers, from fist to spread hand, darker between the fingers and at their ends."""
    out = np.zeros((CANVAS, CANVAS, 4), np.float32)
    tone = _tone(rng, skin)
    palm = np.array([64.0, 78.0])
    wide = rng.uniform(16, 24)
    spread, lengths = rng.uniform(0.02, 0.45), rng.uniform(8, 44) * rng.uniform(0.75, 1.1, 5)
    arm = np.zeros((CANVAS, CANVAS), np.uint8)
    cv2.line(
        arm,
        (64, 84),
        (64 + round(rng.uniform(-20, 20)), 170),
        255,
        round(rng.uniform(1.1, 1.6) * wide),
        cv2.LINE_AA,
    )
    colour = tone if rng.random() < 0.6 else _fabric(rng, texture)
    _over(out, _shaded(rng, colour, arm, rng.uniform(0.1, 0.4)))
    for i in range(5):
        turn = (i - 2) * spread + rng.normal(0, 0.05)
        if i == 4:
            turn = rng.uniform(0.5, 1.2)
        root = palm + np.array(
            [(i - 1.5) * wide * 0.55 if i < 4 else wide * 0.7, -0.7 * wide if i < 4 else 0]
        )
        bend = root + 0.55 * lengths[i] * np.array([np.sin(turn), -np.cos(turn)])
        turn += rng.normal(0, 0.15)
        tip = bend + 0.55 * lengths[i] * np.array([np.sin(turn), -np.cos(turn)])
        finger = np.zeros((CANVAS, CANVAS), np.uint8)
        line = np.rint(np.stack([root, bend, tip]) * 8).astype(np.int32)
        cv2.polylines(
            finger, [line], False, 255, max(3, round(wide * rng.uniform(0.36, 0.5))), cv2.LINE_AA, 3
        )
        _over(out, _shaded(rng, tone * rng.uniform(0.88, 1.08), finger, rng.uniform(0.15, 0.5)))
        if rng.random() < 0.4:
            nail = tuple(
                float(c) for c in (_colour(rng) if rng.random() < 0.3 else np.minimum(tone * 1.15, 255))
            )
            cv2.circle(
                out,
                tuple(int(v) for v in np.rint(tip)),
                max(1, round(wide * 0.13)),
                (*nail, 1.0),
                -1,
                cv2.LINE_AA,
            )
    area = np.zeros((CANVAS, CANVAS), np.uint8)
    cv2.ellipse(
        area, (64, 78), (round(wide), round(wide * rng.uniform(1, 1.25))), 0, 0, 360, 255, -1, cv2.LINE_AA
    )
    _over(out, _shaded(rng, tone, area, rng.uniform(0.05, 0.3)))
    noise = cv2.resize(
        rng.normal(0, 1, (24, 24)).astype(np.float32), (CANVAS, CANVAS), interpolation=cv2.INTER_CUBIC
    )
    out[..., :3] = np.clip(out[..., :3] * (1 + np.float32(rng.uniform(0, 0.08)) * noise[..., None]), 0, 255)
    return out


def _arm(rng: Rng, texture: Image, skin: Float) -> Float:
    alpha = np.zeros((CANVAS, CANVAS), np.uint8)
    line = np.array(
        [
            [-20, rng.uniform(30, 100)],
            [rng.uniform(30, 100), rng.uniform(40, 90)],
            [150, rng.uniform(30, 100)],
        ]
    )
    cv2.polylines(
        alpha, [np.rint(line).astype(np.int32)], False, 255, round(rng.uniform(22, 56)), cv2.LINE_AA
    )
    colour = _tone(rng, skin) if rng.random() < 0.5 else _fabric(rng, texture)
    return _shaded(rng, colour, alpha, rng.uniform(0.1, 0.5))


def _shape(rng: Rng, texture: Image, skin: Float) -> Float:
    """Draw a smooth random outline or a polygon, filled with cloth, skin or one colour."""
    count = int(rng.integers(3, 9))
    turns = np.sort(rng.uniform(0, 2 * np.pi, count)) if rng.random() < 0.4 else np.linspace(0, 2 * np.pi, 40)
    waves = sum(rng.normal(0, 0.25 / n) * np.cos(n * turns + rng.uniform(0, 6.3)) for n in range(1, 6))
    radius = 44 * np.clip(1 + waves, 0.3, 1.4)
    outline = 64 + np.stack([radius * np.cos(turns) * rng.uniform(0.4, 1), radius * np.sin(turns)], axis=1)
    alpha = np.zeros((CANVAS, CANVAS), np.uint8)
    cv2.fillPoly(alpha, [np.rint(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    colour = _tone(rng, skin) if rng.random() < 0.3 else _fabric(rng, texture)
    return _shaded(rng, colour, alpha, rng.uniform(0, 0.5))


def _hair(rng: Rng, texture: Image, skin: Float) -> Float:
    """Draw a lock of hair: many thin curves side by side."""
    out = np.zeros((CANVAS, CANVAS, 4), np.float32)
    colour = np.array([60, 42, 30]) * rng.uniform(0.2, 3.2) * rng.normal(1, 0.08, 3)
    bow = rng.normal(0, 26, 2)
    for _ in range(int(rng.integers(10, 60))):
        across = 64 + rng.normal(0, rng.uniform(4, 16))
        line = np.array(
            [
                [across + b * t, 128 * t - 4]
                for t, b in zip(np.linspace(0, 1, 6), np.linspace(bow[0], bow[1], 6), strict=True)
            ]
        )
        line[:, 0] += rng.normal(0, 1.5, 6)
        shade = tuple(float(c) for c in np.clip(colour * rng.uniform(0.7, 1.35), 0, 255))
        cv2.polylines(
            out,
            [np.rint(line * 8).astype(np.int32)],
            False,
            (*shade, 1.0),
            int(rng.integers(1, 4)),
            cv2.LINE_AA,
            3,
        )
    out[..., 3] = np.clip(out[..., 3], 0, 1)
    return out


def _rims(rng: Rng, texture: Image, skin: Float) -> Float:
    """Draw the frame of glasses that are held or put on: two rims, a bridge, sometimes temples."""
    alpha = np.zeros((CANVAS, CANVAS), np.uint8)
    wide, apart = int(rng.integers(1, 8)), int(rng.integers(30, 36))
    axes = (int(rng.integers(18, 27)), int(rng.integers(12, 26)))
    for side in (-1, 1):
        middle = (64 + side * apart, 64)
        if rng.random() < 0.4:
            low, top = (middle[0] - axes[0], 64 - axes[1]), (middle[0] + axes[0], 64 + axes[1])
            cv2.rectangle(alpha, low, top, 255, wide, cv2.LINE_AA)
        else:
            cv2.ellipse(alpha, middle, axes, 0, 0, 360, 255, wide, cv2.LINE_AA)
        if rng.random() < 0.5:
            end = (
                64 + side * int(rng.integers(20, 64)),
                64 + int(rng.choice([-1, 1])) * int(rng.integers(10, 60)),
            )
            cv2.line(alpha, (middle[0] + side * axes[0], 60), end, 255, wide, cv2.LINE_AA)
    inner = apart - axes[0]
    cv2.line(alpha, (64 - inner, 58), (64 + inner, 58), 255, wide, cv2.LINE_AA)
    colour = rng.uniform(0, 80, 3).astype(np.float32) if rng.random() < 0.6 else _colour(rng)
    if rng.random() < 0.25:  # pale and clear
        colour = (rng.uniform(120, 255) * rng.uniform(0.85, 1, 3)).astype(np.float32)
    return _shaded(rng, colour, alpha, rng.uniform(0, 0.3))


def _rod(rng: Rng, texture: Image, skin: Float) -> Float:
    """Draw a pen, a straw, a cable or one finger."""
    alpha = np.zeros((CANVAS, CANVAS), np.uint8)
    line = np.array([[4, 64], [64, 64 + rng.normal(0, 12)], [124, 64 + rng.normal(0, 16)]])
    width = int(rng.integers(2, 18))
    cv2.polylines(alpha, [np.rint(line * 8).astype(np.int32)], False, 255, width, cv2.LINE_AA, 3)
    colour = _tone(rng, skin) if width > 8 and rng.random() < 0.6 else _fabric(rng, texture)
    return _shaded(rng, colour, alpha, rng.uniform(0, 0.5))


def _over(below: Float, above: Float) -> None:
    """Lay one cover over another, in place."""
    share = above[..., 3:]
    total = share + below[..., 3:] * (1 - share)
    mixed = above[..., :3] * share + below[..., :3] * below[..., 3:] * (1 - share)
    below[..., :3] = mixed / np.maximum(total, np.float32(1e-3))
    below[..., 3:] = total


_DRAWN: dict[str, Callable[[Rng, Image, Float], Float]] = {
    "cup": _cup, "phone": _phone, "microphone": _microphone, "drawn hand": _hand, "arm": _arm,
    "shape": _shape, "hair": _hair, "rims": _rims, "rod": _rod,
}  # fmt: skip
_SHARES = (0.1, 0.1, 0.09, 0.2, 0.1, 0.15, 0.07, 0.12, 0.07)
