"""Changes to training pictures, on whatever device they are: light, colour, edits, holes, warps.

All randomness comes from the generator handed in. Pictures are float (B, 3, H, W) or, where several views
share one change, (B, V, 3, H, W), in [0, 1].
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

LIPS_RED = 160 / 255  # value of the lips in the red channel of a drawing, see conditions.FILLED
BROWS_RED = 80 / 255


def uniform(shape: tuple[int, ...], low: float, high: float, like: Tensor, generator: Generator) -> Tensor:
    """Uniform random numbers on the device of `like`; drawn by the generator's own device."""
    drawn = torch.rand(shape, generator=generator, device=generator.device)
    return (drawn * (high - low) + low).to(like.device)


def chance(count: int, share: float, like: Tensor, generator: Generator) -> Tensor:
    """bool (count,): True with probability `share`."""
    return uniform((count,), 0.0, 1.0, like, generator) < share


def random_edit(views: Tensor, drawings: Tensor, share: float, generator: Generator) -> Tensor:
    """One random but deterministic edit for all views of a sample, so that a network learns to carry edits.

    Half are global (a colour matrix near the identity, gain, gamma), the others lie on a face part (lips or
    brows tinted, found by their value in the drawing).

    Args:
        views: (B, V, 3, H, W).
        drawings: unscaled drawings of the views, (B, V, 3, H, W), [0, 1].
        share: of samples to edit.
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
    """Soft ellipses of one colour on some pictures: what paint, stickers and masks look like to a network.

    Args:
        images: (B, 3, H, W).
        share: of pictures to paint.
        generator: source of randomness.
    """
    b = images.shape[0]
    opacity = soft_ellipses(images, 1, generator) * uniform((b, 1, 1, 1), 0.3, 1.0, images, generator)
    opacity = opacity * chance(b, share, images, generator).reshape(b, 1, 1, 1)
    colour = uniform((b, 3, 1, 1), 0.0, 1.0, images, generator)
    return images + opacity * (colour - images)


def soft_ellipses(like: Tensor, count: int, generator: Generator) -> Tensor:
    """Union of `count` random ellipses with soft rims, (B, 1, H, W) in [0, 1]; radii 6 to 25 % of a side."""
    b, h, w = like.shape[0], like.shape[-2], like.shape[-1]
    y = torch.linspace(0, 1, h, device=like.device).reshape(1, 1, h, 1)
    x = torch.linspace(0, 1, w, device=like.device).reshape(1, 1, 1, w)
    centre = uniform((b, count, 2, 1, 1), 0.1, 0.9, like, generator)
    radius = uniform((b, count, 2, 1, 1), 0.06, 0.25, like, generator)
    squared = ((x - centre[:, :, 0]) / radius[:, :, 0]) ** 2 + ((y - centre[:, :, 1]) / radius[:, :, 1]) ** 2
    return ((1.15 - squared.sqrt()) / 0.15).clamp(0, 1).amax(dim=1, keepdim=True).to(like.dtype)


def landmark_field(target: Tensor, source: Tensor, size: tuple[int, int], grid: int = 32) -> Tensor:
    """A smooth field from landmark displacements: where the pixels of `target` lie in `source`.

    Kernel-weighted mean of the points' displacements on a coarse grid, falling to 0 away from the face. A
    stand-in for the matcher while training; points that are not finite count as not displaced.

    Args:
        target: landmarks of the frame to be made, (B, N, 2), pixels.
        source: landmarks of the frame to sample, (B, N, 2), pixels.
        size: (H, W).
        grid: nodes on a side.

    Returns:
        (B, 2, H, W): (dx, dy), pixels; warped(x) = source_image(x + field(x)).
    """
    h, w = size
    good = torch.isfinite(target).all(dim=(1, 2)) & torch.isfinite(source).all(dim=(1, 2))
    moved = torch.where(good[:, None, None], source - target, torch.zeros_like(source))
    anchor = torch.where(good[:, None, None], target, torch.zeros_like(target))
    xs = (torch.arange(grid, device=target.device) + 0.5) * (w / grid) - 0.5
    ys = (torch.arange(grid, device=target.device) + 0.5) * (h / grid) - 0.5
    nodes = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1).reshape(1, -1, 2)
    distance = torch.cdist(nodes.expand(len(target), -1, -1).float(), anchor.float()) / w
    weight = torch.exp(-0.5 * (distance / 0.03) ** 2)  # 3 % of the picture's width: locally rigid
    near = torch.exp(-0.5 * (distance.amin(dim=2, keepdim=True) / 0.12) ** 2)
    mean = weight @ moved.float() / (weight.sum(dim=2, keepdim=True) + 1e-6)
    field = (near * mean).transpose(1, 2).reshape(-1, 2, grid, grid)
    return F.interpolate(field, size, mode="bilinear", align_corners=False)


def backward_warp(images: Tensor, field: Tensor) -> Tensor:
    """out(x) = image(x + field(x)), border repeated; images (B, C, H, W), field (B, 2, H, W) in pixels."""
    h, w = images.shape[-2:]
    x = torch.arange(w, device=images.device).reshape(1, 1, w) + field[:, 0]
    y = torch.arange(h, device=images.device).reshape(1, h, 1) + field[:, 1]
    unit = torch.stack([(2 * x + 1) / w - 1, (2 * y + 1) / h - 1], dim=-1)
    warped: Tensor = F.grid_sample(images.float(), unit.float(), padding_mode="border", align_corners=False)
    return warped.to(images.dtype)


def warped_composite(
    truth: Tensor, source: Tensor, field: Tensor, generator: Generator
) -> tuple[Tensor, Tensor]:
    """What the live path would hand over for a frame, and how far to trust it.

    The source is warped by `field`; its true error, blurred and with a random gain, stands for the matcher's
    uncertainty. On a third of the samples holes are torn into it (grey, uncertainty 1).

    Args:
        truth: the frame itself, (B, 3, H, W).
        source: the frame that is warped, (B, 3, H, W).
        field: (B, 2, H, W), pixels.
        generator: source of randomness.

    Returns:
        The composite (B, 3, H, W) and its uncertainty (B, 1, H, W) in [0, 1].
    """
    b = truth.shape[0]
    warped = backward_warp(source, field)
    error = F.avg_pool2d((warped - truth).abs().mean(dim=1, keepdim=True), 9, stride=1, padding=4)
    unsure = (error * uniform((b, 1, 1, 1), 3.0, 10.0, truth, generator)).clamp(0, 1)
    torn = soft_ellipses(truth, 2, generator) * chance(b, 1 / 3, truth, generator).reshape(b, 1, 1, 1)
    return warped + torn * (0.5 - warped), torch.maximum(unsure, torn)
