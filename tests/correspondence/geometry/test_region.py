"""The square around head and shoulders."""

from __future__ import annotations

import numpy as np
import pytest

from correspondence import Landmarks
from correspondence.geometry.grid import pixel_grid
from correspondence.geometry.region import GRID, Region, choose_region, crop, ideal_region, whole

SIZE = (720, 1280)


def face_at(x: float, y: float, side: float) -> Landmarks:
    points = np.zeros((478, 3), np.float32)
    points[:468, :2] = np.linspace((x - side / 2, y - side / 2), (x + side / 2, y + side / 2), 468)
    return Landmarks(points, SIZE)


def test_grid_and_pixels_are_inverse() -> None:
    region = Region(100, -20, 300)
    points = np.array([[100, -20], [250.25, 130.5]], np.float32)
    assert region.to_pixels(region.to_grid(points)) == pytest.approx(points, abs=1e-3)
    assert region.to_grid(np.array([99.5, -20.5], np.float32)) == pytest.approx([-0.5, -0.5], abs=1e-3)


@pytest.mark.parametrize(("x", "y"), [(640, 300), (20, 20), (1270, 700)])
def test_the_region_surrounds_the_face_and_stays_in_the_picture(x: float, y: float) -> None:
    x0, y0, x1, y1 = ideal_region(face_at(x, y, 200), SIZE).box
    assert x1 - x0 == y1 - y0 == 460
    assert (x0, y0) >= (0, 0)
    assert x1 <= 1280
    assert y1 <= 720


def test_without_a_face_the_whole_picture_is_the_region() -> None:
    assert ideal_region(None, (480, 640)) == whole((480, 640)) == Region(0, -80, 640)


def test_the_region_stands_still_while_the_face_hardly_moves() -> None:
    first = choose_region(face_at(640, 300, 200), SIZE, None)
    assert choose_region(face_at(650, 305, 206), SIZE, first) is first
    assert choose_region(face_at(700, 300, 200), SIZE, first) != first
    assert choose_region(face_at(640, 300, 240), SIZE, first) != first


def test_a_crop_shows_the_regions_pixels_at_their_cells() -> None:
    image = pixel_grid(90, 120)[..., 0].astype(np.float32) * 2
    region = Region(30, 10, 64)
    cells = crop(image, region, 32)
    expected = region.to_pixels(pixel_grid(32, 32), 32)[..., 0] * 2
    assert cells == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("region", [Region(-50, -50, 40), Region(-10, 70, 64), Region(500, 500, 16)])
def test_a_crop_may_lie_outside(region: Region) -> None:
    image = np.full((90, 120, 3), 7, np.uint8)
    assert (crop(image, region) == 7).all()
    assert crop(image, region).shape == (GRID, GRID, 3)
