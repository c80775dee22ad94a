"""Generation of frames between references by the quadrant model, in the order of a `propagation` plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor

from correspondence import Float, Image, Landmarks
from inpaint.classical.landmark_warp import LandmarkWarp
from inpaint.model.anchor import AnchorBank, Mode
from inpaint.model.autoencoder import FACTOR
from inpaint.model.cyclic import CyclicConfig, smooth_border
from inpaint.model.diffusion import QuadBatch, QuadrantModel, Warp
from inpaint.model.propagation import Plan, Quad, plan_thirds, propagate
from inpaint.weights import STEPS

Points = Float | Mapping[int, Float | None]  # landmarks by frame number, pixels of the S x S view
Warped = Callable[
    [int], tuple[Image, Float]
]  # frame number -> composite (S, S, 3), uncertainty (S, S) in [0, 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class GapConfig:
    """Settings for generating a gap.

    Attributes:
        steps: number of sampler steps.
        batch: number of quads in one network call. More take more memory and latency for more throughput.
        seed: seed of the noise.
        anchor: whether later levels also attend to the first reference as the first call saw it.
        cyclic: settings for denoising again around references between segments, see `cyclic`; None to skip.
    """

    steps: int = STEPS
    batch: int = 9
    seed: int = 0
    anchor: bool = False
    cyclic: CyclicConfig | None = None


def fill_gap(
    model: QuadrantModel,
    references: Mapping[int, Image],
    points: Points,
    *,
    plan: Plan | None = None,
    warped: Warped | None = None,
    config: GapConfig | None = None,
) -> dict[int, Image]:
    """Generate all frames of a plan. Generated latents serve as references of later levels.

    Args:
        model: the quadrant model.
        references: two or more known pictures by frame number, uint8 (S, S, 3), S = model.side.
        points: landmarks of each frame by number, float32 (478, 3) each; None or NaN for no face.
        plan: the order of frames; None for recursive thirds between the first and last reference.
        warped: returns the warped composite of a frame and its uncertainty, as the live path knows them;
            None for pure mode, which uses landmarks alone (`landmark_warp`).
        config: settings; None for the defaults.

    Returns:
        Pictures by frame number. The references are among them, unchanged.

    Raises:
        ValueError: there are fewer than two references, or pictures of another size.
    """
    config = config or GapConfig()
    numbers = sorted(references)
    if len(numbers) < 2:
        raise ValueError(f"need two or more references, got frames {numbers}")
    wrong = {n: p.shape for n, p in references.items() if p.shape != (model.side, model.side, 3)}
    if wrong:
        raise ValueError(f"references must be {model.side} x {model.side}, got {wrong}")
    if plan is None:
        plan = plan_thirds(numbers[0], numbers[-1])
    latents = model.encode([references[n] for n in numbers])
    known = {n: latents[k : k + 1] for k, n in enumerate(numbers)}
    bases: dict[int, tuple[Image, Warp]] = {}
    bank = AnchorBank(model.denoiser)
    if warped is None:
        warped = _by_landmarks(model, references, points)

    def generate(quads: Sequence[Quad], ends: Sequence[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
        bases.update({n: _base(model, warped(n)) for q in quads for n in (q.b, q.c)})
        batch = _quad_batch(model, quads, ends, points, bases)
        with bank.attached(_mode(config, bank)):
            b, c = model.generate(batch, seed=config.seed, steps=config.steps, anchor=bank)
        return list(zip(b[:, None], c[:, None], strict=True))

    generated = propagate(known, plan, generate, batch=config.batch)
    if config.cyclic is not None:
        generated |= _smoothed(model, generated, numbers[1:-1], points, config.cyclic)
    pictures = dict(references)
    missing = [n for n in generated if n not in pictures]
    for at in range(0, len(missing), config.batch):
        part = missing[at : at + config.batch]
        latents = torch.cat([generated[n] for n in part])
        warp = _joined([bases[n][1] for n in part])
        made = model.decode_onto(latents, warp, [bases[n][0] for n in part])
        pictures.update(zip(part, made, strict=True))
    return dict(sorted(pictures.items()))


def _smoothed(
    model: QuadrantModel,
    generated: Mapping[int, Tensor],
    borders: Sequence[int],
    points: Points,
    config: CyclicConfig,
) -> dict[int, Tensor]:
    """Denoise again around references where segments meet, if enough frames lie on both sides."""
    made: dict[int, Tensor] = {}
    for border in borders:
        needed = range(border - config.reach - 1, border + config.reach + 2)
        if all(n in generated for n in needed):
            made |= smooth_border(model, generated, border, lambda n: model.draw(points[n]), config)
    return {n: latents for n, latents in made.items() if n not in borders}


def _by_landmarks(model: QuadrantModel, references: Mapping[int, Image], points: Points) -> Warped:
    """Return a function that makes composites in pure mode.

    A composite consists of the references around a frame, moved to the frame's landmarks. Only references
    that the grid shows are used.
    """
    numbers = sorted(references)
    both = model.denoiser.config.arrangement == "two_references"

    def landmarks(n: int) -> Landmarks | None:
        at = points[n]
        if at is None or not np.isfinite(at[0, 0]):
            return None
        return Landmarks(np.array(at, np.float32), (model.side, model.side))

    @lru_cache(maxsize=2)
    def between(a: int, d: int) -> LandmarkWarp:
        return LandmarkWarp([(references[n], landmarks(n)) for n in ((a, d) if both else (a,))])

    def warped(n: int) -> tuple[Image, Float]:
        a = max((k for k in numbers[:-1] if k <= n), default=numbers[0])
        d = min(k for k in numbers if k > a)
        return between(a, d).at(landmarks(n), min(max((n - a) / (d - a), 0.0), 1.0))

    return warped


def _mode(config: GapConfig, bank: AnchorBank) -> Mode:
    if not config.anchor:
        return "off"
    return "use" if bank.nbytes else "record"


def _quad_batch(
    model: QuadrantModel,
    quads: Sequence[Quad],
    ends: Sequence[tuple[Tensor, Tensor]],
    points: Points,
    bases: Mapping[int, tuple[Image, Warp]],
) -> QuadBatch:
    drawn = {n: model.draw(points[n]) for n in {n for q in quads for n in (q.a, q.b, q.c, q.d)}}
    return QuadBatch(
        first=torch.cat([a for a, _ in ends]),
        last=torch.cat([d for _, d in ends]),
        drawings=torch.stack([torch.stack([drawn[n][0] for n in (q.a, q.b, q.c, q.d)]) for q in quads]),
        person=torch.stack([torch.stack([drawn[n][1] for n in (q.a, q.d)]) for q in quads]),
        gap=torch.tensor([q.d - q.a for q in quads], device=model.device),
        warps=(_joined([bases[q.b][1] for q in quads]), _joined([bases[q.c][1] for q in quads])),
    )


def _base(model: QuadrantModel, seen: tuple[Image, Float]) -> tuple[Image, Warp]:
    """Return a composite and its latents with their uncertainty."""
    image, unsure = seen
    small = cv2.resize(unsure, (model.side // FACTOR,) * 2, interpolation=cv2.INTER_AREA)
    doubt = torch.from_numpy(np.asarray(small, np.float32))[None, None].to(model.device, model.dtype)
    return image, Warp(model.encode([image]), doubt)


def _joined(warps: Sequence[Warp]) -> Warp:
    return Warp(torch.cat([w.latents for w in warps]), torch.cat([w.uncertainty for w in warps]))
