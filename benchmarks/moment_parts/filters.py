"""Looks of the whole picture as filters: made on each frame anew, they are the truth of a carried look."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from correspondence import Image

Filter = Callable[[Image], Image]
LEVELS = 6  # levels of brightness of a cartoon
MIX = np.array([[0.92, 0.10, 0.02], [0.03, 0.92, 0.05], [0.02, 0.12, 0.74]], np.float32)  # film's colours


def cartoon(image: Image) -> Image:
    """Flatten a lighter picture to few levels of brightness, strengthen its colours, draw dark outlines."""
    flat = image
    for _ in range(2):
        flat = np.asarray(cv2.bilateralFilter(flat, 9, 35, 7), np.uint8)
    lab = cv2.cvtColor(flat, cv2.COLOR_RGB2LAB).astype(np.float32)
    level = (lab[..., 0] / 255) ** 0.6 * LEVELS
    whole = np.floor(level)
    step = np.clip((level - whole - 0.4) / 0.2, 0, 1)  # a level ends softly, over a fifth of it
    lab[..., 0] = (whole + step) / LEVELS * 255
    lab[..., 1:] = 128 + (lab[..., 1:] - 128) * 1.6
    painted = cv2.cvtColor(np.clip(np.rint(lab), 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)
    ink = np.clip((_edges(flat) - 0.35) / 0.35, 0, 1)[..., None]
    return np.clip(np.rint(painted * (1 - 0.85 * ink)), 0, 255).astype(np.uint8)


def oil(image: Image) -> Image:
    """Paint each pixel in the mean colour of the most frequent brightness nearby, light and colourful."""
    lab = cv2.cvtColor(cv2.xphoto.oilPainting(image, 5, 24), cv2.COLOR_RGB2LAB).astype(np.float32)
    lab[..., 0] = 255 * (lab[..., 0] / 255) ** 0.65
    lab[..., 1:] = 128 + (lab[..., 1:] - 128) * 1.7
    return cv2.cvtColor(np.clip(np.rint(lab), 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)


def warm_film(image: Image) -> Image:
    """Mix the channels towards warm tones, lift the shadows, and let the lights glow red."""
    linear = (image.astype(np.float32) / 255) @ MIX.T
    toned = 0.05 + 0.92 * np.clip(linear, 0, 1) ** np.array((0.85, 0.95, 1.05), np.float32)
    light = np.clip(image.max(axis=2).astype(np.float32) / 255 - 0.7, 0, None) / 0.3
    glow = cv2.GaussianBlur(light, (0, 0), 0.02 * min(image.shape[:2]))[..., None]
    toned = toned + glow * np.array((0.30, 0.10, 0.02), np.float32)
    return np.clip(np.rint(255 * toned), 0, 255).astype(np.uint8)


def drawing(image: Image) -> Image:
    """Draw dark lines at edges, and faint shades, on white paper."""
    gray = cv2.cvtColor(cv2.bilateralFilter(image, 7, 30, 5), cv2.COLOR_RGB2GRAY).astype(np.float32)
    shade = np.clip(gray / np.maximum(cv2.GaussianBlur(gray, (0, 0), 0.03 * min(image.shape[:2])), 1), 0, 1)
    paper = 250 - 90 * (1 - shade) - 215 * np.clip((_edges(image) - 0.2) / 0.5, 0, 1)
    return np.repeat(np.clip(np.rint(paper), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def _edges(image: Image) -> cv2.typing.MatLike:
    """Measure how far a difference of Gaussians is below its surroundings, float32 (H, W), [0, 1]."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine, wide = (cv2.GaussianBlur(gray, (0, 0), sigma) for sigma in (1.2, 3.0))
    return np.clip((wide - fine) / 16, 0, 1)


LOOKS: dict[str, Filter] = {
    "cartoon": cartoon,
    "oil": oil,
    "warm film": warm_film,
    "drawing": drawing,
}
