"""Calibration: drawn errors must be recognised for what they are."""

from __future__ import annotations

import numpy as np
import pytest

from correspondence.calibrate_network import (
    Errors,
    collect,
    coverage_error,
    figures,
    fit,
    separation,
    sparsification_error,
)
from correspondence.doubt import FACE, REST, Calibration, final_log_b
from tests.correspondence.material import demo_clip, tiny_network


def drawn(rng: np.random.Generator, count: int = 20_000) -> Errors:
    """Laplace errors: twice what the network says on the face, half of it elsewhere, and with the cycle."""
    seen = rng.normal(0, 0.8, (5, count)).astype(np.float32)
    place = np.where(rng.random(count) < 0.5, FACE, REST)
    covered = rng.random(count) < 0.1
    seen[1] = np.where(covered, 3.0, 0.1) + rng.exponential(0.1, count)
    scale = np.exp(seen[0] + 0.5 * seen[2]) * np.where(place == FACE, 2.0, 0.5)
    error = rng.exponential(scale[:, None], (count, 2)).astype(np.float32)
    return Errors(seen, error, place, covered)


def test_a_laplace_law_covers_what_it_says(rng: np.random.Generator) -> None:
    error = rng.exponential(2.0, (50_000, 2)).astype(np.float32)
    right = np.full(50_000, np.log(2), np.float32)
    assert coverage_error(right, error) < 0.01
    assert coverage_error(right - 1, error) > 0.2


def test_doubt_in_the_order_of_errors_is_perfect(rng: np.random.Generator) -> None:
    error = rng.exponential(1.0, 5000).astype(np.float32)
    assert sparsification_error(error, error) == pytest.approx(0, abs=1e-6)
    assert sparsification_error(rng.random(5000).astype(np.float32), error) > 0.5


def test_separation_is_the_probability_of_the_right_order() -> None:
    score = np.array([0.1, 0.4, 0.35, 0.8], np.float32)
    assert separation(score, np.array([False, False, True, True])) == pytest.approx(0.75)


def test_the_drawn_scales_are_found_again(rng: np.random.Generator) -> None:
    errors = drawn(rng)
    calibration = fit(errors)
    assert calibration.raw == pytest.approx(1.0, abs=0.15)
    assert calibration.cycle == pytest.approx(0.5, abs=0.1)
    assert calibration.apart == pytest.approx(0.0, abs=0.05)
    assert calibration.hidden > 0.3
    said = final_log_b(errors.seen, errors.place, calibration) - errors.seen[0] - 0.5 * errors.seen[2]
    for place, factor in ((FACE, 2.0), (REST, 0.5)):
        mine = (errors.place == place) & ~errors.covered
        assert said[mine].mean() == pytest.approx(np.log(factor), abs=0.15)
    before, after = figures(errors, Calibration()), figures(errors, calibration)
    assert after["coverage_error"] < 0.02 < before["coverage_error"]
    assert after["occlusion_auroc"] > before["occlusion_auroc"]
    assert after["ause"] < before["ause"]


def test_errors_are_collected_from_pairs_and_withheld_landmarks() -> None:
    errors = collect(tiny_network(), [demo_clip()], 4)
    assert errors.seen.shape == (5, len(errors.error))
    assert len(errors.error) == len(errors.place) == len(errors.covered)
    assert errors.covered.any()
    assert (errors.error >= 0).all()
    assert np.isfinite(errors.seen).all()
    assert (errors.place == FACE).any()
    assert (errors.place == REST).any()
