"""Changes to finished samples: mirroring, cutting to a window, and guessed or wrong landmarks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from correspondence.geometry.grid import Float
from correspondence.training.data import GRID
from correspondence.training.synthetic import smooth_noise

Sample = dict[str, npt.NDArray[Any]]


def flip(sample: Sample) -> Sample:
    """Mirror a sample. Landmarks keep their numbers, which are the same in both pictures."""
    out = {
        key: np.ascontiguousarray(value[..., ::-1])
        for key, value in sample.items()
        if key not in ("points", "trusted")
    }
    for key in ("candidates", "truth"):
        out[key][..., 0, :, :] *= -1
    points = sample["points"].copy()
    points[..., 0] = GRID - 1 - points[..., 0]
    return {**out, "points": points, "trusted": sample["trusted"]}


def cut(rng: np.random.Generator, sample: Sample, side: int) -> Sample:
    """Cut the same window near the face out of both pictures. Landmarks outside it are not trusted.

    Args:
        rng: source of randomness.
        sample: see `Pairs`.
        side: side of the window, pixels, a multiple of 16.
    """
    middle = sample["points"][0, 0].mean(axis=0) + rng.normal(0, 0.2 * GRID, 2)
    x, y = (int(v) for v in np.clip(np.rint((middle - side / 2) / 16) * 16, 0, GRID - side))
    out = {}
    for key, value in sample.items():
        scale = GRID // value.shape[-1] if key not in ("points", "trusted") else 1
        if key not in ("points", "trusted"):
            rows, columns = (slice(v // scale, (v + side) // scale) for v in (y, x))
            out[key] = np.ascontiguousarray(value[..., rows, columns])
    points: npt.NDArray[Any] = sample["points"] - np.array([x, y], np.float32)
    inside = np.all((points > 1) & (points < side - 2), axis=(1, 3))  # in both pictures, (2, 478)
    return {**out, "points": points, "trusted": sample["trusted"] * inside}


def guess_withheld(points: Float, reference: Float, withheld: npt.NDArray[np.bool_]) -> Float:
    """Replace some landmarks by guesses: they move from the reference as the nearest known ones do.

    Args:
        points: landmarks of the frame, float32 (478, 3). Withheld ones are not read.
        reference: landmarks of the reference, float32 (478, 3).
        withheld: bool (478,).

    Returns: float32 (478, 3). Known landmarks stay; withheld ones follow the four nearest by inverse-distance
        weights.
    """
    known = np.flatnonzero(~withheld)
    if len(known) < 4:
        raise ValueError(f"guessing landmarks needs at least 4 known ones, got {len(known)}")
    missing = np.flatnonzero(withheld)
    distance = ((reference[missing, None, :2] - reference[None, known, :2]) ** 2).sum(axis=2)
    near = np.argpartition(distance, 3, axis=1)[:, :4]
    weight = 1 / (np.take_along_axis(distance, near, axis=1) + 0.25)
    weight /= weight.sum(axis=1, keepdims=True)
    moved = (points - reference)[known][near]  # (M, 4, 3)
    out = points.copy()
    out[missing] = reference[missing] + (weight[..., None] * moved).sum(axis=1)
    return np.asarray(out, np.float32)


def mistake(rng: np.random.Generator, points: Float) -> Float:
    """Shift landmarks smoothly by up to a few pixels, like errors of a detector."""
    wrong = smooth_noise(rng, GRID, int(rng.integers(4, 9)), rng.uniform(0.2, 2.5))
    place = np.clip(np.rint(points[:, :2]), 0, GRID - 1).astype(int)
    out = points.copy()
    out[:, :2] += wrong[place[:, 1], place[:, 0]]
    return np.asarray(out, np.float32)
