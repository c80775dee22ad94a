"""Fits `calibration.json`: what the classical matcher's evidence says about the size of its errors.

    python -m correspondence.calibrate --portraits DIR

Pairs come from the sources of `DIR/train` that `data.hold_out` keeps from training. Half are one frame
and a known random warp of it, relit, spoilt and partly covered, with landmarks detected in both pictures
on their own; covered cells count as wrong. Half are two frames of a clip in which every third landmark
was withheld: replaced by what its neighbours say, and compared with where it was found.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from correspondence import classical, synthetic
from correspondence import topology as topo
from correspondence.choice import CHOICE
from correspondence.coarse import coarse_field
from correspondence.data import hold_out, read_video
from correspondence.grid import Float
from correspondence.landmarks import detect_landmarks
from correspondence.region import Region, crop, ideal_region
from correspondence.types import Image, Landmarks
from correspondence.uncertainty import Calibration, Evidence, calibration, scale_from

logger = logging.getLogger(__name__)

COVERED_ERROR = 8.0  # cells: what a covered cell's error counts as at least
CELLS_PER_PAIR = 3000
LANDMARK_WEIGHT = 6.0  # of a withheld landmark, of which a pair has 150, beside a cell
KNOTS = 16
Generator = np.random.Generator


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Evidence and errors at cells drawn from many pairs.

    Attributes:
        features: float32 (S, F).
        errors: float32 (S, 2), absolute, of both components, cells.
        weight: float32 (S,), how much each counts.
    """

    features: Float
    errors: Float
    weight: Float


def _match(
    frame: Image, landmarks: Landmarks | None, prepared: classical.ClassicalReference
) -> tuple[Float, Evidence, Region]:
    size = frame.shape[0], frame.shape[1]
    both = landmarks if prepared.face is not None else None
    region = ideal_region(both, size)
    outer = coarse_field(frame, prepared.coarse)
    field, evidence = classical.fine_field(crop(frame, region), region, both, prepared, size, lambda: outer)
    return field, evidence, region


def _at(planes: list[Float], x: Float, y: Float) -> Float:
    """Bilinear values of each plane at cells (x, y): float32 (S, planes)."""
    return np.stack(
        [
            cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).ravel()
            for plane in planes
        ],
        axis=1,
    )


def _evidence_at(evidence: Evidence, cells: Float) -> Float:
    """Features at cells of the field's grid, whose evidence lies on a coarser one: float32 (S, F)."""
    at = ((cells + 0.5) / CHOICE - 0.5).astype(np.float32)
    return _at(evidence.features(), at[:, :1], at[:, 1:])


def warped_pair(rng: Generator, image: Image, other: Image) -> tuple[Image, Float, Float]:
    """A frame that is a known warp of `image`: the frame, the field (H, W, 2) and what covers it (H, W)."""
    size = image.shape[0]
    field = np.asarray(synthetic.random_field(rng, 256) * np.float32(size / 256), np.float32)
    field = np.asarray(cv2.resize(field, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)
    frame = synthetic.sample(image, field)
    cover = np.zeros((size, size), np.float32)
    if rng.random() < 0.5:
        found = detect_landmarks(frame)
        box = found.box if found else (size * 0.3, size * 0.3, size * 0.7, size * 0.7)
        frame, cover = synthetic.occlude(rng, frame, other, box)
    return synthetic.spoil(rng, synthetic.relight(rng, frame)), field, cover


def warped_samples(rng: Generator, image: Image, other: Image) -> Samples:
    """Samples of one known warp: errors everywhere in the region and the picture."""
    frame, truth, cover = warped_pair(rng, image, other)
    prepared = classical.prepare(image)
    field, evidence, region = _match(frame, detect_landmarks(frame), prepared)
    size = field.shape[0]
    count = CELLS_PER_PAIR
    cells = rng.uniform(0, size - 1, (count, 2)).astype(np.float32)
    pixels = region.to_pixels(cells)
    true = pixels + _at([truth[..., 0], truth[..., 1]], pixels[:, :1], pixels[:, 1:])
    inside = ((true >= 0) & (true <= image.shape[0] - 1) & (pixels >= 0) & (pixels < image.shape[0])).all(
        axis=1
    )
    got = cells + _at([field[..., 0], field[..., 1]], cells[:, :1], cells[:, 1:])
    errors = np.abs(got - prepared.region.to_grid(true))
    covered = _at([cover], pixels[:, :1], pixels[:, 1:])
    errors = np.where(covered > 0.5, np.maximum(errors, COVERED_ERROR), errors)
    features = _evidence_at(evidence, cells)
    keep = inside & ((covered[:, 0] < 0.1) | (covered[:, 0] > 0.5))
    return Samples(features[keep], errors[keep].astype(np.float32), np.ones(int(keep.sum()), np.float32))


def withhold(
    frame: Landmarks, reference: Landmarks, every: int = 3, first: int = 0
) -> tuple[Landmarks, list[int]]:
    """The frame's landmarks with every n-th moved to where its mesh neighbours' motion would put it."""
    triangles = topo.topology().triangles
    motion = frame.points - reference.points
    total, count = np.zeros((468, 3), np.float32), np.zeros((468, 1), np.float32)
    withheld = np.zeros(478, bool)
    withheld[first:468:every] = True
    for a, b in ((0, 1), (1, 2), (2, 0)):
        for tail, head in ((a, b), (b, a)):
            known = ~withheld[triangles[:, head]]
            np.add.at(total, triangles[known, tail], motion[triangles[known, head]])
            np.add.at(count, triangles[known, tail], 1)
    chosen = [int(index) for index in np.flatnonzero(withheld) if count[index] > 0]
    points = frame.points.copy()
    points[chosen] = reference.points[chosen] + total[chosen] / count[chosen]
    return Landmarks(points, frame.image_size), chosen


def landmark_samples(rng: Generator, frame: Image, reference: Image) -> Samples | None:
    """Samples of two frames of a clip at withheld landmarks, None without a face in both."""
    here, there = detect_landmarks(frame), detect_landmarks(reference)
    if here is None or there is None:
        return None
    given, chosen = withhold(here, there, first=int(rng.integers(3)))
    prepared = classical.prepare(reference, there)
    field, evidence, region = _match(frame, given, prepared)
    cells = region.to_grid(here.points[chosen, :2])
    size = field.shape[0]
    got = cells + _at([field[..., 0], field[..., 1]], cells[:, :1], cells[:, 1:])
    errors = np.abs(got - prepared.region.to_grid(there.points[chosen, :2]))
    features = _evidence_at(evidence, cells)
    keep = ((cells >= 0) & (cells <= size - 1)).all(axis=1)
    weight = np.full(int(keep.sum()), LANDMARK_WEIGHT, np.float32)
    return Samples(features[keep], errors[keep].astype(np.float32), weight)


def draw(rng: Generator, clips: list[list[Image]], pairs: int) -> Iterator[Samples]:
    """Samples of `pairs` pairs of both sorts."""
    for index in range(pairs):
        clip = clips[int(rng.integers(len(clips)))]
        first, second = (clip[int(rng.integers(len(clip)))] for _ in range(2))
        other = clips[int(rng.integers(len(clips)))][0]
        samples = (
            warped_samples(rng, first, other) if index % 2 == 0 else landmark_samples(rng, first, second)
        )
        if samples is not None:
            yield samples


def joined(parts: list[Samples]) -> Samples:
    """All samples in one."""
    return Samples(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.errors for part in parts]),
        np.concatenate([part.weight for part in parts]),
    )


def fit(samples: Samples, steps: int = 600, rate: float = 0.05) -> Calibration:
    """Weights by maximum likelihood of Laplace errors (Adam), then a monotone curve of mean errors."""
    features, mean = samples.features, samples.errors.mean(axis=1)
    share = samples.weight / samples.weight.sum()
    weights = np.zeros(features.shape[1])
    weights[0] = np.log(mean.mean())
    m, v = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, steps + 1):
        score = np.clip(features @ weights, -5, 6)
        gradient = features.T @ (share * (1 - mean * np.exp(-score)))
        m, v = 0.9 * m + 0.1 * gradient, 0.99 * v + 0.01 * gradient**2
        weights -= rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.99**step)) + 1e-8)
    score = features @ weights
    order = np.argsort(score)
    edges = np.searchsorted(np.cumsum(share[order]), np.linspace(0, 1, KNOTS + 1)[1:-1])
    scores, values = [], []
    for part in np.split(order, edges):
        scores.append(float(np.average(score[part], weights=share[part])))
        values.append(_scale(samples.errors[part], share[part]))
    rising = np.maximum.accumulate(values)
    return Calibration(tuple(weights.tolist()), tuple(scores), tuple(np.log(rising).tolist()))


def _scale(errors: Float, share: Float) -> float:
    """The Laplace scale whose law comes nearest to the errors' coverage at 10 % to 90 %."""
    flat, weight = errors.ravel(), np.repeat(share, 2)
    order = np.argsort(flat)
    reached = np.cumsum(weight[order]) / weight.sum()
    nominal = np.linspace(0.1, 0.9, 9)
    radii = flat[order][np.searchsorted(reached, nominal)]
    return float(np.exp(np.mean(np.log(np.maximum(radii, 1e-3) / -np.log1p(-nominal)))))


def coverage_error(log_b: Float, errors: Float) -> float:
    """Mean difference of empirical and nominal coverage at 10 % to 90 % of Laplace intervals.

    Args:
        log_b: float32 (S,).
        errors: float32 (S, 2), absolute.
    """
    nominal = np.linspace(0.1, 0.9, 9)
    ratio = errors / np.exp(log_b)[:, None]
    reached = np.array([(ratio <= -np.log1p(-p)).mean() for p in nominal])
    return float(np.abs(reached - nominal).mean())


def scales(samples: Samples, fitted: Calibration | None = None) -> Float:
    """log_b of each sample: float32 (S,)."""
    columns = [samples.features[:, k] for k in range(samples.features.shape[1])]
    return scale_from(columns, fitted or calibration())


def held_out_clips(portraits: Path, per_clip: int = 8) -> list[list[Image]]:
    """A few evenly spaced frames of each clip that is kept from training."""
    with (portraits / "MANIFEST.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["file"].startswith("train/")]
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row["source_repo"]] = sizes.get(row["source_repo"], 0) + int(row["frames"])
    held = hold_out(sizes)
    clips = []
    for row in rows:
        if row["source_repo"] not in held:
            continue
        step = max(1, int(row["frames"]) // per_clip)
        frames = [
            frame for index, frame in enumerate(read_video(portraits / row["file"])) if index % step == 0
        ]
        clips.append(frames[:per_clip])
    return clips


def main() -> None:
    """Fit and write the calibration; see the module's text."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--portraits", type=Path, required=True, help="folder with train/ and MANIFEST.csv")
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("calibration.json"))
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    clips = held_out_clips(given.portraits)
    rng = np.random.default_rng(given.seed)
    samples = joined(list(draw(rng, clips, given.pairs)))
    fitted = fit(samples)
    error = coverage_error(scales(samples, fitted), samples.errors)
    logger.info("%d clips, %d samples, coverage error %.3f", len(clips), len(samples.errors), error)
    how = f"python -m correspondence.calibrate --pairs {given.pairs} --seed {given.seed}"
    record = {
        "how": how,
        "clips": len(clips),
        "samples": len(samples.errors),
        "coverage_error": round(error, 4),
        "weights": [round(value, 5) for value in fitted.weights],
        "scores": [round(value, 5) for value in fitted.scores],
        "log_b": [round(value, 5) for value in fitted.log_b],
    }
    given.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
