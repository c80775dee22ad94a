"""Smooth-area perturbation and the normality statistic."""

from __future__ import annotations

import numpy as np
import pytest

from inpaint.model.smooth_area import anderson_darling, perturb_smooth_area, smooth_area


def test_only_the_flat_half_is_perturbed(rng: np.random.Generator) -> None:
    image = np.full((32, 32, 3), 1.0, np.float32)
    image[:, 16:] = rng.random((32, 16, 3), dtype=np.float32)
    flat = smooth_area(image)
    assert flat[:, :15].all()
    assert not flat[:, 16:].any()
    changed = perturb_smooth_area(image, rng)
    np.testing.assert_array_equal(changed[~flat], image[~flat])
    assert (changed - image)[flat].std() == pytest.approx(0.005, rel=0.15)


def test_a_slow_ramp_counts_by_its_slope() -> None:
    ramp = np.tile(np.arange(32, dtype=np.float32)[None, :, None] * 0.002, (8, 1, 3))
    assert not smooth_area(ramp)[:, 1:-1].any()
    assert smooth_area((ramp / 4).astype(np.float32))[:, 1:-1].all()


def test_statistic_of_a_written_out_sample() -> None:
    # n = 2 at +-1: A^2 = -2 - (1/2) [1 * 2 ln F(-1) + 3 * 2 ln F(1)], F(1) = 0.8413447
    expected = -2 - 0.5 * (2 * np.log(0.15865525) + 6 * np.log(0.84134475))
    assert anderson_darling(np.array([1, -1], np.float32)) == pytest.approx(expected, rel=1e-6)


def test_statistic_tells_normal_from_not(rng: np.random.Generator) -> None:
    normal = rng.standard_normal(4000).astype(np.float32)
    assert anderson_darling(normal) < 3.9  # 1 % of true samples are above
    assert anderson_darling(normal + np.float32(0.5)) > 100
    assert anderson_darling(2 * normal) > 100
    assert np.isfinite(anderson_darling(np.array([-40, 40, 0], np.float32)))
    with pytest.raises(ValueError, match="two or more"):
        anderson_darling(np.zeros(1, np.float32))


def test_perturbing_a_constant_picture_helps_its_statistic(rng: np.random.Generator) -> None:
    flat = np.full((64, 64, 3), 0.5, np.float32)
    before = anderson_darling((flat - 0.5) / 0.005)
    after = anderson_darling((perturb_smooth_area(flat, rng) - 0.5) / 0.005)
    assert after < before / 5
