"""Holes: exactness outside, ramps inside, seams."""

from __future__ import annotations

import numpy as np
import pytest

from correspondence import Float, Image
from inpaint import fill_classical
from inpaint.mask import dilate, feather, fill_delta, hole_box, match_boundary, paste, square_box


def hole(size: tuple[int, int], box: tuple[int, int, int, int]) -> Float:
    mask = np.zeros(size, np.float32)
    mask[box[1] : box[3], box[0] : box[2]] = 1
    return mask


def noise(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    return rng.integers(0, 256, (*size, 3), dtype=np.uint8)


def test_dilate_is_a_disc() -> None:
    grown = dilate(hole((5, 5), (2, 2, 3, 3)), 1)
    expected = np.array(
        [[0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]], np.float32
    )
    np.testing.assert_array_equal(grown, expected)
    with pytest.raises(ValueError, match="radius_px"):
        dilate(grown, -1)


def test_feather_rises_inside_only() -> None:
    mask = hole((21, 21), (5, 5, 16, 16))
    soft = feather(mask, 3)
    assert np.all(soft[mask == 0] == 0)
    assert np.all(soft <= mask)
    row = soft[10, 5:11]
    assert np.all(np.diff(row) >= 0)
    assert 0 < row[0] < 0.2
    assert row[-1] == 1


def test_feather_ignores_the_border_of_the_picture() -> None:
    mask = hole((16, 16), (0, 0, 8, 16))
    soft = feather(mask, 3)
    np.testing.assert_array_equal(soft[0], soft[8])
    assert soft[0, 0] == 1
    np.testing.assert_array_equal(feather(np.ones((4, 4), np.float32), 3), 1)


@pytest.mark.parametrize(
    ("margin", "expected"), [(0, (3, 4, 6, 9)), (2, (1, 2, 8, 11)), (100, (0, 0, 20, 12))]
)
def test_hole_box(margin: int, expected: tuple[int, int, int, int]) -> None:
    assert hole_box(hole((12, 20), (3, 4, 6, 9)), margin) == expected


def test_an_empty_mask_has_no_box() -> None:
    assert hole_box(np.zeros((4, 4), np.float32)) is None


@pytest.mark.parametrize("box", [(0, 0, 4, 4), (90, 10, 100, 80), (40, 40, 60, 45), (0, 0, 100, 80)])
def test_square_box_covers_and_stays_inside(box: tuple[int, int, int, int]) -> None:
    x0, y0, x1, y1 = square_box(box, (80, 100), least_px=16)
    assert 0 <= x0 <= box[0]
    assert 0 <= y0 <= box[1]
    assert box[2] <= x1 <= 100
    assert box[3] <= y1 <= 80
    assert min(x1 - x0, 80) == y1 - y0 or x1 - x0 == y1 - y0


@pytest.mark.parametrize("feather_px", [0.0, 2.5])
def test_paste_is_exact_outside(rng: np.random.Generator, feather_px: float) -> None:
    image, filled = noise(rng, (40, 50)), noise(rng, (40, 50))
    mask = hole((40, 50), (10, 10, 30, 30)) * np.float32(0.7)
    pasted = paste(image, filled, mask, feather_px)
    np.testing.assert_array_equal(pasted[mask == 0], image[mask == 0])
    assert np.any(pasted[mask > 0] != image[mask > 0])


def test_paste_blends_by_the_mask() -> None:
    image, filled = np.full((2, 2, 3), 100, np.uint8), np.full((2, 2, 3), 200, np.uint8)
    mask = np.array([[0, 0.25], [0.5, 1]], np.float32)
    np.testing.assert_array_equal(paste(image, filled, mask)[..., 0], [[100, 125], [150, 200]])


def test_paste_refuses_what_does_not_fit(rng: np.random.Generator) -> None:
    image = noise(rng, (8, 8))
    with pytest.raises(ValueError, match="size"):
        paste(image, noise(rng, (8, 9)), np.zeros((8, 8), np.float32))
    with pytest.raises(ValueError, match="float32"):
        paste(image, image, np.zeros((8, 9), np.float32))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        paste(image, image, np.full((8, 8), 1.5, np.float32))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        paste(image, image, np.full((8, 8), np.nan, np.float32))


def test_boundary_match_removes_a_constant_offset() -> None:
    y, x = np.mgrid[0:64, 0:64]
    image = np.repeat((60 + x + y)[..., None], 3, axis=2).astype(np.uint8)
    mask = hole((64, 64), (20, 20, 44, 44))
    filled = np.asarray(image + 20, np.uint8)  # as an autoencoder that is a little too bright
    matched = match_boundary(image, filled, mask)
    rim = (feather(mask, 4) < 1) & (mask > 0)
    assert np.abs(matched[rim].astype(int) - image[rim]).max() <= 8
    assert np.abs(matched[20, 32].astype(int) - image[20, 32]).max() <= 2


@pytest.mark.parametrize("method", ["telea", "ns"])
def test_classical_fill_continues_and_keeps(method: str) -> None:
    y, x = np.mgrid[0:48, 0:48]
    image = np.stack([40 + 2 * x, 40 + 2 * y, np.full_like(x, 90)], axis=-1).astype(np.uint8)
    mask = hole((48, 48), (18, 18, 30, 30))
    broken = image.copy()
    broken[mask > 0] = 255
    filled = fill_classical(broken, mask, method="ns" if method == "ns" else "telea")
    np.testing.assert_array_equal(filled[mask == 0], image[mask == 0])
    assert np.abs(filled[mask > 0].astype(int) - image[mask > 0]).mean() < 6


def test_classical_fill_without_a_hole_or_without_surroundings(rng: np.random.Generator) -> None:
    image = noise(rng, (16, 16))
    for value in (0, 1):
        np.testing.assert_array_equal(fill_classical(image, np.full((16, 16), value, np.float32)), image)


def test_the_change_is_taken_after_the_fill() -> None:
    frame, edited = np.full((32, 32, 3), 100, np.uint8), np.full((32, 32, 3), 130, np.uint8)
    mask = hole((32, 32), (10, 10, 20, 20))
    edited[mask > 0] = 0  # unknown there
    whole, change = fill_delta(frame, edited, mask, fill_classical)
    assert change.dtype == np.int16
    np.testing.assert_array_equal(change[mask == 0], 30)
    np.testing.assert_array_equal(change, whole.astype(np.int16) - 100)
    assert np.abs(whole.astype(int) - 130).max() <= 3  # Telea rounds
    with pytest.raises(ValueError, match="one size"):
        fill_delta(frame[:8], edited, mask, fill_classical)
