"""What is known of a grid before any noise is taken away, and the denoiser's parametrisation around it.

Karras et al. 2022 (EDM, Eq. 7) scale a denoiser's input and output so that the network predicts values of
one size at every noise level, for data around 0 with one deviation. Here much is known before: the
references stand in the grid, the warped composite lies near its view, and the matcher says how near. So the
data is taken as N(m, s^2) with the composite as mean m and a deviation s that grows with its uncertainty. The
linear estimate of x_0 from x_t under that law is exact where the law holds; the network adds what it misses:

    x_0 = m + alpha s^2 / d (x_t - alpha m) + s sigma / sqrt(d) F,    d = alpha^2 s^2 + sigma^2.

A network that says F = 0 hands the composite through; PriorGrad (Lee et al. 2022) and ResShift (Yue et al.
2023) also start from a data-dependent mean.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

AGREEMENT = 0.4  # latents of two guesses that differ by this much or more say nothing for each other


def around(noisy: Tensor, t: Tensor, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
    """v of the linear estimate, and the factor of the network's output that is taken from it.

    v = (alpha x_t - x_0) / sigma = sigma (alpha (1 - s^2) x_t - m) / d - s / sqrt(d) F, which has no pole at
    sigma = 0.

    Args:
        noisy: x_t, (B, C, H, W).
        t: (B,), [0, 1].
        mean: m, shape of `noisy`.
        deviation: s, (B, 1, H, W), above 0.

    Returns:
        v for F = 0, shape of `noisy`, and s / sqrt(d), (B, 1, H, W).
    """
    angle = (t * (math.pi / 2)).reshape(-1, 1, 1, 1)
    alpha, sigma = torch.cos(angle).to(noisy.dtype), torch.sin(angle).to(noisy.dtype)
    squared = deviation.square()
    spread = alpha.square() * squared + sigma.square()
    base = sigma * (alpha * (1 - squared) * noisy - mean) / spread
    return base, deviation / spread.sqrt()


def linear(noisy: Tensor, t: Tensor, prior: Tensor, deviations: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """`around` a grid's prior; the first of its results is what the prior alone says.

    Args:
        noisy: x_t, (B, C, H, W); t: (B,).
        prior: mean and uncertainty in [0, 1], (B, C + 1, H, W).
        deviations: s where the mean is sure and where it is not.
    """
    sure, lost = deviations
    return around(noisy, t, prior[:, :-1], sure + (lost - sure) * prior[:, -1:])


def blended(first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """The means of b and c where nothing is warped: their references mixed by thirds of the way."""
    return first + (last - first) / 3, first + (last - first) * 2 / 3


def doubt(continued: Tensor, carried: Tensor, hole: Tensor) -> Tensor:
    """How unsure a fill's guesses are: where surroundings and reference agree, both probably hold.

    Args:
        continued: latents of the surroundings continued into the hole, (B, C, h, w).
        carried: of the reference carried into it, same shape.
        hole: share of each latent that is unknown, (B, 1, h, w), [0, 1].

    Returns:
        (B, 1, h, w), [0, 1], nowhere above `hole`.
    """
    apart = (continued - carried).float().square().mean(dim=1, keepdim=True).sqrt()
    smooth = F.avg_pool2d(apart, 3, stride=1, padding=1, count_include_pad=False)
    return hole * (smooth / AGREEMENT).clamp(max=1.0).to(hole.dtype)
