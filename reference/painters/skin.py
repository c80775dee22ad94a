"""Functions that draw on the skin: smoothing, even tone, under-eyes, highlights, the shadow of a beard.

Each has the form of those in `makeup`.
"""

from __future__ import annotations

import cv2
import numpy as np

from correspondence import Float
from reference.face import parts
from reference.painters.drawing import Canvas, Rgb, blend, curve, luma, screen, stain
from reference.painters.makeup import eye_holes, lips

PORES, BLOTCHES = 0.45, 3.6  # bands of detail: finer is kept as pores, coarser as the face's shape, units
LEAST = 0.05  # least share of skin about a pixel from which colours are averaged
MOST_LIFT = 28.0  # of the shadow below the eyes, levels
SPOT = 16.0  # larger deviations are features and not blotches, levels
_SEED = 11
# Below each eye, outer end first: the fold under the lower lid.
RIGHT_HOLLOW = (226, 31, 228, 229, 230, 231, 232, 233, 244)
LEFT_HOLLOW = (446, 261, 448, 449, 450, 451, 452, 453, 464)
BEARD = (
    *(132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361),
    *(376, 411, 425, 266, 327, 2, 98, 36, 205, 187, 147),
)


def skin(face: Float, canvas: Canvas) -> Float:
    """Coverage of the face's skin without eyes, brows, lips, nostrils, hair and beard, float32 in [0, 1].

    Args:
        face: the crop of the face, RGB float32 (h, w, 3), 0 to 255. Hair is what differs from its cheeks.
        canvas: its canvas.
    """
    oval = canvas.fill(curve(canvas.at(*parts.FACE_OVAL), closed=True), soft=2.0)
    eyes = canvas.fill(canvas.at(*parts.RIGHT_EYE), canvas.at(*parts.LEFT_EYE), soft=1.0)
    brows = canvas.fill(
        *(np.concatenate([canvas.at(*top), canvas.at(*bottom)[::-1]]) for top, bottom in _BROWS), soft=1.0
    )
    mouth = canvas.fill(curve(canvas.at(*parts.OUTER_LIPS), closed=True), soft=0.8)
    nostrils = np.maximum(*(canvas.blob(canvas.at(n)[0], (1.8, 1.2)) for n in (141, 370)))
    other = np.clip(1.4 * np.maximum.reduce([eyes, brows, mouth, nostrils]), 0, 1)
    return np.asarray(np.clip(oval * (1 - other), 0, 1) * _alike(face, canvas), np.float32)


def _alike(face: Float, canvas: Canvas) -> Float:
    """How much each pixel is coloured as the cheeks and the forehead are, float32 in [0, 1]."""
    near = cv2.GaussianBlur(face, (0, 0), max(0.8, 0.8 * canvas.unit))
    light = np.maximum(luma(near), 1.0)
    hue = near / light
    sure = np.maximum.reduce([canvas.blob(canvas.at(n)[0], (7, 5)) for n in (50, 280, 151)]) > 0.3
    if not sure.any():
        return np.ones(canvas.size, np.float32)
    own, bright = np.median(hue[sure], axis=0), float(np.median(light[sure]))
    colour = np.abs(hue - own).max(axis=2)
    dark = np.log2(bright / light[..., 0])
    return np.asarray(np.clip(2.2 - colour / 0.13, 0, 1) * np.clip(2.2 - dark / 0.55, 0, 1), np.float32)


_BROWS = (parts.RIGHT_BROW, parts.LEFT_BROW)


def _mean(image: Float, weight: Float, sigma: float) -> Float:
    """Mean of an image about each pixel, over the weighted pixels only, float32 in the image's shape."""
    share = cv2.GaussianBlur(weight, (0, 0), sigma)
    total = cv2.GaussianBlur(np.ascontiguousarray(image * weight[..., None]), (0, 0), sigma)
    mean = total.reshape(image.shape) / np.maximum(share, LEAST)[..., None]
    return np.asarray(np.where(share[..., None] > LEAST, mean, image), np.float32)


def smooth(face: Float, canvas: Canvas, colour: Rgb) -> Float:
    """Takes blotches and small shadows out of the skin and keeps its pores and the shape of the face."""
    area = skin(face, canvas)
    fine = _mean(face, area, max(0.6, PORES * canvas.unit))
    coarse = _mean(face, area, max(1.2, BLOTCHES * canvas.unit))
    blotches = fine - coarse
    size = np.abs(blotches).max(axis=2, keepdims=True)
    kept = np.clip(size / SPOT - 1, 0, 1)  # the edge of a feature
    return blend(face, face - blotches * (1 - kept), area)


def even(face: Float, canvas: Canvas, colour: Rgb) -> Float:
    """Brings red and sallow areas to the face's own colour, and softens differences of brightness."""
    area = skin(face, canvas)
    near = _mean(face, area, 2.0 * canvas.unit)
    own = _mean(face, area, 16.0 * canvas.unit)
    light = luma(near)
    shift = own * (light / np.maximum(luma(own), 1.0)) - near  # the colour alone
    return blend(face, face + shift + 0.35 * (luma(own) - light), area)


def under_eye(face: Float, canvas: Canvas, colour: Rgb) -> Float:
    """Lifts the shadow below the eyes to the colour of the cheek. It darkens nothing."""
    area = np.zeros(canvas.size, np.float32)
    for lid, hollow in ((parts.RIGHT_LOWER_LID, RIGHT_HOLLOW), (parts.LEFT_LOWER_LID, LEFT_HOLLOW)):
        below = canvas.at(*hollow)
        below = below + 0.5 * (below - canvas.at(*lid))
        patch = np.concatenate([canvas.at(*lid), below[::-1]]).astype(np.float32)
        area = np.maximum(area, canvas.fill(patch, soft=1.6))
    area = area * (1 - canvas.fill(canvas.at(*parts.RIGHT_EYE), canvas.at(*parts.LEFT_EYE), soft=0.5))
    cheeks = np.maximum(*(canvas.blob(canvas.at(n)[0], (5, 4)) for n in (118, 347)))
    cheek = (face * cheeks[..., None]).sum(axis=(0, 1)) / max(float(cheeks.sum()), 1e-3)
    near = cv2.GaussianBlur(face, (0, 0), max(0.8, 1.2 * canvas.unit))
    lift = np.maximum(float(cheek @ _LUMA) - luma(near), 0)
    tone = cheek * (luma(near) / max(float(cheek @ _LUMA), 1.0)) - near
    return blend(face, face + 0.65 * np.minimum(lift, MOST_LIFT) + 0.5 * tone, np.asarray(area, np.float32))


_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def highlighter(face: Float, canvas: Canvas, colour: Rgb) -> Float:
    """A glow on cheekbones, brow bones, the nose's ridge and the lip's bow, stronger where it is light."""
    light = np.zeros(canvas.size, np.float32)
    for bone, brow in (((116, 117, 118, 101), (70, 63, 105)), ((345, 346, 347, 330), (300, 293, 334))):
        light = np.maximum(light, canvas.stroke(canvas.at(*bone), (1, 4, 3, 0.5), soft=1.6))
        under = canvas.at(*brow) + np.array([0, 2.2 * canvas.unit], np.float32)
        light = np.maximum(light, 0.5 * canvas.stroke(under, (0.5, 1.2, 0.5), soft=0.8))
    light = np.maximum(light, 0.9 * canvas.stroke(canvas.at(6, 197, 195, 5), (0.8, 1.4, 1.4, 1.6), soft=0.7))
    light = np.maximum(light, 0.6 * canvas.stroke(canvas.at(37, 0, 267), (0.3, 0.9, 0.3), soft=0.5))
    bright = luma(face)[..., 0]
    mean = float((bright * light).sum() / max(float(light.sum()), 1e-3))
    lit = np.clip(0.5 + 0.5 * bright / max(mean, 8.0), 0.3, 1.3)
    oval = canvas.fill(curve(canvas.at(*parts.FACE_OVAL), closed=True), soft=1.2)
    share = min(1.0, 0.25 + mean / 255)  # dark skin takes less light
    return screen(face, np.asarray(np.clip(0.55 * share * light * lit * oval, 0, 1), np.float32), colour)


def beard(face: Float, canvas: Canvas, colour: Rgb) -> Float:
    """The shadow of a beard: stubble on jaw, chin and upper lip, denser towards the chin."""
    area = canvas.fill(curve(canvas.at(*BEARD), closed=True), soft=2.4)
    area = area * (1 - np.clip(1.5 * canvas.fill(canvas.at(*parts.OUTER_LIPS), soft=0.7), 0, 1))
    rng = np.random.default_rng(_SEED)
    grain = rng.random(canvas.size, np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), max(0.5, 0.18 * canvas.unit))
    grain = (grain - grain.mean()) / max(float(grain.std()), 1e-4)
    stubble = np.clip(0.4 + 0.11 * grain, 0, 1)
    return stain(face, np.asarray(area * stubble, np.float32), colour)


def eye_white(face: Float, canvas: Canvas, colour: Rgb) -> Float:
    """Takes redness out of the whites of the eyes and lightens them a little. Irises stay."""
    white = eye_holes(canvas)
    for centre, rim in ((468, (469, 470, 471, 472)), (473, (474, 475, 476, 477))):
        middle = canvas.at(centre)[0]
        radius = float(np.linalg.norm(canvas.at(*rim) - middle, axis=1).mean())
        angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        ring = middle + 1.12 * radius * np.stack([np.cos(angle), np.sin(angle)], 1)
        white = white * (1 - canvas.fill(ring.astype(np.float32), soft=0.25))
    light = luma(face)
    clean = np.clip(light * 1.12 + 4, 0, 255) + 0.25 * (face - light)
    dark = np.clip((light[..., 0] - 45) / 50, 0, 1)  # lashes and the shadow of the lid stay
    return blend(face, np.asarray(clean, np.float32), np.asarray(white * dark, np.float32))


def teeth(face: Float, canvas: Canvas, colour: Rgb) -> Float:
    """Whitens teeth: what is bright and little coloured inside the lips. A closed mouth stays as it is."""
    inside = canvas.fill(curve(canvas.at(*parts.INNER_LIPS), closed=True), soft=0.3)
    light = luma(face)
    seen = light[..., 0][inside > 0.5]
    if seen.size < 8:
        return face
    level = max(70.0, 0.55 * float(np.percentile(seen, 95)))
    red = face[..., 0] - (face[..., 1] + face[..., 2]) / 2  # gums, lips and tongue
    tooth = np.clip((light[..., 0] - level) / 30, 0, 1) * np.clip((62 - red) / 25, 0, 1)
    white = np.clip(light * 1.1 + 3, 0, 255) + 0.3 * (face - light)
    return blend(face, np.asarray(white, np.float32), np.asarray(inside * tooth, np.float32))


def lip_liner(face: Float, canvas: Canvas, colour: Rgb) -> Float:
    """A line along the lips' outline that fades inward."""
    outline = canvas.at(*parts.OUTER_LIPS)
    closed = np.concatenate([outline, outline[:2]])
    line = canvas.stroke(closed, (1.5, 1.5), soft=0.35)
    inward = lips(canvas, soft=0.8) * canvas.stroke(closed, (4.5, 4.5), soft=1.0)
    return stain(face, np.asarray(np.clip(np.maximum(0.9 * line, 0.5 * inward), 0, 1), np.float32), colour)


def gloss(face: Float, canvas: Canvas, colour: Rgb) -> Float:
    """A wet shine on the lips: their own highlights grow, and a soft streak lies on the lower lip."""
    area = lips(canvas)
    light = luma(face)
    mean = float((light[..., 0] * area).sum() / max(float(area.sum()), 1e-3))
    shine = np.clip((light[..., 0] - 1.08 * mean) / max(0.6 * mean, 10.0), 0, 1)
    low = np.stack([canvas.between(inner, outer, 0.45) for inner, outer in ((87, 84), (14, 17), (317, 314))])
    streak = canvas.stroke(low.astype(np.float32), (0.2, 1.5, 0.2), soft=0.45)
    glow = area * np.clip(0.75 * shine + 0.45 * streak, 0, 1)
    return screen(stain(face, 0.25 * area, colour), np.asarray(glow, np.float32), (255, 240, 238))


def lashes(face: Float, canvas: Canvas, colour: Rgb) -> Float:
    """Long upper lashes that fan outward, and a dark rim between them."""
    hairs = np.zeros(canvas.size, np.float32)
    rng = np.random.default_rng(_SEED)
    for upper, lower in (
        (parts.RIGHT_UPPER_LID, parts.RIGHT_LOWER_LID), (parts.LEFT_UPPER_LID, parts.LEFT_LOWER_LID),
    ):  # fmt: skip
        lid = curve(canvas.at(*upper))
        outer, inner = lid[0], lid[-1]
        out = (outer - inner) / max(float(np.linalg.norm(outer - inner)), 1e-3)
        up = lid[len(lid) // 2] - canvas.at(*lower)[len(lower) // 2]
        up = up / max(float(np.linalg.norm(up)), 1e-3)
        for share in np.linspace(0.02, 0.92, 17):
            root = lid[round(float(share) * (len(lid) - 1))]
            length = canvas.unit * (2.7 - 1.7 * share) * rng.uniform(0.85, 1.1)
            lean = 0.9 - 1.1 * share
            way = up + lean * out
            way = way / max(float(np.linalg.norm(way)), 1e-3)
            bend = root + 0.5 * length * (way + 0.25 * out)
            tip = root + length * (way + 0.25 * up)
            hair = canvas.stroke(np.stack([root, bend, tip]).astype(np.float32), (0.45, 0.32, 0.06))
            hairs = np.maximum(hairs, hair)
        rim = canvas.stroke(lid[:: len(lid) // 8], (0.5, 0.7, 0.5, 0.2), soft=0.15)
        hairs = np.maximum(hairs, 0.7 * rim)
    return stain(face, np.asarray(0.95 * hairs, np.float32), colour)
