"""Landmarks, patches and matches."""

from __future__ import annotations

import numpy as np
import pytest

from correspondence import Box, Float, Landmarks, Match
from correspondence.geometry.grid import pixel_grid
from correspondence.geometry.region import Region
from correspondence.types import Patch

FRAME = (90, 120)


def affine_patch(box: Box, cells: int, level: float = 0.0, feather: float = 0.0) -> Patch:
    """A patch of the field dx = 0.1 x - 2, dy = 0.05 x + 0.2 y + level, in pixels."""
    region = Region(box[0], box[1], box[2] - box[0])
    at = region.to_pixels(pixel_grid(cells, cells), cells)
    dx, dy = 0.1 * at[..., 0] - 2, 0.05 * at[..., 0] + 0.2 * at[..., 1] + level
    return Patch(np.dstack([dx, dy, np.full_like(dx, level)]).astype(np.float32), box, feather)


def affine_field(height: int, width: int) -> Float:
    at = pixel_grid(height, width)
    return np.dstack([0.1 * at[..., 0] - 2, 0.05 * at[..., 0] + 0.2 * at[..., 1]]).astype(np.float32)


def two_patches(level: float = 0.0) -> Match:
    outer = affine_patch((0, -15, 120, 105), 24)
    inner = affine_patch((30, 20, 90, 80), 40, level, feather=10)
    return Match((outer, inner), None, FRAME, FRAME)


def test_a_linear_field_survives_the_grids() -> None:
    """Half-pixel centres and scaled values: coarse cells hold the same map as full-size pixels."""
    inside = np.s_[4:-4, 4:-4]  # where cells lie on both sides
    assert two_patches().field[inside] == pytest.approx(affine_field(*FRAME)[inside], abs=0.02)  # 1/32 cell


def test_a_window_is_that_part_of_the_full_field() -> None:
    match = two_patches(level=3.0)
    for box in ((0, 0, 120, 90), (45, 35, 70, 60), (25, 15, 60, 30), (119, 89, 120, 90)):
        field, log_b = match.window(box)
        part = np.s_[box[1] : box[3], box[0] : box[2]]
        assert field == pytest.approx(match.field[part], abs=0.02)
        assert log_b == pytest.approx(match.log_b[part], abs=0.02)


def test_the_inner_patch_fades_into_the_outer_without_a_step() -> None:
    log_b = two_patches(level=3.0).log_b
    assert log_b[50, 60] == pytest.approx(3.0)
    assert log_b[50, 10] == pytest.approx(0.0)
    assert np.abs(np.diff(log_b[50])).max() < 0.6


def test_a_patch_that_reaches_the_frames_border_does_not_fade_there() -> None:
    outer, inner = affine_patch((0, -15, 120, 105), 24), affine_patch((-10, -10, 80, 80), 45, 2.0, feather=12)
    match = Match((outer, inner), None, FRAME, FRAME)
    assert match.log_b[0, 0] == pytest.approx(2.0)
    assert match.log_b[0, 79] < 0.5


def test_a_full_size_field_comes_back_as_it_was() -> None:
    rng = np.random.default_rng(3)
    field, log_b = rng.normal(size=(7, 9, 2)).astype(np.float32), rng.normal(size=(7, 9)).astype(np.float32)
    match = Match.from_field(field, log_b)
    assert (match.field == field).all()
    assert match.window((2, 1, 5, 6))[0] == pytest.approx(field[1:6, 2:5], abs=1e-3)
    assert match.frame_size == match.reference_size == (7, 9)


def test_the_full_field_is_computed_once() -> None:
    match = two_patches()
    assert match.field.base is match.field.base
    assert match._full is match._full


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (-1, 0, 5, 5), (0, 0, 121, 5)])
def test_windows_outside_the_frame_are_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="inside the 120 x 90 frame"):
        two_patches().window(box)


def test_landmarks_of_another_shape_are_refused_and_points_frozen() -> None:
    with pytest.raises(ValueError, match=r"478, 3.*got float32 \(468, 3\)"):
        Landmarks(np.zeros((468, 3), np.float32), FRAME)
    landmarks = Landmarks(np.zeros((478, 3), np.float32), FRAME)
    with pytest.raises(ValueError, match="read-only"):
        landmarks.points[0] = 1
