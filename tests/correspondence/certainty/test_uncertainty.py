"""log_b, confidence and their calibration."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from correspondence import Landmarks, Match, confidence
from correspondence.certainty.fit_judge import Samples, coverage_error, fit, scales
from correspondence.certainty.uncertainty import Judge, shipped_judge
from correspondence.training.calibrate import draw, draw_thorough
from correspondence.training.known import withhold
from tests.correspondence.faces import CLIPS, clip_frames


def test_confidence_is_the_probability_of_both_components_below_the_radius(
    rng: np.random.Generator,
) -> None:
    log_b = np.array([[-1.0, 0.0, 1.5]], np.float32)
    match = Match.from_field(np.zeros((1, 3, 2), np.float32), log_b)
    errors = np.abs(rng.laplace(size=(200_000, 2)))
    for column, value in enumerate(log_b[0]):
        drawn = (errors * np.exp(value) < 2.0).all(axis=1).mean()
        assert confidence(match, 2.0)[0, column] == pytest.approx(drawn, abs=0.01)


def test_confidence_of_a_box_is_that_part(rng: np.random.Generator) -> None:
    match = Match.from_field(np.zeros((8, 9, 2), np.float32), rng.normal(size=(8, 9)).astype(np.float32))
    assert confidence(match, 1.0, (2, 3, 7, 6)) == pytest.approx(confidence(match, 1.0)[3:6, 2:7], abs=1e-3)


@pytest.mark.parametrize("radius", [0.0, -1.0, float("nan")])
def test_a_radius_must_be_positive(radius: float) -> None:
    match = Match.from_field(np.zeros((1, 1, 2), np.float32), np.zeros((1, 1), np.float32))
    with pytest.raises(ValueError, match="radius_px must be positive"):
        confidence(match, radius)


def made_up(rng: np.random.Generator, count: int) -> Samples:
    """Errors whose scale is known from two features: ln b = 0.7 |f| - 1; the other says nothing."""
    features = rng.normal(size=(count, 2)).astype(np.float32)
    errors = np.abs(rng.laplace(size=(count, 2))) * np.exp(0.7 * np.abs(features[:, :1]) - 1)
    return Samples(features, errors.astype(np.float32), np.ones(count, np.float32), np.zeros(count, bool))


def test_the_fit_finds_the_law_the_errors_were_drawn_from(rng: np.random.Generator) -> None:
    judge = fit(made_up(rng, 40_000), steps=600)
    fresh = made_up(rng, 20_000)
    log_b = scales(fresh, judge)
    within = np.abs(fresh.features[:, 0]) < 2
    assert np.abs(log_b - (0.7 * np.abs(fresh.features[:, 0]) - 1))[within].mean() < 0.06
    assert coverage_error(log_b, fresh.errors) < 0.01
    assert coverage_error(log_b + np.float32(0.7), fresh.errors) > 0.08, "and would notice"


def test_a_fit_is_the_same_by_seed(rng: np.random.Generator) -> None:
    samples = made_up(rng, 2_000)
    first, again, other = (fit(samples, steps=20, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.hidden, again.hidden)
    assert not np.array_equal(first.hidden, other.hidden)


def test_a_stored_judge_says_the_same(rng: np.random.Generator) -> None:
    samples = made_up(rng, 2_000)
    judge = fit(samples, steps=50)
    again = Judge.read(json.loads(json.dumps(judge.stored())))
    assert scales(samples, again) == pytest.approx(scales(samples, judge), abs=1e-3)


@pytest.mark.parametrize("field", ["fine", "coarse"])
def test_the_shipped_curves_rise(field: str) -> None:
    judge = shipped_judge(field)
    assert (np.diff(judge.scores) > 0).all()
    assert (np.diff(judge.log_b) >= 0).all()


def test_withheld_landmarks_follow_their_neighbours(rng: np.random.Generator) -> None:
    points = rng.uniform(0, 200, (478, 3)).astype(np.float32)
    there = Landmarks(points, (256, 256))
    shift = np.array([3, -2, 0], np.float32)
    here = Landmarks(points + shift, (256, 256))
    given, chosen = withhold(here, there)
    assert len(chosen) > 140
    assert given.points == pytest.approx(here.points, abs=1e-3), "a common motion is recovered"
    odd = here.points.copy()  # where a withheld point really is must not matter
    odd[chosen[0], :2] += 30
    given, _ = withhold(Landmarks(odd, (256, 256)), there)
    assert given.points[chosen[0]] == pytest.approx(here.points[chosen[0]], abs=1e-3), (
        "its own place is not used"
    )


@pytest.mark.portraits
@pytest.mark.slow
def test_on_val_clips_the_scale_means_what_it_says(portraits: Path) -> None:
    """Coverage error at most 0.05, and errors that grow with the predicted scale."""
    clips = [list(clip_frames(portraits, name, 6, 16)) for name in CLIPS]
    drawn = draw(np.random.default_rng(11), clips, 30)
    drawn["thorough"] = draw_thorough(np.random.default_rng(11), clips, 15)
    for field, samples in drawn.items():
        log_b = scales(samples, shipped_judge(field))
        assert coverage_error(log_b, samples.errors) < 0.05, field
        order = np.argsort(log_b)
        means = [samples.errors[part].mean() for part in np.array_split(order, 10)]
        assert np.corrcoef(np.argsort(np.argsort(means)), np.arange(10))[0, 1] > 0.95, field
        assert means[-1] > 8 * means[0], field
