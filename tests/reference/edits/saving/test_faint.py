"""A faint change is followed to its rim, and no further."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Image
from reference.edits.saving.faint import completed, without_specks
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


def test_the_soft_rim_of_a_strong_change_is_found() -> None:
    rng = np.random.default_rng(6)
    disc = np.zeros((300, 300), np.float32)
    cv2.circle(disc, (150, 150), 60, 1.0, -1)
    share = cv2.GaussianBlur(disc, (0, 0), 6.0)
    ycc = rng.normal(0, 0.5, (300, 300, 3)).astype(np.float32)
    ycc += share[..., None] * np.array([-4, 6, 20], np.float32)
    found = completed(ycc, share > 0.5, np.ones_like(share, np.bool_), 1.0)
    assert found[(share > 0.16) & (share < 0.19)].mean() > 0.8
    assert not found[share < 0.1].any()


def test_a_notch_of_a_faint_change_is_filled_if_it_is_changed_too() -> None:
    """Where red was white already, a blush changes green and blue alone."""
    rng = np.random.default_rng(7)
    ycc = cv2.GaussianBlur(rng.normal(0, 5.0, (300, 300, 3)).astype(np.float32), (0, 0), 2.0)
    truth, white = np.zeros((300, 300), np.uint8), np.zeros((300, 300), np.uint8)
    cv2.ellipse(truth, (150, 150), (60, 40), 0, 0, 360, 1, -1)
    cv2.circle(white, (190, 125), 20, 1, -1)
    ycc[truth > 0] += np.array([-0.8, -0.3, 3.5], np.float32)
    ycc[(truth > 0) & (white > 0)] += np.array([-1.2, 0.3, -2.3], np.float32)
    middle = (cv2.erode(truth, np.ones((13, 13))) > 0) & (cv2.dilate(white, np.ones((9, 9))) == 0)
    found = completed(ycc, middle, np.ones_like(middle), 1.0)
    assert found[truth > 0].mean() > 0.95  # 0.93 with its notch
    assert (found & (truth == 0)).sum() < 0.12 * truth.sum()


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


@pytest.mark.parametrize(("side", "levels", "kept"), [(17, 2.5, False), (17, 9.0, True), (30, 2.5, True)])
def test_a_faint_place_of_a_block_is_no_edit(side: int, levels: float, kept: bool) -> None:
    """Saving rounds a block of flat chroma another way; a mole is clearer, and a blush larger."""
    found = np.zeros((200, 200), np.bool_)
    found[64 : 64 + side, 80 : 80 + side] = True
    change = found[..., None].astype(np.float32) * np.array([-levels, 0.5 * levels, 0.0], np.float32)
    assert np.array_equal(without_specks(found, change, 1.0), found if kept else np.zeros_like(found))


@pytest.mark.parametrize(("blue", "luma", "kept"), [(5.0, 0.0, False), (5.0, 1.0, True), (12.0, 0.0, True)])
def test_a_block_of_chroma_alone_must_be_clearer(blue: float, luma: float, kept: bool) -> None:
    found = np.zeros((200, 200), np.bool_)
    found[64:82, 80:98] = True
    change = np.zeros((200, 200, 3), np.float32)
    change[found] = luma + np.array([0.0, -0.114 / 0.587 * blue, blue])
    seen = without_specks(found, change, 1.0)
    assert np.array_equal(seen, found if kept else np.zeros_like(found))


@pytest.mark.parametrize(("strength", "kept"), [(1.0, False), (3.0, True)])
def test_a_small_place_of_mixed_colours_must_be_clearer(strength: float, kept: bool) -> None:
    found = np.zeros((200, 200), np.bool_)
    found[64:80, 80:96] = True
    change = np.zeros((200, 200, 3), np.float32)
    change[64:72, 80:96], change[72:80, 80:96] = (5.0, -3.0, 1.0), (-3.5, 3.0, -2.0)
    seen = without_specks(found, change * np.float32(strength), 1.0)
    assert np.array_equal(seen, found if kept else np.zeros_like(found))


def test_a_change_of_the_whole_picture_is_no_speck() -> None:
    everywhere = np.ones((40, 40), np.bool_)
    assert without_specks(everywhere, np.full((40, 40, 3), 3.0, np.float32), 1.0).all()
