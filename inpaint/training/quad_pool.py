"""Quads drawn once before training: views, composites by the matcher, and holes, all as latents.

The denoiser is trained on composites like those in use: from the classical matcher with its uncertainty, and
from references as far away as in use. The CPU's cores make them once, before training starts.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from correspondence import Float, Image, Landmarks
from inpaint.classical.between import carried
from inpaint.classical.landmark_warp import LandmarkWarp
from inpaint.fills.guess import guesses, shared_matcher
from inpaint.mask import draw_occluder, matched_hole
from inpaint.model.autoencoder import FACTOR, Autoencoder
from inpaint.model.prior import doubt
from inpaint.training import augment
from inpaint.training.augment import chance, check_shares
from inpaint.training.data import Material, sample_quads, to_unit
from inpaint.training.run import autocast

logger = logging.getLogger(__name__)
UNSURE = 0.5  # a matched pixel of higher uncertainty counts as a hole
CHUNK = 16  # quads that are encoded together
VIEWS = (0, 1, 2, 3, 1, 2, 1, 2)  # view whose drawing belongs to each of the eight pictures of a quad


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """Composition of a pool. Shares are in [0, 1].

    Attributes:
        filling: share of fills, which have one view with a hole, and a reference.
        alone: share of fills that have no reference.
        edited: share of quads whose pictures all have one random edit.
        even: share of quads with equal gaps.
        single: whether composites come from the first view only, for grids with one reference.
    """

    filling: float = 0.5
    alone: float = 0.2
    edited: float = 0.5
    even: float = 0.5
    single: bool = False

    def __post_init__(self) -> None:
        check_shares(self)


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """N quads on one device.

    Attributes:
        numbers: frame numbers of a, b, c and d, int64 (N, 4).
        flipped: whether a quad is mirrored, bool (N,).
        filling: whether a quad is a fill, bool (N,). In a fill, b and c are one view with a hole, d is the
            reference carried onto it, and `unsure` is `prior.doubt` of both guesses.
        latents: latents of the four views, float16 (N, 4, C, h, w).
        warps: latents of the composites of b and c, float16 (N, 4, C, h, w): two by the matcher, two by
            landmarks alone. A fill has the same two twice.
        unsure: uncertainty of the composites, float16 (N, 4, 1, h, w), [0, 1].
    """

    numbers: Tensor
    flipped: Tensor
    filling: Tensor
    latents: Tensor
    warps: Tensor
    unsure: Tensor

    def __len__(self) -> int:
        return len(self.numbers)

    def prior_std(self) -> tuple[float, float]:
        """Standard deviation of b's and c's latents from their composites', where sure and where unsure."""
        truth = self.latents[:, [1, 2, 1, 2]]
        error = (truth.float() - self.warps.float()).square().mean(dim=2, keepdim=True)
        unsure = self.unsure.float()
        sure, lost = (error * w for w in (1 - unsure, unsure))
        parts = ((sure, 1 - unsure), (lost, unsure))
        low, high = (float((e.sum() / w.sum().clamp_min(1e-6)).sqrt()) for e, w in parts)
        return round(max(low, 0.05), 3), round(max(high, low, 0.1), 3)


def build_pool(
    material: Material,
    autoencoder: Autoencoder,
    count: int,
    generator: Generator,
    config: PoolConfig | None = None,
    *,
    bfloat16: bool = False,
    threads: int | None = None,
) -> Pool:
    """Draw, match, edit and encode `count` quads.

    Args:
        material: all frames, on the device of the pool.
        autoencoder: the frozen autoencoder, on the same device.
        count: number of quads, 1 or more.
        generator: source of randomness.
        config: composition of the pool; None for the defaults.
        bfloat16: whether to encode in bfloat16.
        threads: number of threads of the matcher; None for the number of the machine's cores.

    Raises:
        ValueError: `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"a pool needs one quad or more, got {count}")
    config = config or PoolConfig()
    frames = material.frames
    numbers = sample_quads(
        material.spans, count, generator, even_share=config.even, longest=material.longest_step
    )
    filling = chance(count, config.filling, frames, generator)
    numbers = torch.where(filling[:, None], numbers[:, [0, 2, 2, 2]], numbers)
    alone = filling & chance(count, config.alone, frames, generator)
    numbers = torch.where(alone[:, None], numbers[:, [1, 1, 1, 1]], numbers)
    flipped = chance(count, 0.5, frames, generator)
    seed = int(torch.randint(1 << 31, (), generator=generator, device=generator.device))
    # an image of each frame where OpenCV can see it
    pictures = frames.permute(0, 2, 3, 1).cpu().numpy()
    points = material.points.cpu().numpy()
    chosen, filled, without = (t.tolist() for t in (numbers, filling, alone))

    def made(k: int) -> _Pictures:
        mine = [
            (np.ascontiguousarray(pictures[n]), _landmarks(points[n], pictures.shape[1])) for n in chosen[k]
        ]
        rng = np.random.default_rng((seed, k))
        return _filling(mine, rng, without[k]) if filled[k] else _between(mine, chosen[k], config.single)

    encoded: list[Tensor] = []
    unsure: list[Tensor] = []
    with ThreadPoolExecutor(threads or os.cpu_count()) as workers, torch.no_grad():
        for start, part in _chunks(workers.map(made, range(count))):
            rows = slice(start, start + len(part))
            stacked = np.stack([p.views for p in part]).transpose(0, 1, 4, 2, 3)
            views = to_unit(torch.from_numpy(np.ascontiguousarray(stacked)).to(frames.device))
            drawn = material.drawings[0, numbers[rows][:, list(VIEWS)]]
            views = augment.random_edit(views, to_unit(drawn), config.edited, generator)
            views = mirrored(views, flipped[rows])
            with autocast(views.device, bfloat16):
                flat = autoencoder.encode(views.flatten(0, 1))
            encoded.append(flat.half().reshape(*views.shape[:2], *flat.shape[1:]))
            guessed = filling[rows] & ~alone[rows]
            unsure.append(_unsure(part, encoded[-1][:, 4:6], flipped[rows], guessed))
            if (start // CHUNK) % 20 == 0:
                logger.info("%d of %d quads matched and encoded", start + len(part), count)
    latents = torch.cat(encoded)
    return Pool(numbers, flipped, filling, latents[:, :4], latents[:, 4:], torch.cat(unsure))


@dataclass(frozen=True, slots=True, eq=False)
class _Pictures:
    """Pictures of a quad.

    Attributes:
        views: views a, b, c, d and the composites as in `Pool`, uint8 (8, S, S, 3).
        unsure: uncertainty of the composites, float32 (4, S, S).
    """

    views: Image
    unsure: Float


_Frame = tuple[Image, Landmarks | None]


def _chunks(made: Iterator[_Pictures]) -> Iterator[tuple[int, list[_Pictures]]]:
    part: list[_Pictures] = []
    start = 0
    for pictures in made:
        part.append(pictures)
        if len(part) == CHUNK:
            yield start, part
            start += CHUNK
            part = []
    if part:
        yield start, part


def _unsure(part: Sequence[_Pictures], composites: Tensor, flipped: Tensor, guessed: Tensor) -> Tensor:
    """Compute `Pool.unsure` of a chunk.

    Args:
        part: pictures of the chunk.
        composites: latents of the first two composites, (B, 2, C, h, w), already mirrored.
        flipped: bool (B,).
        guessed: bool (B,), fills with a reference, whose two guesses are compared.
    """
    doubts = torch.from_numpy(np.stack([p.unsure for p in part])[:, :, None]).to(composites.device)
    small = F.avg_pool2d(doubts.flatten(0, 1), FACTOR).reshape(len(part), 4, 1, *composites.shape[-2:])
    small = mirrored(small, flipped)
    compared = doubt(composites[:, 0], composites[:, 1], small[:, 0])[:, None]
    return torch.where(guessed[:, None, None, None, None], compared, small).half()


def _between(views: Sequence[_Frame], numbers: Sequence[int], single: bool) -> _Pictures:
    """Make b and c as the live path shows them from a and d (or a alone), and as landmarks alone would."""
    matcher = shared_matcher()
    seen = views[:1] if single else (views[0], views[3])
    ends = [(image, matcher.prepare(image, landmarks)) for image, landmarks in seen]
    by_landmarks = LandmarkWarp(seen)
    whole = max(abs(numbers[3] - numbers[0]), 1)
    shares = [abs(numbers[k] - numbers[0]) / whole for k in (1, 2)]
    composites = [carried(*views[k], ends, share, matcher) for k, share in zip((1, 2), shares, strict=True)]
    composites += [by_landmarks.at(views[k][1], share) for k, share in zip((1, 2), shares, strict=True)]
    pictures = [image for image, _ in views] + [image for image, _ in composites]
    return _Pictures(np.stack(pictures), np.stack([unsure for _, unsure in composites]))


def _filling(views: Sequence[_Frame], rng: np.random.Generator, alone: bool) -> _Pictures:
    """Make b and c of one view with a hole: b continues the surroundings, c and d carry the reference."""
    (reference, there), (truth, here) = views[0], views[1]
    size = (truth.shape[0], truth.shape[1])
    hole = None if alone or rng.random() < 0.5 else _matched_hole(views)
    if hole is None:
        hole = draw_occluder(size, None if here is None else here.box, rng)
    continued, warped = guesses(truth, hole, here, None if alone else reference, there)
    first = continued if alone else reference
    pictures = np.stack([first, truth, truth, warped, *(continued, warped) * 2])
    return _Pictures(pictures, np.stack([hole] * 4))


def _matched_hole(views: Sequence[_Frame]) -> Float | None:
    """Return the hole where the matcher is unsure; None if its size is of no use."""
    (reference, there), (truth, here) = views[0], views[1]
    matcher = shared_matcher()
    source = (reference, matcher.prepare(reference, there))
    _, unsure = carried(truth, here, [source], 0.0, matcher)
    return matched_hole(unsure > UNSURE)


def _landmarks(points: Float, side: int) -> Landmarks | None:
    if not np.isfinite(points[0, 0]):
        return None
    return Landmarks(np.ascontiguousarray(points), (side, side))


def mirrored(views: Tensor, flip: Tensor) -> Tensor:
    """Mirror samples of (B, ..., W) in their last axis where `flip`, bool (B,), is True."""
    return torch.where(flip.reshape(-1, *(1,) * (views.ndim - 1)), views.flip(-1), views)
