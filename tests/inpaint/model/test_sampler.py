"""The schedule and the loop, against oracles with a known answer."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from inpaint.model.sampler import add_noise, sample, signal, trailing_times

CLEAN = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def oracle(x: Tensor, t: float) -> Tensor:
    """v of a network that knows x_0 is CLEAN: eps = (x - alpha x_0) / sigma."""
    alpha, sigma = signal(t)
    return alpha * (x - alpha * CLEAN) / sigma - sigma * CLEAN


def gaussian(x: Tensor, t: float) -> Tensor:
    """The optimal v where x_0 ~ N(0, s^2), s = 0.5: E[x_0 | x_t] = alpha s^2 x / (alpha^2 s^2 + sigma^2)."""
    alpha, sigma = signal(t)
    clean = alpha * 0.25 * x / (alpha**2 * 0.25 + sigma**2)
    return alpha * (x - alpha * clean) / sigma - sigma * clean


def noise(seed: int = 1) -> Tensor:
    return torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


def test_schedule_has_no_signal_at_the_end() -> None:
    assert signal(0) == (1.0, 0.0)
    assert signal(1) == (0.0, 1.0)
    assert signal(0.5) == pytest.approx((math.sqrt(0.5), math.sqrt(0.5)))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        signal(1.1)


def test_v_written_out() -> None:
    clean, eps = torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), 6.0)
    noisy, v = add_noise(clean, eps, torch.tensor([0.5]))
    assert noisy.item() == pytest.approx(8 * math.sqrt(0.5))
    assert v.item() == pytest.approx(4 * math.sqrt(0.5))


def test_trailing_times() -> None:
    assert trailing_times(4) == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert trailing_times(2, 0.5) == [0.5, 0.25, 0.0]
    for steps, start in ((0, 1.0), (51, 1.0), (4, 0.0), (4, 1.5)):
        with pytest.raises(ValueError, match="must lie in"):
            trailing_times(steps, start)


@pytest.mark.parametrize("steps", [1, 2, 8])
def test_an_oracle_is_recovered_in_any_number_of_steps(steps: int) -> None:
    torch.testing.assert_close(sample(oracle, noise(), steps=steps), CLEAN, atol=1e-5, rtol=0)


def test_gaussian_data_get_their_variance() -> None:
    """The exact flow of N(0, s^2) scales the noise by s; many steps come close, fewer less so."""
    eps = noise()
    error = [float((sample(gaussian, eps, steps=n) / eps - 0.5).abs().max()) for n in (4, 16, 50)]
    assert error[2] < error[1] / 2 < error[0] / 4
    assert error[2] < 0.02


def test_known_latents_come_out_exactly() -> None:
    known, repaint = noise(5), torch.zeros(1, 1, 4, 4)
    repaint[..., 2:] = 1
    for jump in (None, 0.5):
        out = sample(oracle, noise(), steps=4, known=known, repaint=repaint, resample_at=jump)
        assert torch.equal(out[..., :2], known[..., :2])
        torch.testing.assert_close(out[..., 2:], CLEAN[..., 2:], atol=1e-5, rtol=0)


def test_known_latents_are_shown_at_their_noise_level() -> None:
    known, seen = noise(5), []

    def watch(x: Tensor, t: float) -> Tensor:
        alpha, sigma = signal(t)
        seen.append(float((x - alpha * known - sigma * noise()).abs().max()))
        return oracle(x, t)

    sample(watch, noise(), steps=4, known=known, repaint=torch.zeros(1, 1, 1, 1))
    assert len(seen) == 4
    assert max(seen) < 1e-5


def test_the_jump_costs_one_call() -> None:
    calls: list[float] = []

    def count(x: Tensor, t: float) -> Tensor:
        calls.append(t)
        return oracle(x, t)

    sample(count, noise(), steps=4, known=CLEAN, repaint=torch.ones(1, 1, 4, 4), resample_at=0.5)
    assert calls == [1.0, 0.75, 0.75, 0.5, 0.25]


def test_known_latents_need_a_mask() -> None:
    with pytest.raises(ValueError, match="both or neither"):
        sample(oracle, noise(), known=CLEAN)
