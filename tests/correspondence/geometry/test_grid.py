"""Coordinates, resizing and composing of fields, on tensors written out."""

from __future__ import annotations

import numpy as np
import pytest

from correspondence import Float
from correspondence.geometry.grid import (
    compose,
    over,
    pixel_grid,
    rescaled,
    resize_field,
    shifted,
    times,
    to_unit,
)


def linear_field(height: int, width: int) -> Float:
    """dx = 0.1 x + 0.05 y + 1, dy = -0.02 x + 0.2 y."""
    grid = pixel_grid(height, width)
    x, y = grid[..., 0], grid[..., 1]
    return np.dstack([0.1 * x + 0.05 * y + 1, -0.02 * x + 0.2 * y]).astype(np.float32)


def test_pixel_grid_holds_x_then_y() -> None:
    assert pixel_grid(2, 3).tolist() == [[[0, 0], [1, 0], [2, 0]], [[0, 1], [1, 1], [2, 1]]]


def test_unit_coordinates_put_outer_centres_at_one() -> None:
    points = np.array([[0, 0], [4, 2], [2, 1]], np.float32)
    assert to_unit(points, (3, 5)).tolist() == [[-1, -1], [1, 1], [0, 0]]


def test_unit_coordinates_refuse_a_single_row() -> None:
    with pytest.raises(ValueError, match="at least 2 x 2"):
        to_unit(np.zeros((1, 2), np.float32), (1, 5))


def test_resizing_scales_values_and_keeps_constants() -> None:
    field = np.full((4, 4, 2), (3, -2), np.float32)
    assert resize_field(field, (8, 12)) == pytest.approx(np.full((8, 12, 2), (9, -4)))


def test_resizing_keeps_a_linear_map_linear() -> None:
    """Half-pixel centres: the point map of the small pictures is that of the large ones, scaled."""
    small = linear_field(16, 16)
    large = resize_field(small, (64, 64))
    at = (pixel_grid(64, 64) + 0.5) / 4 - 0.5
    x, y = at[..., 0], at[..., 1]
    expected = 4 * np.dstack([0.1 * x + 0.05 * y + 1, -0.02 * x + 0.2 * y])
    assert large[4:-4, 4:-4] == pytest.approx(expected[4:-4, 4:-4], abs=1e-4)


def test_compose_follows_one_field_then_the_other() -> None:
    first = np.full((3, 4, 2), (1, 0), np.float32)
    second = np.zeros((3, 4, 2), np.float32)
    second[:, 2] = (0, 5)
    assert compose(first, second)[:, :, 1].tolist() == [[0, 5, 0, 0]] * 3
    assert (compose(first, second)[..., 0] == 1).all()


def test_composing_with_standing_still_changes_nothing() -> None:
    field, still = linear_field(8, 8), np.zeros((8, 8, 2), np.float32)
    assert compose(field, still) == pytest.approx(field)
    assert compose(still, field) == pytest.approx(field)


def test_fields_of_another_dtype_are_refused() -> None:
    with pytest.raises(ValueError, match="float32, got float64"):
        resize_field(np.zeros((4, 4, 2)), (8, 8))  # type: ignore[arg-type]


def test_sums_of_fields_are_those_of_numpy() -> None:
    rng = np.random.default_rng(3)
    field = rng.normal(0, 5, (7, 9, 2)).astype(np.float32)
    weight = rng.uniform(0.1, 2, (7, 9)).astype(np.float32)
    by = np.array([1.5, -2.0], np.float32)
    np.testing.assert_allclose(shifted(field, by), field + by, rtol=1e-6)
    np.testing.assert_allclose(rescaled(field, by), (field + 0.5) * by - 0.5, rtol=1e-5, atol=1e-5)
    for values in (field, np.dstack([field, weight])):
        np.testing.assert_allclose(times(values, weight), values * weight[..., None], rtol=1e-6)
        np.testing.assert_allclose(over(values, weight), values / weight[..., None], rtol=1e-6)
