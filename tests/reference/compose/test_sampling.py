"""Places of pixels in the reference, before a camera that moves and one that stands still."""

from __future__ import annotations

import numpy as np
import pytest

from correspondence import Box, Float, Image, Match
from correspondence.types import Patch
from reference.compose.layers import BIAS, warp
from reference.compose.sampling import Places, is_still

SIZE = (240, 1000)
BOX = (40, 8, 960, 232)  # large enough to be read on a coarser grid
TILE = np.s_[96:192, 40:300]


def match_of(move: tuple[float, float], reference_size: tuple[int, int] = SIZE) -> Match:
    values = np.zeros((15, 63, 3), np.float32)
    values[..., :2] = move
    return Match((Patch(values, (0, 0, 1008, 240)),), None, SIZE, reference_size)


@pytest.fixture(scope="module")
def picture() -> Image:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)


@pytest.mark.parametrize("box", [BOX, (40, 8, 340, 232)], ids=["large", "small"])
def test_before_a_still_camera_pixels_are_read_in_place(picture: Image, box: Box) -> None:
    still, moved = Places(match_of((0, 0)), box), Places(match_of((1, 0)), box)
    there = picture[box[1] :, box[0] :][TILE]
    read = warp(picture, still.maps(TILE), BIAS)
    assert np.array_equal(read, there)
    read[:] = 0  # it belongs to the caller
    assert there.any()
    later: Float = still.on(TILE) + np.array([1, 0], np.float32)
    assert moved.on(TILE) == pytest.approx(later, abs=1e-3)
    part = np.s_[8:40, 4:90]
    assert np.array_equal(warp(picture, still.maps(TILE).part(part), BIAS), there[part])
    shifted = warp(picture, moved.maps(TILE).part(part), BIAS)
    assert np.array_equal(shifted, picture[box[1] :, box[0] + 1 :][TILE][part])
    off = moved.cells - still.cells - np.array([1, 0], np.float32)
    assert np.abs(off).max() < 2  # a cell's first pixel or its middle


def test_only_a_field_of_zeros_between_pictures_of_one_size_is_still() -> None:
    assert is_still(match_of((0, 0)))
    assert not is_still(match_of((0, 0.01)))
    assert not is_still(match_of((0, 0), (240, 1001)))
    twice = match_of((0, 0))
    assert not is_still(Match(twice.patches * 2, None, SIZE, SIZE))
