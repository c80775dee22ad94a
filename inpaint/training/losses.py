"""Losses of the autoencoder and the denoiser, and the measures that their curves show."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, finest scale first


def _window(channels: int, like: Tensor, side: int = 11, sigma: float = 1.5) -> Tensor:
    x = torch.arange(side, device=like.device, dtype=like.dtype) - (side - 1) / 2
    g = torch.exp(-(x**2) / (2 * sigma**2))
    g = g / g.sum()
    return torch.outer(g, g).expand(channels, 1, side, side)


def _ssim_terms(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Compute mean structural similarity and its contrast-structure part, both scalars; inputs in [0, 1]."""
    channels = a.shape[1]
    kernel = _window(channels, a)

    def blur(x: Tensor) -> Tensor:
        return F.conv2d(x, kernel, groups=channels)

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    contrast = (2 * covariance + 0.03**2) / (var_a + var_b + 0.03**2)
    luminance = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
    return (luminance * contrast).mean(), contrast.mean()


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Compute structural similarity with an 11 x 11 Gaussian window (Wang et al. 2004).

    Args:
        a: float (B, C, H, W), [0, 1], with sides of 11 or more.
        b: pictures of the same shape.

    Returns:
        Scalar; 1 for equal pictures.
    """
    return _ssim_terms(a.float(), b.float())[0]


def ms_ssim(a: Tensor, b: Tensor) -> Tensor:
    """Compute multi-scale structural similarity (Wang et al. 2003) on as many of 5 scales as the size allows.

    Args:
        a: float (B, C, H, W), [0, 1], with sides of 11 or more.
        b: pictures of the same shape.

    Returns:
        Scalar; 1 for equal pictures. The weights of the scales used are rescaled to sum 1.
    """
    a, b = a.float(), b.float()
    scales = 1
    while scales < len(SSIM_WEIGHTS) and min(a.shape[-2:]) >> scales >= 11:
        scales += 1
    weights = [w / sum(SSIM_WEIGHTS[:scales]) for w in SSIM_WEIGHTS[:scales]]
    total = a.new_ones(())
    for scale, weight in enumerate(weights):
        whole, contrast = _ssim_terms(a, b)
        term = whole if scale == scales - 1 else contrast
        total = total * term.clamp_min(1e-4) ** weight
        if scale < scales - 1:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return total


def gradient_l1(a: Tensor, b: Tensor) -> Tensor:
    """Compute the mean absolute difference of horizontal and vertical pixel differences, scalar."""
    d = a - b
    return (d[..., :, 1:] - d[..., :, :-1]).abs().mean() + (d[..., 1:, :] - d[..., :-1, :]).abs().mean()


def reconstruction_loss(decoded: Tensor, images: Tensor, raw: Tensor) -> Tensor:
    """Compute L1 + 0.5 (1 - MS-SSIM) + 0.1 gradient L1 + 1e-6 |latent|^2.

    The last term keeps the latents near the origin. It is the part of a KL divergence that remains for a
    latent without predicted variance.

    Args:
        decoded: float (B, 3, H, W), about [0, 1].
        images: the truth, float (B, 3, H, W), [0, 1].
        raw: latents before normalisation, (B, C, h, w).
    """
    absolute = (decoded - images).abs().mean()
    structure = 1 - ms_ssim(decoded, images)
    return absolute + 0.5 * structure + 0.1 * gradient_l1(decoded, images) + 0.5e-6 * raw.square().mean()


def psnr(a: Tensor, b: Tensor) -> float:
    """Compute the peak signal-to-noise ratio of pictures, clipped to [0, 1], dB."""
    error = (a.clamp(0, 1) - b.clamp(0, 1)).float().square().mean().item()
    return float(-10 * torch.log10(torch.tensor(max(error, 1e-10))))
