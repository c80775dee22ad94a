"""Batches for the denoiser from a pool of quads: clean latents and the conditions of their grids."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from inpaint.model.autoencoder import FACTOR
from inpaint.model.diffusion import QuadBatch, Warp
from inpaint.model.quadrants import Arrangement
from inpaint.training.augment import chance, check_shares, uniform
from inpaint.training.data import Material, to_unit
from inpaint.training.quad_pool import Pool, mirrored


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchConfig:
    """Composition of a training batch. Each value is a share of its samples, [0, 1]."""

    warp_share: float = 0.4  # of the quads that are no fills: the matcher's composites; others: pure mode
    scaled_share: float = 0.3  # drawings randomly scaled, the same way in all views
    drop_share: float = 0.1  # empty identity tokens

    def __post_init__(self) -> None:
        check_shares(self)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingBatch:
    """Clean latents of all views and the conditions of their grids.

    Attributes:
        latents: latents of a, b, c and d, (B, 4, C, h, w).
        weight: loss weight of each latent, (B, 4, 1, h, w).
        quads: references, drawings, persons, gaps and composites (in pure mode those by landmarks).
        drop_tokens: True for samples with empty identity tokens, bool (B,).
        arrangement: arrangement of the grid.
    """

    latents: Tensor
    weight: Tensor
    quads: QuadBatch
    drop_tokens: Tensor
    arrangement: Arrangement = "two_references"

    @property
    def shown(self) -> tuple[int, ...]:
        """Numbers of the views 0 to 3 (a to d) that the grid shows, row by row."""
        return (0, 1) if self.arrangement == "side_by_side" else (0, 1, 2, 3)


def draw_batch(
    pool: Pool,
    material: Material,
    count: int,
    generator: Generator,
    config: BatchConfig,
    *,
    arrangement: Arrangement = "two_references",
    chosen: Tensor | None = None,
) -> TrainingBatch:
    """Draw a batch.

    Args:
        pool: the pool of quads.
        material: the frames that the pool was drawn from.
        count: number of samples.
        generator: source of randomness.
        config: composition of the batch.
        arrangement: arrangement of the grid.
        chosen: numbers of the quads, int64 (count,); None to draw them.
    """
    frames = material.frames
    if chosen is None:
        chosen = (uniform((count,), 0.0, 1.0, frames, generator) * len(pool)).long().clamp_max(len(pool) - 1)
    numbers, flip, filling = pool.numbers[chosen], pool.flipped[chosen], pool.filling[chosen]
    latents = pool.latents[chosen].float()
    shown = filling | chance(count, config.warp_share, frames, generator)
    variants = len(material.drawings) - 1
    scaled = chance(count, config.scaled_share if variants else 0.0, frames, generator)
    pick = (uniform((count,), 0.0, 1.0, frames, generator) * variants).long().clamp_max(max(0, variants - 1))
    variant = torch.where(scaled, 1 + pick, torch.zeros_like(pick))
    drawings = mirrored(to_unit(material.drawings[variant[:, None], numbers]), flip)
    person = mirrored(material.person[numbers], flip)
    first, last = latents[:, 0], latents[:, 3]
    gap = torch.where(filling, 0, material.step * (numbers[:, 3] - numbers[:, 0]).abs())
    warps = _warps(pool, chosen, shown)
    quads = QuadBatch(first, last, drawings, person[:, [0, 3]], gap, warps)
    weight = mirrored(material.weight[numbers], flip)
    return TrainingBatch(
        latents, weight, quads, chance(count, config.drop_share, frames, generator), arrangement
    )


def cropped(batch: TrainingBatch, side: int, generator: Generator) -> TrainingBatch:
    """Cut the same random window of `side` latents out of all views, to train at lower cost.

    Raises:
        ValueError: the window is larger than the views, or its side is odd.
    """
    room = batch.latents.shape[-1] - side
    if room < 0 or side < 2 or side % 2:
        raise ValueError(
            f"a crop must have an even side of at most {batch.latents.shape[-1]} latents, got {side}"
        )
    top, left = (uniform((2,), 0.0, 1.0, batch.latents, generator) * (room + 1)).long().tolist()

    def cut(x: Tensor, unit: int = 1) -> Tensor:
        rows, columns = (slice(unit * at, unit * (at + side)) for at in (top, left))
        return x[..., rows, columns]

    quads = batch.quads
    warps = None
    if quads.warps is not None:
        b, c = (Warp(cut(w.latents), cut(w.uncertainty)) for w in quads.warps)
        warps = (b, c)
    small = replace(
        quads,
        first=cut(quads.first),
        last=cut(quads.last),
        drawings=cut(quads.drawings, FACTOR),
        person=cut(quads.person),
        warps=warps,
    )
    return replace(batch, latents=cut(batch.latents), weight=cut(batch.weight), quads=small)


def _warps(pool: Pool, chosen: Tensor, shown: Tensor) -> tuple[Warp, Warp]:
    """Return the matcher's composites for samples that show them, and composites by landmarks for others."""
    b, c = (
        Warp(pool.warps[chosen, which].float(), pool.unsure[chosen, which].float())
        for which in (torch.where(shown, k, k + 2) for k in (0, 1))
    )
    return b, c
