"""Simulates edited pictures as editing tools save them: with a crop, a scale, a format and an editor's noise.

Each saving is drawn from a seed. Its effect is known, so the true place and colour of the edit can be
compared with those found.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image as Pillow

from correspondence import Float, Image, Landmarks
from reference import presets
from reference.edits.placing import Transform

FAINT, SMALL, LARGE = "faint", "small", "large"
CROPS = ("whole", "same shape", "multiple", "free")
SCALES = ("same", "multiple", "free", "there and back", "shift", "turn")
FORMATS = ("png", "jpeg", "webp", "png16")
NOISES = ("none", "sharpened", "tone", "dither")
BY_PRESET = ("lipstick", "eyeshadow", "tiger", "backdrop")  # the other edits are drawn here
KERNELS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


@dataclass(frozen=True, slots=True, eq=False)
class Saving:
    """One edited picture as it was saved.

    Attributes:
        what: the steps of the saving in words.
        clean: the edit on the whole reference, RGB uint8 (H, W, 3).
        saved: the saved picture, RGB uint8.
        blank: the reference without the edit, saved in the same way, RGB uint8.
        place: float64 (2, 3), map from places of the reference to places of the saved picture.
        size: "faint", "small" or "large".
    """

    what: str
    clean: Image
    saved: Image
    blank: Image
    place: Transform
    size: str


def draw_edit(image: Image, landmarks: Landmarks, size: str, rng: np.random.Generator) -> tuple[str, Image]:
    """Draw an edit of a given size on a portrait. Returns it, RGB uint8 (H, W, 3), and its name."""
    if size == FAINT:
        return _faint(image, landmarks, rng)
    kinds = {
        SMALL: ("lipstick", "eyeshadow", "mole", "stroke"),
        LARGE: ("hat", "hair", "tiger", "backdrop"),
    }[size]
    kind = str(rng.choice(kinds))
    if kind in BY_PRESET:
        chosen = "#" + "".join(f"{v:02x}" for v in rng.integers(20, 236, 3))
        return kind, presets.apply(kind, image, landmarks, colour=chosen, strength=float(rng.uniform(0.6, 1)))
    side = _face_side(landmarks)
    h, w = image.shape[:2]
    points = landmarks.points[:468, :2]
    shape = np.zeros((h, w), np.float32)
    colour = rng.integers(0, 256, 3).astype(np.float32)
    if kind == "mole":
        x, y = points[rng.integers(0, 468)]
        cv2.circle(shape, (round(x), round(y)), max(4, round(0.03 * side)), 1.0, -1, cv2.LINE_AA)
        colour = np.array([60, 35, 25], np.float32)
    elif kind == "stroke":
        ends = points[rng.choice(468, 2, replace=False)].round().astype(int)
        cv2.line(shape, ends[0].tolist(), ends[1].tolist(), 1.0, max(5, round(0.025 * side)), cv2.LINE_AA)
    elif kind == "hat":
        x, y = points[10]
        box = [x - 0.6 * side, y - 0.5 * side, x + 0.6 * side, y + 0.05 * side]
        x0, y0, x1, y1 = (round(float(v)) for v in box)
        cv2.rectangle(shape, (x0, y0), (x1, y1), 1.0, -1)
    else:
        x, y = points[10]
        axes = (round(0.55 * side), round(0.3 * side))
        cv2.ellipse(shape, (round(x), round(y)), axes, 0, 180, 360, 1.0, -1)
        shape = 0.6 * cv2.GaussianBlur(shape, (0, 0), 0.01 * side)
    return kind, _laid(image, shape, colour)


def _faint(image: Image, landmarks: Landmarks, rng: np.random.Generator) -> tuple[str, Image]:
    """A blush of 3 to 5 levels on one or both cheeks or the forehead, soft at its rim."""
    side = _face_side(landmarks)
    shape = np.zeros(image.shape[:2], np.float32)
    level = float(rng.uniform(3, 5))
    for index in {0: (50,), 1: (50, 280), 2: (151,)}[int(rng.integers(0, 3))]:
        x, y = landmarks.points[index, :2]
        axes = (round(rng.uniform(0.13, 0.2) * side), round(rng.uniform(0.09, 0.14) * side))
        cv2.ellipse(shape, (round(float(x)), round(float(y))), axes, 0, 0, 360, 1.0, -1)
    shape = cv2.GaussianBlur(shape, (0, 0), rng.uniform(0.01, 0.02) * side)
    towards = np.array([1.0, -0.9, -0.5]) if rng.random() < 0.7 else np.array([-1.0, -1.0, -1.0])
    changed = image + level * shape[..., None] * towards
    return f"blush {level:.1f}", np.clip(np.rint(changed), 0, 255).astype(np.uint8)


def draw_saving(image: Image, landmarks: Landmarks, size: str, rng: np.random.Generator) -> Saving:
    """Draw an edit of a given size on a portrait and save it in a random way."""
    name, clean = draw_edit(image, landmarks, size, rng)
    words = [name]
    box = _crop_box(image, landmarks, rng, words)
    state = rng.bit_generator.state
    saved, place = _saved(clean, box, rng, words)
    rng.bit_generator.state = state
    blank, _ = _saved(image, box, rng, [])
    return Saving(", ".join(words), clean, saved, blank, place, size)


def _saved(
    image: Image, box: tuple[int, int, int, int], rng: np.random.Generator, words: list[str]
) -> tuple[Image, Transform]:
    """Save a crop of a picture. Returns it and its place."""
    saved, place = _resampled(image, box, rng, words)
    return _stored(_noisy(saved, rng, words), rng, words), place


def _crop_box(
    image: Image, landmarks: Landmarks, rng: np.random.Generator, words: list[str]
) -> tuple[int, int, int, int]:
    """Draw a crop that keeps most of the face: x, y, width, height in whole pixels."""
    h, w = image.shape[:2]
    kind = str(rng.choice(CROPS, p=(0.4, 0.15, 0.2, 0.25)))
    if kind == "whole":
        return 0, 0, w, h
    if kind == "same shape":
        share = rng.uniform(0.75, 0.98)
        cw, ch = round(w * share), round(h * share)
    elif kind == "multiple":
        step = int(rng.choice((8, 16, 32, 64)))
        cw, ch = w // step * step, h // step * step
    else:
        cw, ch = (round(side * rng.uniform(0.65, 0.98)) for side in (w, h))
    x, y = int(rng.integers(0, w - cw + 1)), int(rng.integers(0, h - ch + 1))
    if kind == "multiple" and rng.random() < 0.6:
        x, y = (w - cw) // 2, (h - ch) // 2
    fx0, fy0, fx1, fy1 = landmarks.box
    x = int(np.clip(x, max(0, fx1 - cw), max(0, min(fx0, w - cw))))
    y = int(np.clip(y, max(0, fy1 - ch), max(0, min(fy0, h - ch))))
    words.append(f"{kind} crop {cw}x{ch}+{x}+{y}")
    return x, y, cw, ch


def _resampled(
    clean: Image, box: tuple[int, int, int, int], rng: np.random.Generator, words: list[str]
) -> tuple[Image, Transform]:
    """Resize the crop to its saved size. Returns it and its place."""
    x, y, w, h = box
    crop = np.ascontiguousarray(clean[y : y + h, x : x + w])
    place = np.array([[1, 0, -x], [0, 1, -y]], np.float64)
    kind = str(rng.choice(SCALES, p=(0.45, 0.12, 0.18, 0.1, 0.08, 0.07)))
    if kind == "same":
        return crop, place
    kernel = int(rng.choice(KERNELS))
    if kind == "there and back":
        factor = float(rng.choice((0.5, 2.0, 3.0)))
        words.append(f"scaled by {factor} and back")
        return _resized(_resized(crop, (round(w * factor), round(h * factor)), kernel), (w, h), kernel), place
    if kind in ("shift", "turn"):
        angle = float(rng.uniform(-2, 2)) if kind == "turn" else 0.0
        move = cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), angle, 1.0)
        move[:, 2] += rng.choice((-1.0, -0.5, 0.0, 0.5, 1.0), 2)
        words.append(f"moved by {move[0, 2]:.1f}, {move[1, 2]:.1f}, turned by {angle:.1f}")
        how = cv2.INTER_CUBIC
        moved = cv2.warpAffine(crop, move, (w, h), flags=how, borderMode=cv2.BORDER_REPLICATE)
        place[:, 2] = move[:, :2] @ place[:, 2] + move[:, 2]
        place[:, :2] = move[:, :2]
        return np.asarray(moved, np.uint8), place
    if kind == "multiple":
        step = int(rng.choice((8, 32, 64)))
        tw, th = (max(1, round(side * f / step)) * step for side, f in ((w, 1.0), (h, 1.0)))
    else:
        factor = rng.uniform(0.6, 2.0)
        tw, th = round(w * factor), round(h * factor * rng.uniform(0.97, 1.03))
    words.append(f"resized to {tw}x{th}")
    sx, sy = tw / w, th / h
    scale = np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2]], np.float64)
    place[:, 2] = scale[:, :2] @ place[:, 2] + scale[:, 2]
    place[:, :2] = scale[:, :2]
    return _resized(crop, (tw, th), kernel), place


def _resized(image: Image, size: tuple[int, int], kernel: int) -> Image:
    """Resize as good editors do, with a kernel that is widened if the picture shrinks."""
    kinds = {
        cv2.INTER_AREA: Pillow.Resampling.BOX if size[0] < image.shape[1] else Pillow.Resampling.BICUBIC,
        cv2.INTER_LINEAR: Pillow.Resampling.BILINEAR,
        cv2.INTER_CUBIC: Pillow.Resampling.BICUBIC,
        cv2.INTER_LANCZOS4: Pillow.Resampling.LANCZOS,
    }
    return np.asarray(Pillow.fromarray(image).resize(size, kinds[kernel]), np.uint8)


def _noisy(image: Image, rng: np.random.Generator, words: list[str]) -> Image:
    """Add the changes that an editor makes unasked."""
    kind = str(rng.choice(NOISES, p=(0.55, 0.15, 0.15, 0.15)))
    if kind == "none":
        return image
    values = image.astype(np.float32)
    if kind == "sharpened":
        amount = float(rng.uniform(0.1, 0.5))
        values += amount * (values - cv2.GaussianBlur(values, (0, 0), float(rng.uniform(0.7, 1.5))))
        words.append(f"sharpened by {amount:.2f}")
    elif kind == "tone":
        gain, lift = rng.uniform(0.98, 1.02, 3), rng.uniform(-3, 3)
        values = np.asarray(values * gain + lift, np.float32)
        words.append(f"tone {gain.round(3).tolist()} {lift:+.1f}")
    else:
        amount = float(rng.uniform(0.3, 1.0))
        values += rng.uniform(-amount, amount, values.shape).astype(np.float32)
        words.append(f"dithered by {amount:.1f}")
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _stored(image: Image, rng: np.random.Generator, words: list[str]) -> Image:
    """Encode and decode the picture in a file format."""
    kind = str(rng.choice(FORMATS, p=(0.25, 0.4, 0.25, 0.1)))
    if kind.startswith("png"):
        words.append(kind)
        return image
    buffer = io.BytesIO()
    quality = int(rng.integers(65, 101))
    if kind == "jpeg":
        subsampling = int(rng.choice((0, 2)))
        Pillow.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
        words.append(f"JPEG {quality} {('4:4:4', '', '4:2:0')[subsampling]}")
    else:
        Pillow.fromarray(image).save(buffer, "WEBP", quality=quality, method=2)
        words.append(f"WebP {quality}")
    return np.array(Pillow.open(buffer).convert("RGB"), dtype=np.uint8)


def _laid(image: Image, shape: Float, colour: Float) -> Image:
    """Lay a colour over a picture with the opacity `shape`, float32 (H, W) in [0, 1]."""
    opaque = np.clip(shape, 0, 1)[..., None]
    return np.clip(np.rint(image * (1 - opaque) + opaque * np.asarray(colour, np.float32)), 0, 255).astype(
        np.uint8
    )


def _face_side(landmarks: Landmarks) -> float:
    x0, y0, x1, y1 = landmarks.box
    return float(max(x1 - x0, y1 - y0))
