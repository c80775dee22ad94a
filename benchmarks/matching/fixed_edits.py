"""Fixed edits that can be made on any frame with a face. They give the truth for carried edits."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from correspondence import Bool, Image, Landmarks
from correspondence.types import Box
from reference import presets
from reference.painters.drawing import Canvas, blend, crop

TONE = ((0.8, 0.03), (0.9, 0.0), (1.15, -0.03))  # gamma and lift of red, green, blue
MARK = (  # the scribble's way: between two landmarks, at a share
    (116, 50, 0.2), (50, 205, 0.2), (101, 118, 0.1), (205, 36, 0.4),
    (142, 126, 0.3), (195, 5, 0.2), (355, 429, 0.4), (330, 280, 0.3),
)  # fmt: skip
CEILING_DB = 60.0  # a frame met exactly counts as this much in a mean


def tone(image: Image, landmarks: Landmarks) -> Image:
    """Apply a tone curve with lifted shadows and warm highlights."""
    level = np.arange(256) / 255
    curves = [255 * (0.94 * level**gamma + 0.03 + lift * level) for gamma, lift in TONE]
    table = np.stack(curves, -1).clip(0, 255).round().astype(np.uint8)
    return np.asarray(cv2.LUT(image, table[None]), np.uint8)


def clarity(image: Image, landmarks: Landmarks) -> Image:
    """Raise the local contrast, which no colour table can do."""
    sharp = image.astype(np.float32)
    around = cv2.GaussianBlur(sharp, (0, 0), 0.02 * min(image.shape[:2]))
    return np.clip(np.rint(sharp + 0.6 * (sharp - around)), 0, 255).astype(np.uint8)


def lipstick(image: Image, landmarks: Landmarks) -> Image:
    """The lipstick preset."""
    return presets.apply("lipstick", image, landmarks)


def cartoon(image: Image, landmarks: Landmarks) -> Image:
    """Flatten the picture by a bilateral filter, then posterise it to eight levels."""
    flat = cv2.bilateralFilter(image, 7, 40, 5)
    return np.asarray((flat // 32) * 32 + 16, np.uint8)


def mark(image: Image, landmarks: Landmarks) -> Image:
    """Draw a freehand scribble of opaque green across cheek and nose."""
    canvas = Canvas(landmarks)
    path = np.stack([canvas.between(a, b, share) for a, b, share in MARK])
    coverage = canvas.stroke(path, (1.4, 2.2, 1.8, 2.4, 1.6))
    x0, y0, x1, y1 = canvas.box
    painted = image.copy()
    colour = np.full((y1 - y0, x1 - x0, 3), (30, 170, 70), np.float32)
    painted[y0:y1, x0:x1] = np.rint(blend(crop(image, canvas.box), colour, coverage)).astype(np.uint8)
    return painted


def tiger(image: Image, landmarks: Landmarks) -> Image:
    """The tiger preset."""
    return presets.apply("tiger", image, landmarks)


EDITS: dict[str, Callable[[Image, Landmarks], Image]] = {
    "tone": tone,
    "clarity": clarity,
    "lipstick": lipstick,
    "cartoon": cartoon,
    "mark": mark,
}


def edited_region(frame: Image, truth: Image) -> Bool:
    """Where the truth differs from the frame by more than 2 levels, grown by 5 px; bool (H, W)."""
    differs = (cv2.absdiff(frame, truth).max(axis=2) > 2).astype(np.uint8)
    return np.asarray(cv2.dilate(differs, np.ones((11, 11), np.uint8)) > 0, np.bool_)


WINDOWS = {"lipstick": lipstick, "tiger": tiger, "mark": mark}  # edits in whose window matchers are judged


def edited_window(frame: Image, truth: Image) -> Box | None:
    """The box (x0, y0, x1, y1) around `edited_region`, pixels. None if nothing differs."""
    x, y, w, h = cv2.boundingRect(edited_region(frame, truth).astype(np.uint8))
    return (x, y, x + w, y + h) if w and h else None
