"""Losses: zero where they should be, and in the right order elsewhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from correspondence.network.model import Output
from correspondence.training import losses
from correspondence.training.losses import LossConfig, total_loss
from correspondence.training.pairs import PairConfig, Pairs
from correspondence.training.trainer import to_batch
from tests.correspondence.material import checker, demo_clip


def picture() -> torch.Tensor:
    """A pattern with fine texture, so that every window holds contrast."""
    smooth = torch.from_numpy(checker(64)).permute(2, 0, 1)[None].float() / 255
    return 0.6 * smooth + 0.4 * torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))


def test_warping_by_one_pixel_takes_the_right_neighbour() -> None:
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    field = torch.zeros(1, 2, 3, 4)
    field[:, 0] = 1
    assert losses.warp(image, field)[0, 0].tolist() == [[1, 2, 3, 3], [5, 6, 7, 7], [9, 10, 11, 11]]


def test_census_is_blind_to_exposure_but_sees_a_shift() -> None:
    image = losses.grey(picture())
    darker = losses.census(image, 0.8 * image + 0.05).mean()
    shifted = losses.census(image, torch.roll(image, 3, 3)).mean()
    assert losses.census(image, image).max() == 0
    assert darker < 0.2 * shifted


def test_structure_is_zero_for_equal_pictures() -> None:
    image = losses.grey(picture())
    assert losses.structural(image, image).abs().max() < 1e-5
    assert losses.structural(image, 1 - image).mean() > 0.5


def test_the_laplace_likelihood_is_best_at_the_mean_error() -> None:
    """Eq. 2: for errors of mean b the best scale is b."""
    errors = torch.from_numpy(np.random.default_rng(0).exponential(1.7, 20000)).float()
    scales = torch.linspace(-1, 2, 301)
    values = torch.stack([losses.laplace(errors, s).mean() for s in scales])
    assert math.exp(float(scales[values.argmin()])) == pytest.approx(1.7, rel=0.05)


def batch_and_output() -> tuple[dict[str, torch.Tensor], Output]:
    pairs = Pairs([demo_clip()], PairConfig(synthetic=1.0, occluded=0.0, withheld=0.0, faceless=0.0), 1, 10)
    samples = {k: torch.from_numpy(np.stack([v])) for k, v in pairs[3].items()}
    batch = to_batch(samples, torch.device("cpu"))
    truth = batch["truth"]
    n, _, h, w = truth.shape
    visible = 8 * torch.where(batch["visible"] > 0, 1.0, -1.0)
    weights = torch.full((n, 6, h, w), 1 / 6)
    flat = torch.zeros(n, 1, h, w)
    gain = torch.zeros(n, 3, h // 2, w // 2)
    coarse = [torch.nn.functional.avg_pool2d(truth, 2)]
    return batch, Output(truth.clone(), flat - 2, flat - 3, visible, gain, weights, coarse)


def test_the_truth_has_the_lowest_loss() -> None:
    batch, output = batch_and_output()
    generator = torch.Generator().manual_seed(0)
    right, terms = total_loss(output, batch, LossConfig(), 0.5, generator)
    wrong = output._replace(field=output.field + 3.0)
    generator.manual_seed(0)
    worse, worse_terms = total_loss(wrong, batch, LossConfig(), 0.5, generator)
    assert right < worse
    assert terms["flow"] < 0.05
    for name in ("census", "ssim", "colour", "flow", "doubt", "landmark", "cycle"):
        assert terms[name] < worse_terms[name], name
    assert "choice" not in terms


def test_the_choice_term_prefers_the_right_candidate() -> None:
    batch, output = batch_and_output()
    batch["candidates"] = batch["candidates"] + 30
    batch["candidates"][:, 2] = batch["truth"]
    right, wrong = (torch.full_like(output.weights, 0.01) for _ in range(2))
    right[:, 3], wrong[:, 4] = 0.95, 0.95  # the network's own comes first
    coarse = [c + 30 for c in output.coarse]
    scores = []
    for weights in (right, wrong):
        said = output._replace(weights=weights, coarse=coarse)
        scores.append(
            total_loss(said, batch, LossConfig(), 0.0, torch.Generator().manual_seed(0))[1]["choice"]
        )
    assert scores[0] < 0.2 < 2 < scores[1]


def test_landmark_errors_saturate() -> None:
    field = torch.zeros(1, 2, 16, 16)
    points = torch.full((1, 2, 478, 2), 30.0)
    trusted = torch.ones(1, 478)
    assert losses.landmark_error(field, points, trusted, 64) < 0.05
    points[:, 1] += 100
    assert 1.3 < losses.landmark_error(field, points, trusted, 64) < 1.5
    assert losses.landmark_error(field, points, 0 * trusted, 64) == 0


def test_an_edit_is_the_same_on_both_pictures() -> None:
    image = picture()
    one, two = losses.random_edit((image, image.clone()), torch.Generator().manual_seed(3))
    assert torch.equal(one, two)
    assert (one - image).abs().mean() > 0.02


def test_weights_are_checked() -> None:
    with pytest.raises(ValueError, match="weight flow must not be negative, got -1"):
        LossConfig(flow=-1)
