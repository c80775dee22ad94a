"""Draws the confidence of the field over the outgoing picture."""

from __future__ import annotations

import cv2
import numpy as np

from correspondence import Float, Image

OPACITY = 0.55
CONTOURS = (0.5,)  # confidence levels that are outlined


def _colours() -> Image:
    """256 colours from warm (doubtful) to cool (sure), uint8 (256, 1, 3). They suit colour-blind viewers."""
    stops = np.array(
        [[196, 58, 24], [240, 170, 60], [245, 240, 225], [90, 170, 220], [20, 70, 150]], np.float32
    )
    at = np.linspace(0, len(stops) - 1, 256)
    table = np.stack([np.interp(at, np.arange(len(stops)), stops[:, c]) for c in range(3)], axis=-1)
    return np.rint(table).astype(np.uint8)[:, None, :]


_TABLE = _colours()


def draw_confidence(image: Image, confidence: Float) -> Image:
    """Tint `image` by `confidence`: warm where the field is doubtful, cool where it is sure.

    Args:
        image: uint8 (H, W, 3).
        confidence: float32 (H, W) in [0, 1].

    Returns:
        uint8 (H, W, 3), a new picture.
    """
    levels = np.rint(np.clip(confidence, 0, 1) * 255).astype(np.uint8)
    tint = cv2.applyColorMap(levels, _TABLE)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    drawn: Image = cv2.addWeighted(tint, OPACITY, grey, 1 - OPACITY, 0)
    for level in CONTOURS:
        outlines, _ = cv2.findContours(
            (confidence > level).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE
        )
        cv2.drawContours(drawn, outlines, -1, (255, 255, 255), 1, cv2.LINE_AA)
    return drawn
