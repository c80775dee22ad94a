"""A faint change is followed to its rim, and no further."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Image
from reference.edits.saving.faint import completed
from reference.edits.saving.noise import stands_out


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


@pytest.mark.parametrize(("noise", "levels"), [(0.5, 1.7), (0.7, 1.6)])
def test_a_faint_change_of_a_large_area_is_found(astronaut: Image, noise: float, levels: float) -> None:
    """As a blush in a WebP: nowhere strong, but of one colour over a whole cheek."""
    rng = np.random.default_rng(0)
    blocks = rng.normal(0, noise, (64, 64, 3)).astype(np.float32)
    saved = cv2.resize(blocks, (512, 512), interpolation=cv2.INTER_NEAREST)
    saved += rng.normal(0, 2 * noise, (512, 512, 3)).astype(np.float32)
    cheek = np.zeros((512, 512), np.float32)
    cv2.ellipse(cheek, (120, 330), (44, 30), 0, 0, 360, 1.0, -1)
    cheek = np.asarray(cv2.GaussianBlur(cheek, (0, 0), 3), np.float32)
    blush = cheek[..., None] * np.array([0.5, -1.0, -0.7], np.float32) * levels
    found = stands_out(astronaut, saved + blush, broad=True)
    assert found[cheek > 0.5].mean() > 0.9
    assert found[cheek < 0.01].mean() < 0.002
    assert not stands_out(astronaut, saved, broad=True).any()


@pytest.mark.parametrize(("colour", "found"), [((1.4, 1.4, 1.4), False), ((3.0, 3.0, 3.0), True)])
def test_a_large_area_that_only_lost_some_light_must_be_clearer(
    astronaut: Image, colour: tuple[float, float, float], found: bool
) -> None:
    """Softening makes places beside an edge lighter or darker by a level, in luma alone."""
    rng = np.random.default_rng(0)
    saved = rng.normal(0, 1.4, (512, 512, 3)).astype(np.float32)
    area = np.zeros((512, 512), np.float32)
    cv2.ellipse(area, (120, 330), (44, 30), 0, 0, 360, 1.0, -1)
    change = saved + area[..., None] * np.array(colour, np.float32)
    assert stands_out(astronaut, change, broad=True).any() == found
