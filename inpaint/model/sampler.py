"""The noise schedule and the denoising loop.

The schedule is the variance-preserving cosine in continuous time t in [0, 1]: x_t = alpha x_0 + sigma eps
with alpha = cos(pi t / 2), sigma = sin(pi t / 2). At t = 1 no signal is left (zero terminal SNR), so sampling
can start from pure noise. The network predicts v = alpha eps - sigma x_0 (Salimans and Ho 2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

PredictV = Callable[[Tensor, float], Tensor]  # (x_t, t) -> v
MAX_STEPS = 50


def signal(t: float) -> tuple[float, float]:
    """Return alpha and sigma at time t. They are exact at both ends.

    Raises:
        ValueError: t is outside [0, 1].
    """
    if not 0 <= t <= 1:
        raise ValueError(f"t must lie in [0, 1], got {t}")
    if t == 1:
        return 0.0, 1.0
    return math.cos(math.pi * t / 2), math.sin(math.pi * t / 2)


def add_noise(clean: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Compute x_t and the target v, each sample at its own time.

    Args:
        clean: x_0, (B, C, H, W).
        noise: eps, of the same shape.
        t: time of each sample, (B,), [0, 1].
    """
    alpha = torch.cos(t * (math.pi / 2)).reshape(-1, 1, 1, 1).to(clean.dtype)
    sigma = torch.sin(t * (math.pi / 2)).reshape(-1, 1, 1, 1).to(clean.dtype)
    return alpha * clean + sigma * noise, alpha * noise - sigma * clean


def trailing_times(steps: int, start: float = 1.0) -> list[float]:
    """Return the times start, ..., 0 with trailing spacing. The first step is at `start`, the last ends at 0.

    Raises:
        ValueError: `steps` is below 1 or above 50, or `start` is outside (0, 1].
    """
    if not 1 <= steps <= MAX_STEPS:
        raise ValueError(f"steps must lie in 1 to {MAX_STEPS}, got {steps}")
    if not 0 < start <= 1:
        raise ValueError(f"start must lie in (0, 1], got {start}")
    return [start * (1 - k / steps) for k in range(steps)] + [0.0]


@torch.no_grad()
def sample(
    predict: PredictV,
    noise: Tensor,
    *,
    steps: int = 8,
    known: Tensor | None = None,
    repaint: Tensor | None = None,
    resample_at: float | None = None,
) -> Tensor:
    """Sample by deterministic DDIM (Song et al. 2021) with trailing steps. Some latents can be given.

    Args:
        predict: the network, from (x_t, t) to v.
        noise: eps, (B, C, H, W). It is the only source of randomness.
        steps: number of network calls; there is one more with `resample_at`.
        known: x_0 where it is given, of the shape of `noise`.
        repaint: (B or 1, 1 or C, H, W) in [0, 1]: 1 generates, 0 keeps `known`. `known` and `repaint` are
            given together or not at all. The known part is set at its own noise level before each step
            (RePaint, Lugmayr et al. 2022).
        resample_at: time of a RePaint jump; None for no jump. The first step that reaches this time is
            undone with the predicted noise and taken again, so that generated and known parts agree.

    Returns:
        x_0, (B, C, H, W), equal to `known` wherever `repaint` is 0.

    Raises:
        ValueError: only one of `known` and `repaint` is given, or `steps` is out of range.
    """
    if (known is None) != (repaint is None):
        raise ValueError("known and repaint go together: give both or neither")

    def impose(x: Tensor, t: float) -> Tensor:
        if known is None or repaint is None:
            return x
        alpha, sigma = signal(t)
        return repaint * x + (1 - repaint) * (alpha * known + sigma * noise)

    times = trailing_times(steps)
    x = noise
    jumped = resample_at is None
    k = 0
    while k < steps:
        t, after = times[k], times[k + 1]
        x = impose(x, t)
        alpha, sigma = signal(t)
        v = predict(x, t)
        clean, predicted_noise = alpha * x - sigma * v, sigma * x + alpha * v
        if not jumped and resample_at is not None and after <= resample_at:
            jumped = True
            x = alpha * impose(clean, 0.0) + sigma * predicted_noise  # back at t with known parts mixed in
            continue
        alpha, sigma = signal(after)
        x = alpha * clean + sigma * predicted_noise
        k += 1
    return impose(x, 0.0)
