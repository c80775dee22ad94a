"""The prior of a grid before denoising, and the denoiser's parametrisation around it.

Karras et al. 2022 (EDM, Eq. 7) scale a denoiser's input and output so that the network predicts values of
one magnitude at every noise level, for data with mean 0 and a single deviation. Here much is known
beforehand: the grid contains the references, the warped composite is close to its view, and the matcher
estimates how close. So the data is modelled as N(m, s^2), with the composite as mean m and a deviation s that
grows with its uncertainty. Under this model the linear estimate of x_0 from x_t is exact. The network's
output F adds what the model misses:

    x_0 = m + alpha s^2 / d (x_t - alpha m) + s sigma / sqrt(d) F,    d = alpha^2 s^2 + sigma^2.

With F = 0 the result is the composite. PriorGrad (Lee et al. 2022) and ResShift (Yue et al. 2023) also start
from a data-dependent mean.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

AGREEMENT = 0.4  # difference of the latents of two guesses from which they do not support each other


def around(noisy: Tensor, t: Tensor, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
    """Compute v of the linear estimate, and the factor of the network's output that is subtracted from it.

    v = (alpha x_t - x_0) / sigma = sigma (alpha (1 - s^2) x_t - m) / d - s / sqrt(d) F, which has no pole at
    sigma = 0.

    Args:
        noisy: x_t, (B, C, H, W).
        t: time, (B,), [0, 1].
        mean: m, of the shape of `noisy`.
        deviation: s, (B, 1, H, W), above 0.

    Returns:
        v for F = 0, of the shape of `noisy`, and s / sqrt(d), (B, 1, H, W).
    """
    angle = (t * (math.pi / 2)).reshape(-1, 1, 1, 1)
    alpha, sigma = torch.cos(angle).to(noisy.dtype), torch.sin(angle).to(noisy.dtype)
    squared = deviation.square()
    spread = alpha.square() * squared + sigma.square()
    base = sigma * (alpha * (1 - squared) * noisy - mean) / spread
    return base, deviation / spread.sqrt()


def linear(noisy: Tensor, t: Tensor, prior: Tensor, deviations: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Apply `around` to a grid's prior. The first result is the estimate from the prior alone.

    Args:
        noisy: x_t, (B, C, H, W).
        t: time, (B,).
        prior: mean and uncertainty in [0, 1], (B, C + 1, H, W).
        deviations: s at uncertainty 0 and at uncertainty 1.
    """
    sure, lost = deviations
    return around(noisy, t, prior[:, :-1], sure + (lost - sure) * prior[:, -1:])


def blended(first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the means of b and c without warps: the references mixed at one and two thirds of the way."""
    return first + (last - first) / 3, first + (last - first) * 2 / 3


def doubt(continued: Tensor, carried: Tensor, hole: Tensor) -> Tensor:
    """Compute the uncertainty of a fill's guesses. It is low where surroundings and reference agree.

    Args:
        continued: latents of the surroundings continued into the hole, (B, C, h, w).
        carried: latents of the reference warped into the hole, of the same shape.
        hole: share of each latent that is unknown, (B, 1, h, w), [0, 1].

    Returns:
        The uncertainty, (B, 1, h, w), [0, 1], nowhere above `hole`.
    """
    apart = (continued - carried).float().square().mean(dim=1, keepdim=True).sqrt()
    smooth = F.avg_pool2d(apart, 3, stride=1, padding=1, count_include_pad=False)
    return hole * (smooth / AGREEMENT).clamp(max=1.0).to(hole.dtype)
