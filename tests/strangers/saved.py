"""Edits on the demo's face, and ways in which people's tools save them."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image as Pillow

from correspondence import Bool, Float, Image

LIPS = ((224, 145), (24, 11))  # middle and half axes of the demo's mouth, pixels


def with_lips(image: Image) -> Image:
    """A strong small edit: a soft red ellipse on the mouth."""
    return _laid(image, _ellipse(image, *LIPS, soft=1.0), (180, 20, 60), 0.8)


def with_blush(image: Image) -> Image:
    """A faint edit: 4 levels warmer on one cheek."""
    shape = _ellipse(image, (260, 128), (17, 14), soft=2.0)
    return np.clip(np.rint(image + shape[..., None] * np.array([4.0, -3.0, -2.0])), 0, 255).astype(np.uint8)


def with_hat(image: Image) -> Image:
    """A large edit: a flat blue box over the hair."""
    hat = image.copy()
    hat[4:70, 140:310] = (30, 60, 150)
    return hat


EDITS = {"lips": with_lips, "blush": with_blush, "hat": with_hat}


def stored(image: Image, kind: str, quality: int, **options: object) -> Image:
    """Through a file in memory."""
    buffer = io.BytesIO()
    Pillow.fromarray(image).save(buffer, kind, quality=quality, **options)
    return np.array(Pillow.open(buffer).convert("RGB"), dtype=np.uint8)


def resized(
    image: Image, width: int, height: int, how: Pillow.Resampling = Pillow.Resampling.BICUBIC
) -> Image:
    """Resized as editors do."""
    return np.asarray(Pillow.fromarray(image).resize((width, height), Pillow.Resampling.BICUBIC), np.uint8)


def moved(image: Image, x: float, y: float, turn_deg: float = 0.0) -> Image:
    """Shifted and turned about the middle; the border is repeated."""
    h, w = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), turn_deg, 1.0)
    matrix[:, 2] += (x, y)
    out = cv2.warpAffine(image, matrix, (w, h), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.uint8)


def overlap(truth: Bool, seen: Bool) -> float:
    """Intersection over union; what lies within 2 pixels of the other area agrees."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    near_seen, near_truth = (cv2.dilate(a.astype(np.uint8), kernel) > 0 for a in (seen, truth))
    met = (truth & near_seen).sum()
    return float(met / (met + (truth & ~near_seen).sum() + (seen & ~near_truth).sum()))


def _ellipse(image: Image, middle: tuple[int, int], axes: tuple[int, int], soft: float) -> Float:
    shape = np.zeros(image.shape[:2], np.float32)
    cv2.ellipse(shape, middle, axes, 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(shape, (0, 0), soft), np.float32)


def _laid(image: Image, shape: Float, colour: tuple[int, int, int], opacity: float) -> Image:
    weight = opacity * shape[..., None]
    return np.rint(image * (1 - weight) + weight * np.array(colour)).astype(np.uint8)
