"""Training material of the diffusion model: cached clips with drawings and masks from landmarks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor

from correspondence import Float, Image
from correspondence.training.data import Clip
from inpaint.model.autoencoder import FACTOR
from inpaint.model.conditions import (
    MILD,
    ScalingConfig,
    draw_conditions,
    expressive_weight,
    person_mask,
    random_scaling,
)
from inpaint.training.augment import uniform

LONGEST_STEP = 45  # largest number of frames between neighbours of a quad


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """All frames of several clips, on one device.

    Attributes:
        frames: pictures, uint8 (N, 3, S, S).
        spans: first frame and one past the last frame of each clip, int64 (clips, 2).
        points: landmarks, float32 (N, 478, 3), pixels; NaN without a face.
        drawings: drawings, uint8 (1 + V, N, 3, S, S): unscaled ones, then V variants. Within a clip a
            variant has one scaling.
        weight: loss weight of each latent, float32 (N, 1, S/8, S/8), 1 or more.
        person: share of the person in each latent, float32 (N, 1, S/8, S/8).
        step: number of original frames from one kept frame to the next.
    """

    frames: Tensor
    spans: Tensor
    points: Tensor
    drawings: Tensor
    weight: Tensor
    person: Tensor
    step: int = 1

    @property
    def longest_step(self) -> int:
        """Largest number of kept frames between neighbours of a quad."""
        return max(1, LONGEST_STEP // self.step)


def resized_points(points: Float, scale: float) -> Float:
    """Convert landmarks (..., 2 or 3) to a picture resized by `scale`, with pixel centres on integers."""
    moved = points.astype(np.float32) * np.float32(scale)
    moved[..., :2] += np.float32(0.5 * (scale - 1))
    return moved


def gather_frames(clips: Sequence[Clip], side: int) -> tuple[npt.NDArray[np.uint8], Float]:
    """Collect the frames of all clips, resized to side S, with their landmarks.

    Returns:
        Frames, uint8 (N, S, S, 3), and points, float32 (N, 478, 3).

    Raises:
        ValueError: there is no clip, or the side is no multiple of 8.
    """
    if not clips or side % FACTOR:
        raise ValueError(
            f"need at least one clip and a side that is a multiple of {FACTOR}, got {len(clips)}, {side}"
        )
    frames, points = [], []
    for clip in clips:
        native = clip.frames.shape[1]
        same = native == side
        frames += [clip.frames] if same else [np.stack([_resize(f, side) for f in clip.frames])]
        points.append(resized_points(clip.points, side / native))
    return np.concatenate(frames), np.concatenate(points)


def build_material(
    clips: Sequence[Clip],
    *,
    side: int = 256,
    variants: int = 2,
    scaling: ScalingConfig = MILD,
    seed: int = 0,
    device: str = "cpu",
    step: int = 1,
) -> Material:
    """Draw the conditions of all frames once and move everything to the device.

    Args:
        clips: clips of two or more frames each. Photos are of no use to the denoiser.
        side: side to which frames are resized, pixels.
        variants: number of randomly scaled versions of each clip's drawings.
        scaling: ranges of the scaling. The factors are drawn once for a whole clip.
        seed: seed of the scaling.
        device: device of the tensors.
        step: number of original frames from one kept frame to the next.

    Raises:
        ValueError: there is no clip, or the side is no multiple of 8.
    """
    frames, points = gather_frames(clips, side)
    lengths = [len(c.frames) for c in clips]
    ends = np.cumsum(lengths)
    clip_of = np.repeat(np.arange(len(clips)), lengths)

    def draw(number: int) -> tuple[list[Image], Float, Float]:
        mine: Float | None = points[number] if np.isfinite(points[number, 0, 0]) else None
        drawn = [draw_conditions(mine, (side, side))]
        for variant in range(variants):
            rng = np.random.default_rng((seed, variant, int(clip_of[number])))
            drawn.append(
                draw_conditions(None if mine is None else random_scaling(mine, rng, scaling), (side, side))
            )
        small = (side // FACTOR, side // FACTOR)
        weight = cv2.resize(expressive_weight(mine, (side, side)), small, interpolation=cv2.INTER_AREA)
        person = cv2.resize(person_mask(mine, (side, side)), small, interpolation=cv2.INTER_AREA)
        return drawn, np.asarray(weight, np.float32), np.asarray(person, np.float32)

    drawings = np.empty((1 + variants, len(frames), 3, side, side), np.uint8)
    weights = np.empty((len(frames), 1, side // FACTOR, side // FACTOR), np.float32)
    persons = np.empty_like(weights)
    with ThreadPoolExecutor() as pool:
        for number, (drawn, weight, person) in enumerate(pool.map(draw, range(len(frames)))):
            for variant, picture in enumerate(drawn):
                drawings[variant, number] = picture.transpose(2, 0, 1)
            weights[number, 0], persons[number, 0] = weight, person
    return Material(
        frames=torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2))).to(device),
        spans=torch.from_numpy(np.stack([ends - lengths, ends], axis=1)).to(device),
        points=torch.from_numpy(points).to(device),
        drawings=torch.from_numpy(drawings).to(device),
        weight=torch.from_numpy(weights).to(device),
        person=torch.from_numpy(persons).to(device),
        step=step,
    )


def sample_quads(
    spans: Tensor, count: int, generator: Generator, *, even_share: float = 0.5, longest: int = LONGEST_STEP
) -> Tensor:
    """Draw frame numbers a <= b <= c <= d of one clip each, with gaps log-uniform in 1..longest.

    A share of the quads has equal gaps. Qffusion trains at a fixed step and infers at steps 27, 9, 3 and 1.
    The others have three independent gaps (Anchored Diffusion's non-uniform spacing). Gaps shrink to fit
    their clip. Half of the quads run backwards in time.

    Args:
        spans: int64 (clips, 2). A clip is drawn with a probability proportional to its number of frames.
        count: number of quads.
        generator: source of randomness.
        even_share: share of the quads with three equal gaps.
        longest: largest number of frames between neighbours.

    Returns:
        int64 (count, 4).
    """
    lengths = (spans[:, 1] - spans[:, 0]).float()
    pick = uniform((count,), 0.0, 1.0, spans, generator) * lengths.sum()
    clip = torch.searchsorted(lengths.cumsum(0), pick, right=True).clamp_max(len(spans) - 1)
    room = lengths[clip] - 1
    gaps = torch.exp(uniform((count, 3), 0.0, math.log(longest + 1), spans, generator)).floor()
    even = uniform((count, 1), 0.0, 1.0, spans, generator) < even_share
    gaps = torch.where(even, gaps[:, :1], gaps)
    shrink = (room / gaps.sum(dim=1)).clamp_max(1.0)[:, None]
    gaps = torch.where(shrink < 1, (gaps * shrink).floor(), gaps)
    slack = room - gaps.sum(dim=1)
    offset = (uniform((count,), 0.0, 1.0, spans, generator) * (slack + 1)).floor()
    first = spans[clip, 0] + torch.minimum(offset, slack).long()
    quads = first[:, None] + torch.cat([torch.zeros_like(gaps[:, :1]), gaps.cumsum(dim=1)], dim=1).long()
    backwards = uniform((count, 1), 0.0, 1.0, spans, generator) < 0.5
    return torch.where(backwards, quads.flip(1), quads)


def to_unit(images: Tensor) -> Tensor:
    """Convert uint8 to float32 in [0, 1]."""
    return images.float() / 255


def _resize(image: Image, side: int) -> Image:
    shrink = side < image.shape[0]
    return np.asarray(
        cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC)
    )
