"""The parametrisation around what is known before: exact where its law holds, and never undefined."""

from __future__ import annotations

import math

import pytest
import torch

from inpaint.model.prior import AGREEMENT, around, blended, doubt, linear
from inpaint.model.sampler import add_noise, sample


@pytest.mark.parametrize("t", [0.0, 0.01, 0.3, 0.7, 1.0])
def test_the_linear_estimate_is_the_best_one_of_gaussian_data(t: float) -> None:
    """x_0 ~ N(m, s^2): no other line through x_t errs less, and F is the error in units of its deviation."""
    generator = torch.Generator().manual_seed(0)
    mean, s = torch.full((1, 1, 200, 200), 2.0), torch.full((1, 1, 200, 200), 0.5)
    clean = mean + s * torch.randn(mean.shape, generator=generator)
    noise = torch.randn(mean.shape, generator=generator)
    time = torch.tensor([t])
    noisy, target = add_noise(clean, noise, time)
    base, scale = around(noisy, time, mean, s)
    assert torch.isfinite(base).all()
    assert torch.isfinite(scale).all()
    wanted = (base - target) / scale  # what the network would have to say
    assert float(wanted.mean()) == pytest.approx(0, abs=0.03)
    assert float(wanted.std()) == pytest.approx(1, abs=0.03)
    assert float((wanted * (noisy - noisy.mean())).mean()) == pytest.approx(0, abs=0.03)


def test_the_estimate_of_x0_written_out() -> None:
    t, s, m = 0.5, 0.5, 2.0
    alpha, sigma = math.cos(math.pi / 4), math.sin(math.pi / 4)
    noisy = torch.full((1, 1, 1, 1), 3.0)
    base, scale = around(noisy, torch.tensor([t]), torch.full_like(noisy, m), torch.full_like(noisy, s))
    d = alpha**2 * s**2 + sigma**2
    clean = m + alpha * s**2 / d * (3.0 - alpha * m)
    assert (alpha * noisy - sigma * base).item() == pytest.approx(clean, rel=1e-5)
    assert (sigma * scale).item() == pytest.approx(s * sigma / math.sqrt(d), rel=1e-5)


def test_one_step_of_a_silent_network_gives_the_mean_back() -> None:
    mean, noise = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    std = torch.rand(1, 1, 8, 8) + 0.1

    def silent(x: torch.Tensor, t: float) -> torch.Tensor:
        return around(x, torch.tensor([t]), mean, std)[0]

    torch.testing.assert_close(sample(silent, noise, steps=1), mean)
    many = sample(silent, noise, steps=50)
    spread = ((many - mean) / std).std()
    assert float(spread) == pytest.approx(1, abs=0.15)  # samples of N(m, s^2), as they should be


def test_references_are_mixed_by_thirds() -> None:
    b, c = blended(torch.zeros(1), torch.full((1,), 3.0))
    assert (b.item(), c.item()) == (1.0, 2.0)


def test_guesses_that_agree_are_doubted_less() -> None:
    continued = torch.zeros(1, 4, 8, 8)
    carried = continued.clone()
    carried[..., 4:] = 2 * AGREEMENT
    hole = torch.ones(1, 1, 8, 8)
    hole[..., 0, :] = 0
    found = doubt(continued, carried, hole)
    assert (found[..., 0, :] == 0).all()
    assert (found[..., 1:, :3] == 0).all()
    assert (found[..., 1:, 5:] == 1).all()
    half = doubt(continued, continued + AGREEMENT / 2, hole)
    torch.testing.assert_close(half[..., 2:6, 2:6], torch.full((1, 1, 4, 4), 0.5))


def test_the_priors_own_estimate_is_what_a_silent_network_says() -> None:
    noisy, t = torch.randn(2, 4, 8, 8), torch.tensor([0.3, 1.0])
    prior = torch.cat([torch.randn(2, 4, 8, 8), torch.rand(2, 1, 8, 8)], dim=1)
    expected = around(noisy, t, prior[:, :4], 0.2 + 0.6 * prior[:, 4:])
    torch.testing.assert_close(linear(noisy, t, prior, (0.2, 0.8)), expected)
