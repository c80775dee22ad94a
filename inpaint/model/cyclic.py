"""Cyclic overlap where segments meet (VividPortraits section 4.3, for the quadrant grid), offline only.

Segments between references are generated separately, so motion can break at their border. Here the frames
around the border are denoised again together. At each step two neighbouring frames share a grid, and the
pairs shift by one frame from step to step, so each frame is influenced from both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inpaint.model.diffusion import QuadBatch, QuadrantModel
from inpaint.model.quadrants import assemble, cut
from inpaint.model.sampler import signal, trailing_times

Draw = Callable[[int], tuple[Tensor, Tensor]]  # frame number -> drawing (3, S, S), person (1, h, w)


@dataclass(frozen=True, slots=True, kw_only=True)
class CyclicConfig:
    """Settings of the cyclic overlap.

    Attributes:
        reach: number of frames on each side of the border that are denoised again, 1 or more.
        steps: number of sampler steps.
        start: noise level at which denoising starts, (0, 1). A higher level changes more.
        seed: seed of the noise.
    """

    reach: int = 3
    steps: int = 4
    start: float = 0.4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.reach < 1 or not 0 < self.start < 1:
            raise ValueError(f"reach must be 1 or more and start lie in (0, 1), got {self}")


def pairs(count: int, step: int) -> list[tuple[int, int]]:
    """Pair `count` frames at a step: (0, 1), (2, 3), ... at even steps, (1, 2), (3, 4), ... at odd ones.

    A frame without a partner is paired with itself.
    """
    shift = step % 2
    alone = [(0, 0)] if shift else []
    met = [(k, k + 1) for k in range(shift, count - 1, 2)]
    last = met[-1][1] if met else shift - 1
    return alone + met + [(k, k) for k in range(last + 1, count)]


@torch.no_grad()
def smooth_border(
    model: QuadrantModel,
    latents: Mapping[int, Tensor],
    border: int,
    draw: Draw,
    config: CyclicConfig | None = None,
) -> dict[int, Tensor]:
    """Denoise the frames around the border of two segments together.

    Args:
        model: a model of the two-reference arrangement.
        latents: latents (1, C, h, w) by frame number, of the window and one frame beyond it on each side.
        border: number of the frame where the segments meet. It does not change.
        draw: returns the drawing and person mask of a frame, see `QuadrantModel.draw`.
        config: settings; None for the defaults.

    Returns:
        New latents of the window's frames except the border.

    Raises:
        ValueError: the model has another arrangement, or frames are missing.
    """
    config = config or CyclicConfig()
    if model.denoiser.config.arrangement != "two_references":
        raise ValueError(f"a border needs both references, got {model.denoiser.config.arrangement}")
    window = list(range(border - config.reach, border + config.reach + 1))
    ends = (window[0] - 1, window[-1] + 1)
    missing = [n for n in (ends[0], *window, ends[1]) if n not in latents]
    if missing:
        raise ValueError(f"frames {missing} are needed around the border {border}")
    clean = torch.cat([latents[n] for n in window]).to(model.device, model.dtype)
    first, last = (latents[n].to(model.device, model.dtype) for n in ends)
    generator = torch.Generator().manual_seed(config.seed)
    noise = torch.randn(clean.shape[1:], generator=generator).to(clean).expand_as(clean)
    drawn = {n: draw(n) for n in (ends[0], *window, ends[1])}
    times = trailing_times(config.steps, config.start)
    alpha, sigma = signal(config.start)
    x = alpha * clean + sigma * noise
    middle = config.reach
    for step in range(config.steps):
        now, after = times[step], times[step + 1]
        v = _predicted(model, x, (first, last), noise[:1], window, ends, drawn, step, now)
        alpha, sigma = signal(now)
        guess, left = alpha * x - sigma * v, sigma * x + alpha * v
        alpha, sigma = signal(after)
        x = alpha * guess + sigma * left
        x[middle] = alpha * clean[middle] + sigma * noise[middle]
    return {n: x[k : k + 1] for k, n in enumerate(window) if n != border}


def _predicted(
    model: QuadrantModel,
    x: Tensor,
    ends: tuple[Tensor, Tensor],
    noise: Tensor,
    window: Sequence[int],
    numbers: tuple[int, int],
    drawn: Mapping[int, tuple[Tensor, Tensor]],
    step: int,
    now: float,
) -> Tensor:
    """Predict v of each frame of the window from the grid that it shares at this step, (N, C, h, w)."""
    met = pairs(len(window), step)
    count = len(met)
    (first, last), (a, d) = ends, numbers
    quads = QuadBatch(
        first=first.expand(count, -1, -1, -1),
        last=last.expand(count, -1, -1, -1),
        drawings=torch.stack(
            [torch.stack([drawn[n][0] for n in (a, window[b], window[c], d)]) for b, c in met]
        ),
        person=torch.stack([drawn[a][1], drawn[d][1]]).expand(count, -1, -1, -1, -1),
        gap=torch.full((count,), float(d - a), device=model.device),
    )
    alpha, sigma = signal(now)
    known = [alpha * end + sigma * noise for end in (first, last)]
    grid = assemble(
        [
            known[0].expand(count, -1, -1, -1),
            torch.stack([x[b] for b, _ in met]),
            torch.stack([x[c] for _, c in met]),
            known[1].expand(count, -1, -1, -1),
        ]
    )
    views = cut(model.predictor(quads)(grid, now))
    out = torch.empty_like(x)
    for k, (b, c) in enumerate(met):
        out[b] = views[1][k]
        out[c] = views[2][k] if b != c else (views[1][k] + views[2][k]) / 2
    return out
