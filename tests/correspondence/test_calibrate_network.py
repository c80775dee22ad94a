"""Calibration: drawn errors must be recognised for what they are."""

from __future__ import annotations

import numpy as np
import pytest

from correspondence.calibrate_network import (
    FACE,
    REST,
    Errors,
    collect,
    coverage_error,
    figures,
    fit,
    log_b_of,
    separation,
    sparsification_error,
)
from correspondence.checkpoints import Calibration
from tests.correspondence.material import demo_clip, tiny_network


def drawn(rng: np.random.Generator, count: int = 20_000) -> Errors:
    """Laplace errors whose scale is twice what a network says on the face and half of it elsewhere."""
    raw = rng.normal(0, 0.8, count).astype(np.float32)
    place = np.where(rng.random(count) < 0.5, FACE, REST)
    scale = np.exp(raw) * np.where(place == FACE, 2.0, 0.5)
    error = rng.exponential(scale[:, None], (count, 2)).astype(np.float32)
    covered = rng.random(count) < 0.1
    hidden = np.where(covered, 3.0, 0.1) + rng.exponential(0.1, count)
    return Errors(raw, hidden.astype(np.float32), error, place, covered)


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
    assert calibration.slope == pytest.approx(1.0, abs=0.11)
    said = log_b_of(errors, calibration) - errors.raw
    for place, factor in ((FACE, 2.0), (REST, 0.5)):
        mine = (errors.place == place) & ~errors.covered
        assert said[mine].mean() == pytest.approx(np.log(factor), abs=0.12)
    assert calibration.hidden > 0
    before, after = figures(errors, Calibration()), figures(errors, calibration)
    assert after["coverage_error"] < 0.015 < before["coverage_error"]
    assert after["occlusion_auroc"] > before["occlusion_auroc"]


def test_errors_are_collected_from_pairs_and_withheld_landmarks() -> None:
    errors = collect(tiny_network(), [demo_clip()], 4)
    assert len(errors.raw) == len(errors.error) == len(errors.place) == len(errors.covered)
    assert errors.covered.any()
    assert (errors.error >= 0).all()
    assert np.isfinite(errors.raw).all()
    assert (errors.place == FACE).any()
    assert (errors.place == REST).any()
