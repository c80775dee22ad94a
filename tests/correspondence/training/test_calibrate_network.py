"""The network's judge: measures that know the right answer, and samples that are what they are said to be."""

from __future__ import annotations

import numpy as np
import pytest

from correspondence.certainty.doubt import COUNT, own_word
from correspondence.certainty.fit_judge import Samples, fit
from correspondence.network.torch_runtime import TorchRunner
from correspondence.training.calibrate_network import (
    LANDMARK_WEIGHT,
    calibrate,
    collect,
    figures,
    separation,
    sparsification_error,
)
from correspondence.training.data import Clip
from tests.correspondence.material import demo_clip, tiny_network


def drawn(rng: np.random.Generator, count: int = 20_000) -> Samples:
    """Laplace errors as the network says, thrice that where feature 4 is high; covered where it is higher."""
    features = rng.normal(0, 0.8, (count, COUNT)).astype(np.float32)
    covered = features[:, 4] > 1.2
    scale = np.exp(features[:, 0] + np.where(features[:, 4] > 0.4, np.log(3), 0))
    errors = rng.exponential(scale[:, None], (count, 2)).astype(np.float32)
    errors[covered] = np.maximum(errors[covered], 8)
    return Samples(features, errors, np.ones(count, np.float32), covered)


def test_doubt_in_the_order_of_errors_is_perfect(rng: np.random.Generator) -> None:
    error = rng.exponential(1.0, 5000).astype(np.float32)
    assert sparsification_error(error, error) == pytest.approx(0, abs=1e-6)
    assert sparsification_error(rng.random(5000).astype(np.float32), error) > 0.5


def test_separation_is_the_probability_of_the_right_order() -> None:
    score = np.array([0.1, 0.4, 0.35, 0.8], np.float32)
    assert separation(score, np.array([False, False, True, True])) == pytest.approx(0.75)


def test_a_fitted_judge_knows_more_than_the_network(rng: np.random.Generator) -> None:
    judge = fit(drawn(rng), steps=300)
    fresh = drawn(rng)
    before, after = figures(fresh, own_word()), figures(fresh, judge)
    assert after["coverage_error"] < 0.03 < before["coverage_error"]
    assert after["occlusion_auroc"] > 0.93 > 0.7 > before["occlusion_auroc"]
    assert after["ause"] < before["ause"]


def test_samples_come_from_made_frames_and_withheld_landmarks() -> None:
    samples = collect(TorchRunner.of(tiny_network(), "cpu"), [demo_clip()], 5, seed=3)
    told = samples.weight == np.float32(LANDMARK_WEIGHT)
    assert samples.features.shape == (len(samples.errors), COUNT)
    assert len(samples.errors) == len(samples.weight) == len(samples.covered)
    assert np.isfinite(samples.features).all()
    assert 50 < told.sum() < 160, "of one pair"
    assert not samples.covered[told].any()
    assert samples.covered.any()
    assert samples.errors[samples.covered].min() >= 4, "what is covered counts as wrong"
    assert np.median(samples.errors[told]) < 3


@pytest.mark.slow
def test_a_source_is_judged_by_what_was_fitted_on_others(monkeypatch: pytest.MonkeyPatch) -> None:
    first = demo_clip()
    clips = [first, Clip("mirror", "other", first.frames, first.points)]
    seen: list[list[str]] = []

    def collected(_: object, part: list[Clip], pairs: int, seed: int) -> Samples:
        seen.append([clip.group for clip in part])
        return drawn(np.random.default_rng(seed), 400)

    monkeypatch.setattr("correspondence.training.calibrate_network.collect", collected)
    judge, held_out = calibrate(TorchRunner.of(tiny_network(), "cpu"), clips, 10)
    assert sorted(seen) == [["demo"], ["other"]]
    assert judge.hidden.shape[1] == COUNT + 1
    assert set(held_out) == {"coverage_error", "ause", "occlusion_auroc", "mean_error_px"}
    with pytest.raises(ValueError, match="sources of at least two groups, got 1"):
        calibrate(TorchRunner.of(tiny_network(), "cpu"), [first], 10)


def test_a_judge_needs_a_clip_that_moves() -> None:
    clip = demo_clip()
    still = Clip("still", "still", clip.frames[:1], clip.points[:1])
    with pytest.raises(ValueError, match="two frames that show a face, got none in 1"):
        collect(TorchRunner.of(tiny_network(), "cpu"), [still], 5)
