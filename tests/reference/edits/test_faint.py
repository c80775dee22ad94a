"""A faint change is followed to its rim, and no further."""

from __future__ import annotations

import cv2
import numpy as np

from reference.edits.faint import completed


def test_the_rim_of_a_faint_change_is_found_in_noise() -> None:
    rng = np.random.default_rng(4)
    truth = np.zeros((400, 400), np.uint8)
    cv2.ellipse(truth, (200, 200), (60, 40), 0, 0, 360, 1, -1)
    ycc = cv2.GaussianBlur(rng.normal(0, 6.0, (400, 400, 3)).astype(np.float32), (0, 0), 2.0)
    ycc += cv2.GaussianBlur(truth.astype(np.float32), (0, 0), 2.0)[..., None] * np.array(
        [-1, 0.5, 4], np.float32
    )
    middle = cv2.erode(truth, np.ones((21, 21))) > 0
    found = completed(ycc, middle, np.ones_like(middle), 1.0)
    true = truth > 0
    assert found[true].mean() > 0.93
    assert (found & ~true).sum() < 0.12 * true.sum()


def test_noise_alone_is_not_followed() -> None:
    rng = np.random.default_rng(5)
    ycc = cv2.GaussianBlur(rng.normal(0, 6.0, (300, 300, 3)).astype(np.float32), (0, 0), 2.0)
    middle = np.zeros((300, 300), np.bool_)
    middle[140:160, 140:160] = True
    ycc[middle] += np.array([-1, 0.5, 6], np.float32)
    found = completed(ycc, middle, np.ones_like(middle), 1.0)
    assert (found & ~middle).sum() < 0.8 * middle.sum()
