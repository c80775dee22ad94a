"""Augmentation of training pictures on their device: light, colour, edits, holes and warps.

All randomness comes from the given generator. Pictures are float (B, 3, H, W) in [0, 1], or (B, V, 3, H, W)
if several views share one change.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

LIPS_RED = 160 / 255  # value of the lips in the red channel of a drawing, see conditions.FILLED
BROWS_RED = 80 / 255


def uniform(shape: tuple[int, ...], low: float, high: float, like: Tensor, generator: Generator) -> Tensor:
    """Draw uniform random numbers on the generator's device and move them to the device of `like`."""
    drawn = torch.rand(shape, generator=generator, device=generator.device)
    return (drawn * (high - low) + low).to(like.device)


def check_shares(config: Any) -> None:
    """Check that every value of a dataclass is a share.

    Raises:
        ValueError: a value is outside [0, 1].
    """
    if not all(0 <= value <= 1 for value in asdict(config).values()):
        raise ValueError(f"shares must lie in [0, 1], got {config}")


def chance(count: int, share: float, like: Tensor, generator: Generator) -> Tensor:
    """Draw bool (count,) that are True with probability `share`."""
    return uniform((count,), 0.0, 1.0, like, generator) < share


def random_edit(views: Tensor, drawings: Tensor, share: float, generator: Generator) -> Tensor:
    """Apply one random edit to all views of a sample, so that a network learns to carry edits.

    Half of the edits are global (a colour matrix near the identity, gain, gamma). The others tint lips or
    brows, which are found by their value in the drawing.

    Args:
        views: pictures, (B, V, 3, H, W).
        drawings: unscaled drawings of the views, (B, V, 3, H, W), [0, 1].
        share: share of samples to edit.
        generator: source of randomness.
    """
    b = views.shape[0]
    matrix = torch.eye(3, device=views.device) + uniform((b, 3, 3), -0.25, 0.25, views, generator)
    matrix = matrix / matrix.sum(dim=2, keepdim=True)  # greys stay grey before the gain
    gain = uniform((b, 1, 3, 1, 1), 0.75, 1.25, views, generator)
    gamma = uniform((b, 1, 1, 1, 1), 0.7, 1.4, views, generator)
    whole = torch.einsum("bij,bvjhw->bvihw", matrix, views).clamp(1e-4, 1) ** gamma * gain
    tint = uniform((b, 1, 3, 1, 1), 0.0, 1.0, views, generator)
    red = torch.where(chance(b, 0.6, views, generator), LIPS_RED, BROWS_RED).reshape(b, 1, 1, 1, 1)
    area = ((drawings[:, :, :1] - red).abs() < 0.03).to(views.dtype)
    area = F.avg_pool2d(area.flatten(0, 1), 3, stride=1, padding=1).reshape(area.shape)
    part = views + 0.6 * area * (tint - views)
    edited = torch.where(chance(b, 0.5, views, generator).reshape(b, 1, 1, 1, 1), whole.clamp(0, 1), part)
    return torch.where(chance(b, share, views, generator).reshape(b, 1, 1, 1, 1), edited, views)


def paint_blobs(images: Tensor, share: float, generator: Generator) -> Tensor:
    """Paint soft ellipses of one colour on some pictures, similar to paint, stickers and masks.

    Args:
        images: pictures, (B, 3, H, W).
        share: share of pictures to paint.
        generator: source of randomness.
    """
    b = images.shape[0]
    opacity = soft_ellipses(images, 1, generator) * uniform((b, 1, 1, 1), 0.3, 1.0, images, generator)
    opacity = opacity * chance(b, share, images, generator).reshape(b, 1, 1, 1)
    colour = uniform((b, 3, 1, 1), 0.0, 1.0, images, generator)
    return images + opacity * (colour - images)


def soft_ellipses(like: Tensor, count: int, generator: Generator) -> Tensor:
    """Draw the union of `count` random soft ellipses, (B, 1, H, W) in [0, 1]; radii 6 to 25 % of a side."""
    b, h, w = like.shape[0], like.shape[-2], like.shape[-1]
    y = torch.linspace(0, 1, h, device=like.device).reshape(1, 1, h, 1)
    x = torch.linspace(0, 1, w, device=like.device).reshape(1, 1, 1, w)
    centre = uniform((b, count, 2, 1, 1), 0.1, 0.9, like, generator)
    radius = uniform((b, count, 2, 1, 1), 0.06, 0.25, like, generator)
    squared = ((x - centre[:, :, 0]) / radius[:, :, 0]) ** 2 + ((y - centre[:, :, 1]) / radius[:, :, 1]) ** 2
    return ((1.15 - squared.sqrt()) / 0.15).clamp(0, 1).amax(dim=1, keepdim=True).to(like.dtype)
