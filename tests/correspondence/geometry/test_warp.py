"""The backward warp, on pictures written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from correspondence import warp_image
from correspondence.geometry.grid import compose, pixel_grid

IMAGE = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def test_a_field_of_one_to_the_right_fetches_the_right_neighbour() -> None:
    field = np.full((3, 4, 2), (1, 0), np.float32)
    assert warp_image(IMAGE, field).tolist() == [[20, 40, 60, 60], [100, 120, 140, 140], [180, 200, 220, 220]]


def test_half_a_pixel_mixes_two() -> None:
    field = np.full((3, 4, 2), (0.5, 0), np.float32)
    assert warp_image(IMAGE.astype(np.float32), field)[0].tolist() == [10, 30, 50, 60]


@pytest.mark.parametrize("channels", [1, 3, 4, 7])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_any_number_of_channels_keeps_its_values(channels: int, dtype: type) -> None:
    rng = np.random.default_rng(0)
    image: npt.NDArray[Any] = rng.integers(0, 255, (9, 8, channels)).astype(dtype)
    still = warp_image(image, np.zeros((9, 8, 2), np.float32))
    assert still.dtype == dtype
    assert (still == image).all()


def test_a_window_of_the_field_gives_that_window_of_the_result() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 255, (20, 24, 3)).astype(np.uint8)
    field = rng.uniform(-2, 2, (20, 24, 2)).astype(np.float32)
    part = warp_image(image, np.ascontiguousarray(field[5:12, 7:20]), origin=(7, 5))
    assert (part == warp_image(image, field)[5:12, 7:20]).all()


def test_warping_twice_is_warping_by_the_composition() -> None:
    at = pixel_grid(64, 64)
    image = (127 + 100 * np.sin(at[..., 0] / 9) * np.cos(at[..., 1] / 11)).astype(np.float32)
    first = np.dstack([2 * np.sin(at[..., 1] / 20), 1.5 * np.cos(at[..., 0] / 20)]).astype(np.float32)
    second = np.dstack([np.full((64, 64), 1.25), at[..., 0] * 0.03]).astype(np.float32)
    twice = warp_image(warp_image(image, second), first)
    once = warp_image(image, compose(first, second))
    assert np.abs(twice - once)[6:-6, 6:-6].max() < 1.5  # two bilinear samplings against one


def test_what_cannot_be_warped_is_named() -> None:
    with pytest.raises(ValueError, match="uint8 or float32"):
        warp_image(np.zeros((3, 4), np.int32), np.zeros((3, 4, 2), np.float32))
