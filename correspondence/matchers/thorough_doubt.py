"""Features of a thorough match's error, and their conversion to `log_b`."""

from __future__ import annotations

import cv2
import numpy as np

from correspondence.certainty.uncertainty import AROUND, WIDE, colours, shipped_judge
from correspondence.geometry.flow import appearance, contrast, sample, unlike
from correspondence.geometry.grid import Float, pixel_grid
from correspondence.matchers.choice import EVIDENCE, apart, loop
from correspondence.types import Image

SIDE = 512  # lengths are measured in pixels of a picture whose shorter side is this long


def features(
    field: Float,
    fields: tuple[Float, Float, Float],
    back: Float,
    log_b: Float,
    pair: tuple[Image, Image],
    known: Float,
) -> list[Float]:
    """Compute the features that the judge weighs, each float32 (h / EVIDENCE, w / EVIDENCE).

    All fields are float32 (h, w, 2), pixels.

    Args:
        field: the chosen field.
        fields: the base's field, the free flow, and the flow started from the base's field.
        back: the flow from the reference to the frame.
        log_b: log_b of the base, float32 (h, w), natural log of pixels.
        pair: frame and reference, uint8 (h, w, 3) each.
        known: masks of skin, and of lips, eyes and brows, from landmarks; float32 (h, w, 2), [0, 1].
    """
    h, w = field.shape[:2]
    unit = np.float32(SIDE / min(h, w))
    size = max(1, w // EVIDENCE), max(1, h // EVIDENCE)

    def small(values: Float) -> Float:
        return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)

    def length(values: Float) -> Float:
        return np.log(unit * small(values) + np.float32(0.1))

    base, free, led = fields
    here, there = appearance(pair[0]), appearance(pair[1])
    seen = sample(there, pixel_grid(h, w) + field)
    residual = np.log(small(unlike(here, seen)) + 1)
    shades = np.asarray(cv2.resize(cv2.absdiff(here, seen), size, interpolation=cv2.INTER_AREA), np.uint8)
    cycle, own = length(loop(field, back)), small(log_b) + np.log(unit)
    away, spread = length(apart(field, base)), length(apart(free, led))
    return [
        own,
        cycle,
        away,
        spread,
        residual,
        np.log(small(contrast(here)) + 1),
        *cv2.split(small(known)),
        *colours(shades),
        cv2.blur(own, AROUND),
        cv2.blur(cycle, AROUND),
        cv2.blur(cycle, WIDE),
        cv2.blur(away, AROUND),
        cv2.blur(spread, AROUND),
        cv2.blur(residual, AROUND),
        cv2.blur(residual, WIDE),
    ]


def judged(seen: list[Float], size: tuple[int, int]) -> Float:
    """Compute log_b of a match at the working size: float32 (h, w), natural log of pixels.

    Args:
        seen: the result of `features`.
        size: the working size (h, w).
    """
    log_b = shipped_judge("thorough")(seen) - np.float32(np.log(SIDE / min(size)))
    return np.asarray(cv2.resize(log_b, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
