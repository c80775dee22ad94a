"""Fits `calibration.json`: what the classical matcher's evidence says about the size of its errors.

    python -m correspondence.calibrate --portraits DIR

One judge is fitted for the fine field and one for the field of the whole frame. Pairs come from the
sources of `DIR/train` that `data.hold_out` keeps from training. Two of five are one frame and a known random
warp of it, relit, spoilt and partly covered, with landmarks detected in both pictures on their own; covered
cells count as wrong. One of five is a face turned up to a profile, where skin that the picture hides counts
as covered. Two of five are two frames of a clip in which every third landmark was withheld: replaced by what
its neighbours say, and compared with where it was found.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from correspondence import classical, synthetic
from correspondence import topology as topo
from correspondence.choice import EVIDENCE
from correspondence.coarse import CELLS, coarse_field, weighed_flow
from correspondence.data import hold_out, read_video
from correspondence.grid import Float
from correspondence.landmarks import detect_landmarks
from correspondence.mesh import face_reference, landmark_field
from correspondence.region import GRID, Region, crop, ideal_region, whole
from correspondence.types import Bool, Image, Landmarks
from correspondence.uncertainty import Evidence, Judge

logger = logging.getLogger(__name__)

COVERED_ERROR = 8.0  # cells: what a covered cell's error counts as at least
HIDDEN_ERROR = 4.0  # likewise of skin that the reference hides: the mesh still knows about where it lies
CELLS_PER_PAIR = 1200
LANDMARK_WEIGHT = 2.4  # of a withheld landmark, of which a pair has 150, beside a cell
KNOTS = 16
MOST_YAW_DEG = 75.0
HIDDEN, BATCH, RATE = 24, 8192, 1e-2  # units, samples a step, of Adam
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
    at = ((cells + 0.5) / EVIDENCE - 0.5).astype(np.float32)
    return _at(evidence.features(), at[:, :1], at[:, 1:])


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A frame made from a square picture of side S.

    Attributes:
        frame: uint8 (S, S, 3).
        field: float32 (S, S, 2), pixels, from the frame to the picture.
        cover: float32 (S, S), 1 where the frame shows what the picture does not.
        landmarks: as they are known in the frame.
        covered_error: what the error of covered cells counts as at least, cells of 256.
    """

    frame: Image
    field: Float
    cover: Float
    landmarks: Landmarks | None
    covered_error: float = COVERED_ERROR


def turned_pair(rng: Generator, image: Image, other: Image) -> Known:
    """The face turned about the neck, by FaceMesh's depth; a warp where there is none.

    Skin that the picture does not show counts as covered: no flow and no landmark can know it.
    """
    face = detect_landmarks(image)
    if face is None:
        return warped_pair(rng, image, other)
    side, square = image.shape[0], whole((image.shape[0], image.shape[0]))
    there = Landmarks(synthetic.turn_head(rng, face.points, MOST_YAW_DEG), face.image_size)
    driven = landmark_field(there, face_reference(face, square, side), square)
    frame = synthetic.spoil(rng, synthetic.relight(rng, synthetic.sample(image, driven.field)))
    hidden = (driven.inside & (driven.validity <= 0)).astype(np.float32)
    return Known(
        frame, driven.field, hidden, there if rng.random() < 0.5 else detect_landmarks(frame), HIDDEN_ERROR
    )


def warped_pair(rng: Generator, image: Image, other: Image) -> Known:
    """A random warp of a picture, in half of all cases with something of another before it."""
    size = image.shape[0]
    field = np.asarray(synthetic.random_field(rng, 256) * np.float32(size / 256), np.float32)
    field = np.asarray(cv2.resize(field, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)
    frame = synthetic.sample(image, field)
    cover = np.zeros((size, size), np.float32)
    if rng.random() < 0.5:
        found = detect_landmarks(frame)
        box = found.box if found else (size * 0.3, size * 0.3, size * 0.7, size * 0.7)
        frame, cover = synthetic.occlude(rng, frame, other, box)
    frame = synthetic.spoil(rng, synthetic.relight(rng, frame))
    return Known(frame, field, cover, detect_landmarks(frame))


def known_samples(rng: Generator, image: Image, known: Known) -> dict[str, Samples]:
    """Samples of one known field, of the fine field in its region and of the coarse one everywhere."""
    frame, truth, cover = known.frame, known.field, known.cover
    prepared = classical.prepare(image)
    field, evidence, region = _match(frame, known.landmarks, prepared)
    size, side = field.shape[0], image.shape[0]
    cells = rng.uniform(0, size - 1, (CELLS_PER_PAIR, 2)).astype(np.float32)
    wrong = known.covered_error
    fine = _judged(cells, field, region, prepared.region, truth, cover, wrong)
    flow, weight, features = weighed_flow(frame, prepared.coarse)
    spots = rng.uniform(0, CELLS - 1, (CELLS_PER_PAIR, 2)).astype(np.float32)
    square = whole((side, side))
    coarse = _judged(spots, flow * weight[..., None], square, square, truth, cover, wrong)
    return {
        "fine": _samples(_evidence_at(evidence, cells), *fine),
        "coarse": _samples(_at(features, spots[:, :1], spots[:, 1:]), *coarse),
    }


def _judged(
    cells: Float,
    field: Float,
    region: Region,
    reference: Region,
    truth: Float,
    cover: Float,
    wrong: float,
) -> tuple[Float, Bool]:
    """Errors of a field at cells of its grid and which of them count, see `Samples`; covered is wrong."""
    size, side = field.shape[0], truth.shape[0]
    pixels = region.to_pixels(cells, size)
    true = pixels + _at([truth[..., 0], truth[..., 1]], pixels[:, :1], pixels[:, 1:])
    within = (np.minimum(true, pixels) >= 0) & (true <= side - 1) & (pixels < side)
    got = cells + _at([field[..., 0], field[..., 1]], cells[:, :1], cells[:, 1:])
    errors = np.abs(got - reference.to_grid(true, size))
    covered = _at([cover], pixels[:, :1], pixels[:, 1:])
    errors = np.where(covered > 0.5, np.maximum(errors, wrong * size / GRID), errors)
    clear = (covered[:, 0] < 0.1) | (covered[:, 0] > 0.5)
    return errors.astype(np.float32), within.all(axis=1) & clear


def _samples(features: Float, errors: Float, counts: Bool, weight: float = 1.0) -> Samples:
    """Those that count, all with one weight."""
    return Samples(features[counts], errors[counts], np.full(int(counts.sum()), weight, np.float32))


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


def landmark_samples(rng: Generator, frame: Image, reference: Image) -> dict[str, Samples]:
    """Samples of two frames of a clip at withheld landmarks; none without a face in both."""
    here, there = detect_landmarks(frame), detect_landmarks(reference)
    if here is None or there is None:
        return {}
    given, chosen = withhold(here, there, first=int(rng.integers(3)))
    prepared = classical.prepare(reference, there)
    field, evidence, region = _match(frame, given, prepared)
    cells = region.to_grid(here.points[chosen, :2])
    size = field.shape[0]
    got = cells + _at([field[..., 0], field[..., 1]], cells[:, :1], cells[:, 1:])
    errors = np.abs(got - prepared.region.to_grid(there.points[chosen, :2]))
    within = ((cells >= 0) & (cells <= size - 1)).all(axis=1)
    return {"fine": _samples(_evidence_at(evidence, cells), errors, within, LANDMARK_WEIGHT)}


def draw(rng: Generator, clips: list[list[Image]], pairs: int) -> dict[str, Samples]:
    """Samples of `pairs` pairs, three of five made up, by the field they are of."""
    found: dict[str, list[Samples]] = {"fine": [], "coarse": []}
    for index in range(pairs):
        clip = clips[int(rng.integers(len(clips)))]
        first, second = (clip[int(rng.integers(len(clip)))] for _ in range(2))
        other = clips[int(rng.integers(len(clips)))][0]
        make = (warped_pair, warped_pair, turned_pair, None, None)[index % 5]
        of_pair = (
            landmark_samples(rng, first, second)
            if make is None
            else known_samples(rng, first, make(rng, first, other))
        )
        for name, samples in of_pair.items():
            found[name].append(samples)
    return {name: joined(parts) for name, parts in found.items()}


def joined(parts: list[Samples]) -> Samples:
    """All samples in one."""
    return Samples(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.errors for part in parts]),
        np.concatenate([part.weight for part in parts]),
    )


def fit(samples: Samples, steps: int = 1500, seed: int = 0) -> Judge:
    """A perceptron by maximum likelihood of Laplace errors (Adam), then a monotone curve of mean errors.

    Args:
        samples: with the features that the judge is to weigh.
        steps: of Adam, on BATCH samples each.
        seed: of the first weights and of the batches.
    """
    generator = torch.Generator().manual_seed(seed)
    mean, spread = samples.features.mean(axis=0), samples.features.std(axis=0) + 1e-6
    features = torch.from_numpy((samples.features - mean) / spread)
    errors, share = torch.from_numpy(samples.errors.mean(axis=1)), samples.weight / samples.weight.sum()
    upto = torch.from_numpy(np.cumsum(share.astype(np.float64)))
    inputs = features.shape[1]
    hidden = torch.randn(HIDDEN, inputs, generator=generator) * np.sqrt(2 / inputs)
    weights = [hidden, torch.zeros(HIDDEN), torch.zeros(HIDDEN), errors.mean().log()[None]]
    for part in weights:
        part.requires_grad_()
    optimizer = torch.optim.Adam(weights, RATE, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        drawn = torch.rand(BATCH, generator=generator, dtype=torch.float64)
        batch = torch.searchsorted(upto, drawn).clamp(max=len(errors) - 1)
        units = torch.relu(features[batch] @ weights[0].T + weights[1])
        score = (units @ weights[2] + weights[3]).clamp(-5, 6)
        loss = (score + errors[batch] * torch.exp(-score)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    first, offset, last, level = (part.detach().numpy() for part in weights)
    hidden_rows = np.column_stack([first / spread, offset - (first / spread) @ mean]).astype(np.float32)
    open_ended = np.array([-1e9, 1e9], np.float32)
    raw = Judge(hidden_rows, np.append(last, level).astype(np.float32), open_ended, open_ended)
    return replace(raw, **_curve(raw.score(list(samples.features.T)), samples.errors, share))


def _curve(score: Float, errors: Float, share: Float) -> dict[str, Float]:
    """The rising curve from scores to the log-scale of the errors that came with them."""
    order = np.argsort(score)
    edges = np.searchsorted(np.cumsum(share[order]), np.linspace(0, 1, KNOTS + 1)[1:-1])
    scores, values = [], []
    for part in np.split(order, edges):
        scores.append(float(np.average(score[part], weights=share[part])))
        values.append(_scale(errors[part], share[part]))
    rising = np.log(np.maximum.accumulate(values))
    return {"scores": np.array(scores, np.float32), "log_b": rising.astype(np.float32)}


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


def scales(samples: Samples, judge: Judge) -> Float:
    """log_b of each sample: float32 (S,)."""
    return judge(list(np.ascontiguousarray(samples.features.T)))


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
    parser.add_argument("--pairs", type=int, default=2500)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("calibration.json"))
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    clips = held_out_clips(given.portraits)
    rng = np.random.default_rng(given.seed)
    how = f"python -m correspondence.calibrate --pairs {given.pairs} --seed {given.seed}"
    record: dict[str, Any] = {"how": how, "clips": len(clips)}
    for name, samples in draw(rng, clips, given.pairs).items():
        judge = fit(samples, seed=given.seed)
        error = coverage_error(scales(samples, judge), samples.errors)
        logger.info("%s field: %d samples, coverage error %.3f", name, len(samples.errors), error)
        known = {"samples": len(samples.errors), "coverage_error": round(error, 4)}
        record[name] = known | judge.stored()
    lines = json.dumps(record, indent=1)
    given.out.write_text(re.sub(r",\s+(?=-?\d)", ", ", lines) + "\n")  # numbers side by side


if __name__ == "__main__":
    main()
