"""Fits the judge of a network's errors on the held-out sources: known fields and withheld landmarks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from correspondence.certainty.fit_judge import Samples, coverage_error, fit, joined, scales
from correspondence.certainty.uncertainty import Judge
from correspondence.geometry.grid import Float
from correspondence.geometry.region import crop, ideal_region
from correspondence.matchers.classical import gray_of, prepare
from correspondence.matchers.coarse import coarse_field
from correspondence.network.fine import NetworkReference, Runner, fine_field
from correspondence.training.data import Clip
from correspondence.training.known import (
    Generator,
    MatchedFrame,
    known_samples,
    landmark_samples,
    turned_pair,
    warped_pair,
    withhold,
)
from correspondence.training.windows import mistake
from correspondence.types import Image, Landmarks

COVERED_WEIGHT = 3.0  # weight of a covered cell; one in thirty is covered
LANDMARK_WEIGHT = 0.8  # weight of a withheld landmark; in use most landmarks are known
STRONGEST = 1.5  # strength of the known warps relative to the training's
MISTAKEN, UNSEEN = 0.7, 0.06  # share of frames with displaced landmarks, and with an unfound face


def sparsification_error(doubt: Float, error: Float, steps: int = 50) -> float:
    """Compute AUSE: the mean gap between the sparsification curves by uncertainty and by error.

    Args:
        doubt: uncertainty on any monotone scale, float32 (N,).
        error: errors, float32 (N,), at least 0.
        steps: number of points of the curves.

    Returns:
        The gap relative to the mean error; 0 is perfect.
    """
    curves = []
    for order in (np.argsort(-doubt), np.argsort(-error)):
        left = np.cumsum(error[order][::-1])[::-1] / np.arange(len(error), 0, -1)
        curves.append(left[(np.linspace(0, 0.98, steps) * len(error)).astype(int)])
    return float((curves[0] - curves[1]).mean() / max(float(error.mean()), 1e-6))


def separation(score: Float, positive: npt.NDArray[np.bool_]) -> float:
    """Compute AUROC: the probability that a positive scores above a negative."""
    rank = np.empty(len(score))
    rank[np.argsort(score, kind="stable")] = np.arange(1, len(score) + 1)
    n, m = int(positive.sum()), int((~positive).sum())
    return float((rank[positive].sum() - n * (n + 1) / 2) / max(n * m, 1))


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedFaceMesh:
    """Simulates FaceMesh on made frames: landmarks are a little off, or not found."""

    rng: Generator

    def __call__(self, frame: Image, true: Landmarks | None) -> Landmarks | None:
        """Return landmarks of a frame from the true ones, or None. See `known.Finder`."""
        if true is None or self.rng.random() < UNSEEN:
            return None
        if self.rng.random() < MISTAKEN:
            return Landmarks(mistake(self.rng, true.points), true.image_size)
        return true


def look(
    runner: Runner, frame: Image, landmarks: Landmarks | None, reference: Image, there: Landmarks | None
) -> MatchedFrame:
    """Match a frame with the network. The landmarks of both pictures are given."""
    base = prepare(reference, there)
    inner = crop(base.image, base.region)
    prepared = NetworkReference(base, gray_of(inner), runner.prepare(inner))
    size = frame.shape[0], frame.shape[1]
    both = landmarks if there is not None else None
    region, outer = ideal_region(both, size), coarse_field(frame, base.coarse)
    _, field, features = fine_field(runner, crop(frame, region), region, both, prepared, size, lambda: outer)
    return MatchedFrame(field, features, region, base.region)


def collect(runner: Runner, clips: list[Clip], pairs: int, seed: int = 0) -> Samples:
    """Draw samples of a network's errors. Four of five pairs are made; in the others landmarks are withheld.

    Args:
        runner: runs the network.
        clips: clips of sources that it was not trained on. At least one has two frames with a face.
        pairs: number of pairs.
        seed: seed of the pairs and of the cells that are drawn from them.
    """
    rng = np.random.default_rng(seed)
    shown = [clip for clip in clips if len(clip.faces)]
    moving = [clip for clip in shown if len(clip.faces) > 1]
    if not moving:
        raise ValueError(f"a judge needs a clip with two frames that show a face, got none in {len(clips)}")
    parts = []
    for index in range(pairs):
        make = (warped_pair, warped_pair, warped_pair, turned_pair, None)[index % 5]
        if make is None:
            parts.append(_withheld(rng, runner, _any(rng, moving)))
            continue
        image, face = _frame(rng, _any(rng, shown))
        other, _ = _frame(rng, _any(rng, shown))
        finder = SimulatedFaceMesh(rng)
        if make is warped_pair:
            known = warped_pair(rng, image, face, other, finder, rng.uniform(1, STRONGEST))
        else:
            known = turned_pair(rng, image, face, other, finder)
        parts.append(known_samples(rng, known, look(runner, known.frame, known.landmarks, image, face)))
    samples = joined(parts)
    weight = np.where(samples.covered, np.float32(COVERED_WEIGHT), samples.weight)
    return replace(samples, weight=weight)


def _withheld(rng: Generator, runner: Runner, clip: Clip) -> Samples:
    frame, here = _frame(rng, clip)
    reference, there = _frame(rng, clip)
    given, chosen = withhold(here, there, first=int(rng.integers(3)))
    return landmark_samples(
        here, there, chosen, look(runner, frame, given, reference, there), LANDMARK_WEIGHT
    )


def _any(rng: Generator, clips: list[Clip]) -> Clip:
    """Draw a source, then a clip or photo of it.

    So a source of many photos counts no more than one of few clips.
    """
    group = rng.choice(sorted({clip.group for clip in clips}))
    mine = [clip for clip in clips if clip.group == group]
    return mine[int(rng.integers(len(mine)))]


def _frame(rng: Generator, clip: Clip) -> tuple[Image, Landmarks]:
    number = int(rng.choice(clip.faces))
    image = clip.frames[number]
    return image, Landmarks(clip.points[number], (image.shape[0], image.shape[1]))


def calibrate(runner: Runner, clips: list[Clip], pairs: int, seed: int = 0) -> tuple[Judge, dict[str, float]]:
    """Fit a network's judge and compute its figures. The figures come from judges fitted on other sources.

    Args:
        runner: runs the network.
        clips: clips of sources that the network was not trained on.
        pairs: number of pairs.
        seed: seed of the pairs and of the fits.
    """
    groups = sorted({clip.group for clip in clips})
    if len(groups) < 2:
        raise ValueError(f"a judge needs clips from sources of at least two groups, got {len(groups)}")
    halves = [
        collect(runner, [clip for clip in clips if clip.group in groups[k::2]], pairs // 2, seed + k)
        for k in range(2)
    ]
    crossed = [figures(halves[k], fit(halves[1 - k], seed=seed)) for k in range(2)]
    mean = {name: float(np.mean([part[name] for part in crossed])) for name in crossed[0]}
    return fit(joined(halves), seed=seed), mean


def figures(samples: Samples, judge: Judge) -> dict[str, float]:
    """Compute a judge's coverage error, AUSE and occlusion AUROC, and the network's mean error in cells."""
    seen, log_b = ~samples.covered, scales(samples, judge)
    length = np.linalg.norm(samples.errors, axis=1)
    return {
        "coverage_error": coverage_error(log_b[seen], samples.errors[seen]),
        "ause": sparsification_error(log_b[seen], length[seen]),
        "occlusion_auroc": separation(log_b, samples.covered),
        "mean_error_px": float(length[seen].mean()),
    }
