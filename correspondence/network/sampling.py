"""Sampling of pictures and correlations stored as rows, in a form that exports well; blending of fields."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cells(height: int, width: int, like: Tensor) -> Tensor:
    """Make cell coordinates (x, y), float32 (1, H * W, 2), row by row, on the device of `like`."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(1, -1, 2).to(like.device, torch.float32)


def rows(x: Tensor) -> Tensor:
    """Convert (B, C, H, W) to rows (B, H * W, C)."""
    return x.flatten(2).transpose(1, 2)


def unrows(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Convert rows (B, H * W, C) to (B, C, H, W)."""
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], *size)


def gather_rows(table: Tensor, index: Tensor) -> Tensor:
    """Gather rows `index` (B, N) of `table` (B, M, C): (B, N, C). For one picture it is a plain Gather."""
    if table.shape[0] == 1:
        return table[0][index[0]][None]
    return torch.gather(table, 1, index[..., None].expand(-1, -1, table.shape[2]))


def sample_rows(table: Tensor, points: Tensor, size: tuple[int, int]) -> Tensor:
    """Sample a picture that is stored as rows, bilinearly. Outside, its border is repeated.

    Args:
        table: (B, H * W, C).
        points: (B, N, 2), (x, y) in cells.
        size: (H, W), each at least 2.

    Returns:
        (B, N, C).
    """
    h, w = size
    if table.shape[0] == 1:
        x, y = points[..., 0].clamp(0, w - 1), points[..., 1].clamp(0, h - 1)
        left, top = torch.floor(x).clamp(max=w - 2), torch.floor(y).clamp(max=h - 2)
        fx, fy = (x - left)[..., None], (y - top)[..., None]
        first = (top * w + left).long()
        a, b = gather_rows(table, first), gather_rows(table, first + 1)
        c, d = gather_rows(table, first + w), gather_rows(table, first + w + 1)
        upper, lower = a + (b - a) * fx, c + (d - c) * fx
        return upper + (lower - upper) * fy
    picture = unrows(table, size).to(points.dtype)
    unit = points * points.new_tensor([2 / (w - 1), 2 / (h - 1)]) - 1
    sampled = F.grid_sample(picture, unit[:, None], padding_mode="border", align_corners=True)
    return sampled[:, :, 0].transpose(1, 2)


def look_up(correlation: Tensor, points: Tensor, size: tuple[int, int], radius: int) -> Tensor:
    """Sample the correlation around points, bilinearly. All offsets share one fraction (as RAFT's look-up).

    Args:
        correlation: correlation of each frame cell with each reference cell, (B, N, H * W).
        points: places in the reference, (B, N, 2), cells.
        size: (H, W) of the reference's grid.
        radius: largest offset; offsets run from -radius to radius on each axis.

    Returns:
        (B, N, (2 radius + 1)^2).
    """
    h, w = size
    side = 2 * radius + 2
    steps = torch.arange(side, device=points.device, dtype=points.dtype) - radius
    x, y = (
        points[..., 0:1].clamp(-2 * radius, w + 2 * radius),
        points[..., 1:2].clamp(-2 * radius, h + 2 * radius),
    )
    left, top = torch.floor(x), torch.floor(y)
    columns, lines = (left + steps).clamp(0, w - 1), (top + steps).clamp(0, h - 1)  # (B, N, side)
    index = (lines[..., :, None] * w + columns[..., None, :]).flatten(2).long()
    values = torch.gather(correlation, 2, index).reshape(*index.shape[:2], side, side)
    fx, fy = (x - left)[..., None], (y - top)[..., None]
    across = values[..., :-1] + (values[..., 1:] - values[..., :-1]) * fx
    return (across[..., :-1, :] + (across[..., 1:, :] - across[..., :-1, :]) * fy).flatten(2)


def score(correlation: Tensor, points: Tensor, size: tuple[int, int]) -> Tensor:
    """Sample the correlation of each frame cell with K places of the reference, bilinearly.

    Args:
        correlation: (B, N, H * W).
        points: (B, N, K, 2), cells.
        size: (H, W) of the reference's grid.

    Returns:
        (B, N, K).
    """
    h, w = size
    x, y = points[..., 0].clamp(0, w - 1), points[..., 1].clamp(0, h - 1)
    left, top = torch.floor(x).clamp(max=w - 2), torch.floor(y).clamp(max=h - 2)
    fx, fy = x - left, y - top
    first = (top * w + left).long()
    near = torch.gather(correlation, 2, torch.cat([first, first + 1, first + w, first + w + 1], dim=2))
    a, b, c, d = near.chunk(4, dim=2)
    upper, lower = a + (b - a) * fx, c + (d - c) * fx
    return upper + (lower - upper) * fy


def blend(logits: Tensor, fields: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the weighted mean of K fields.

    Args:
        logits: (B, K, H, W).
        fields: (B, K, 2, H, W).

    Returns:
        The mean (B, 2, H, W), and the weights (B, K, H, W), which sum to 1.
    """
    weights = torch.softmax(logits.permute(0, 2, 3, 1), dim=-1).permute(0, 3, 1, 2)
    parts = [w * f for w, f in zip(weights.chunk(fields.shape[1], dim=1), fields.unbind(1), strict=True)]
    return torch.stack(parts).sum(dim=0), weights
