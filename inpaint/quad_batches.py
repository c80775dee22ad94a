"""Batches for the denoiser: quads of frames with edits, warps, holes and drawings, as latents."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from inpaint import augment
from inpaint.augment import chance, uniform
from inpaint.autoencoder import FACTOR, Autoencoder
from inpaint.data import Material, sample_quads, to_unit
from inpaint.model import QuadBatch, Warp
from inpaint.quadrants import Arrangement
from inpaint.training import autocast


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchConfig:
    """What a training batch is mixed of; every value is a share of its samples, [0, 1]."""

    warp_share: float = 0.6  # see a warped composite; the others train the pure mode
    inpaint_share: float = (
        0.3  # of those: one view to be filled, a reference and the view with its hole given
    )
    edited_share: float = 0.5  # all four views carry one random edit
    scaled_share: float = 0.3  # drawings randomly scaled, the same way in all views
    drop_share: float = 0.1  # empty identity tokens
    even_share: float = 0.5  # equal gaps

    def __post_init__(self) -> None:
        values = [getattr(self, name) for name in self.__dataclass_fields__]
        if not all(0 <= v <= 1 for v in values):
            raise ValueError(f"shares must lie in [0, 1], got {self}")


@dataclass(frozen=True, slots=True, eq=False)
class TrainingBatch:
    """Clean latents of all views and what their grid is conditioned on.

    Attributes:
        latents: of a, b, c, d, (B, 4, C, h, w).
        weight: of each latent in the loss, (B, 4, 1, h, w).
        quads: references, drawings, persons, gaps, warps.
        drop_tokens: bool (B,).
        arrangement: which views the grid shows.
    """

    latents: Tensor
    weight: Tensor
    quads: QuadBatch
    drop_tokens: Tensor
    arrangement: Arrangement = "two_references"

    @property
    def shown(self) -> tuple[int, ...]:
        """Which of the views 0 to 3 (a to d) the grid shows, row by row."""
        return (0, 1) if self.arrangement == "side_by_side" else (0, 1, 2, 3)


def draw_batch(
    material: Material,
    autoencoder: Autoencoder,
    count: int,
    generator: Generator,
    config: BatchConfig,
    *,
    arrangement: Arrangement = "two_references",
    numbers: Tensor | None = None,
) -> TrainingBatch:
    """Draw a batch.

    Args:
        material: all frames.
        autoencoder: frozen; encodes views, references and composites.
        count: samples.
        generator: all randomness.
        config: the mixture.
        arrangement: of the grid.
        numbers: frame numbers of the quads, int64 (count, 4); drawn where None.
    """
    if numbers is None:
        numbers = sample_quads(material.spans, count, generator, even_share=config.even_share)
    frames = material.frames
    warped = chance(count, config.warp_share, frames, generator)
    filling = warped & chance(count, config.inpaint_share, frames, generator)
    numbers = torch.where(filling[:, None], numbers[:, [0, 2, 2, 2]], numbers)
    flip = chance(count, 0.5, frames, generator)
    variants = len(material.drawings) - 1
    scaled = chance(count, config.scaled_share if variants else 0.0, frames, generator)
    pick = (uniform((count,), 0.0, 1.0, frames, generator) * variants).long().clamp_max(max(0, variants - 1))
    variant = torch.where(scaled, 1 + pick, torch.zeros_like(pick))
    plain = _mirrored(to_unit(material.drawings[0, numbers]), flip)
    drawings = _mirrored(to_unit(material.drawings[variant[:, None], numbers]), flip)
    views = _mirrored(to_unit(frames[numbers]), flip)
    views = augment.random_edit(views, plain, config.edited_share, generator)
    latents = _encode(autoencoder, views)
    weight = _mirrored(material.weight[numbers], flip)
    person = _mirrored(material.person[numbers], flip)
    first, last = latents[:, 0], latents[:, 3]
    warps = None
    if config.warp_share > 0:
        points = _mirrored_points(material.points[numbers], flip, frames.shape[-1])
        warps = _warps(autoencoder, views, points, warped, filling, generator)
        last = torch.where(filling.reshape(-1, 1, 1, 1), warps[1].latents, last)
        # some fills have no reference: the view with its hole stands in for it
        alone = filling & chance(count, 0.3, frames, generator)
        first = torch.where(alone.reshape(-1, 1, 1, 1), warps[1].latents, first)
    gap = torch.where(filling, 0, (numbers[:, 3] - numbers[:, 0]).abs())
    quads = QuadBatch(first, last, drawings, person[:, [0, 3]], gap, warps)
    return TrainingBatch(
        latents, weight, quads, chance(count, config.drop_share, frames, generator), arrangement
    )


def _encode(autoencoder: Autoencoder, views: Tensor) -> Tensor:
    with autocast(views.device):
        flat = autoencoder.encode(views.flatten(0, 1)).float()
    return flat.reshape(*views.shape[:2], *flat.shape[1:])


def _mirrored(views: Tensor, flip: Tensor) -> Tensor:
    return torch.where(flip.reshape(-1, *(1,) * (views.ndim - 1)), views.flip(-1), views)


def _mirrored_points(points: Tensor, flip: Tensor, width: int) -> Tensor:
    """Mirrored x only: the numbering stays, as points are compared between views of one sample alone."""
    turned = torch.stack([width - 1 - points[..., 0], points[..., 1]], dim=-1)
    return torch.where(flip.reshape(-1, 1, 1, 1), turned, points)


def _warps(
    autoencoder: Autoencoder,
    views: Tensor,
    points: Tensor,
    warped: Tensor,
    filling: Tensor,
    generator: Generator,
) -> tuple[Warp, Warp]:
    """Composites of b and c: b is warped from a, c from d; fills get the true view with holes."""
    size = (views.shape[-2], views.shape[-1])
    made = []
    for view, source in ((1, 0), (2, 3)):
        field = augment.landmark_field(points[:, view], points[:, source], size)
        made.append(augment.warped_composite(views[:, view], views[:, source], field, generator))
    holes = augment.soft_ellipses(views[:, 2], 2, generator)
    content = F.avg_pool2d(views[:, 2], 31, stride=1, padding=15)  # smooth, as a classical fill leaves it
    torn = views[:, 2] + holes * (content - views[:, 2])
    fill = filling.reshape(-1, 1, 1, 1)
    composites = [(torch.where(fill, torn, c), torch.where(fill, holes, u)) for c, u in made]
    shown = warped.reshape(-1, 1, 1, 1)
    latents = _encode(autoencoder, torch.stack([c for c, _ in composites], dim=1))
    small = [F.avg_pool2d(u, FACTOR) for _, u in composites]
    return (
        Warp(latents[:, 0] * shown, small[0] * shown),
        Warp(latents[:, 1] * shown, small[1] * shown),
    )
