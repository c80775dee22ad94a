"""Fits `calibration.json`: the judges that turn evidence into the scale of a matcher's errors.

    python -m correspondence.training.calibrate --portraits DIR

Three judges are fitted: for the fine field, for the field of the whole frame, and for the thorough matcher.
Pairs come from the sources of `DIR/train` that `data.hold_out` keeps from training. Of five pairs, two (three
for the thorough matcher) are a frame and a known random warp of it, relit, degraded and partly covered.
Landmarks are detected in both pictures separately, and covered cells count as wrong. One pair shows a face
turned up to a profile, where skin that the picture hides counts as covered. The others are two frames of a
clip in which every third landmark is withheld: it is predicted from its neighbours and compared with its
detected place.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from correspondence.certainty.fit_judge import Samples, coverage_error, fit, joined, scales, side_by_side
from correspondence.certainty.uncertainty import FITTED
from correspondence.face.landmarks import detect_landmarks
from correspondence.geometry.region import crop, ideal_region, whole
from correspondence.matcher import Matcher
from correspondence.matchers import classical
from correspondence.matchers.coarse import CELLS, coarse_field, weighed_flow
from correspondence.matchers.thorough import ThoroughMatcher
from correspondence.matchers.thorough_doubt import SIDE
from correspondence.training.data import fit as fit_side
from correspondence.training.data import hold_out, read_video
from correspondence.training.known import (
    CELLS_PER_PAIR,
    Generator,
    KnownFrame,
    MatchedFrame,
    at_cells,
    judged,
    landmark_samples,
    turned_pair,
    warped_pair,
    withhold,
)
from correspondence.training.known import known_samples as fine_samples
from correspondence.types import Image, Landmarks, Prepared

logger = logging.getLogger(__name__)
LANDMARK_WEIGHT = 2.4  # weight of a withheld landmark relative to a cell
LIGHT = 0.8  # the same for the thorough matcher
FIELDS = ("fine", "coarse", "thorough")


def _match(frame: Image, landmarks: Landmarks | None, prepared: classical.ClassicalReference) -> MatchedFrame:
    size = frame.shape[0], frame.shape[1]
    both = landmarks if prepared.face is not None else None
    region = ideal_region(both, size)
    outer = coarse_field(frame, prepared.coarse)
    inner = crop(frame, region)
    field, evidence, _ = classical.fine_field(inner, region, both, prepared, size, lambda: outer)
    return MatchedFrame(field, evidence.features(), region, prepared.region)


def known_samples(
    rng: Generator, image: Image, face: Landmarks | None, known: KnownFrame
) -> dict[str, Samples]:
    """Draw samples of one known field: of the fine field in its region, and of the coarse one everywhere."""
    prepared = classical.prepare(image, face)
    fine = fine_samples(rng, known, _match(known.frame, known.landmarks, prepared))
    flow, weight, features = weighed_flow(known.frame, prepared.coarse)
    spots = rng.uniform(0, CELLS - 1, (CELLS_PER_PAIR, 2)).astype(np.float32)
    square = whole((image.shape[0], image.shape[0]))
    there = at_cells(features, spots[:, :1], spots[:, 1:])
    return {"fine": fine, "coarse": judged(there, spots, flow * weight[..., None], square, square, known)}


def withheld_samples(rng: Generator, frame: Image, reference: Image) -> dict[str, Samples]:
    """Draw samples of two frames of a clip at withheld landmarks; none without a face in both."""
    here, there = detect_landmarks(frame), detect_landmarks(reference)
    if here is None or there is None:
        return {}
    given, chosen = withhold(here, there, first=int(rng.integers(3)))
    seen = _match(frame, given, classical.prepare(reference, there))
    return {"fine": landmark_samples(here, there, chosen, seen, LANDMARK_WEIGHT)}


def _refined(
    matcher: ThoroughMatcher, frame: Image, landmarks: Landmarks | None, prepared: Prepared
) -> MatchedFrame:
    size = frame.shape[0], frame.shape[1]
    found = matcher.refine(frame, prepared, None, landmarks, None, size)
    return MatchedFrame(found.field, found.features, whole(size), whole(size))


def draw_thorough(rng: Generator, clips: list[list[Image]], pairs: int) -> Samples:
    """Draw samples of the thorough matcher's errors at the judge's size. Four of five pairs are made."""
    matcher, found = Matcher.load("thorough").backend, []
    assert isinstance(matcher, ThoroughMatcher)
    for index in range(pairs):
        first, second, other = (fit_side(image, SIDE) for image in _some(rng, clips))
        face = detect_landmarks(first)
        make = (warped_pair, warped_pair, turned_pair, warped_pair, None)[index % 5]
        if make is not None:
            known = make(rng, first, face, other, _found)
            seen = _refined(matcher, known.frame, known.landmarks, matcher.prepare(first, face))
            found.append(fine_samples(rng, known, seen))
            continue
        here = detect_landmarks(second)
        if face is None or here is None:
            continue
        given, chosen = withhold(here, face, first=int(rng.integers(3)))
        seen = _refined(matcher, second, given, matcher.prepare(first, face))
        found.append(landmark_samples(here, face, chosen, seen, LIGHT))
    return joined(found)


def _some(rng: Generator, clips: list[list[Image]]) -> tuple[Image, Image, Image]:
    """Draw two frames of a clip and one of another."""
    clip = clips[int(rng.integers(len(clips)))]
    first, second = (clip[int(rng.integers(len(clip)))] for _ in range(2))
    return first, second, clips[int(rng.integers(len(clips)))][0]


def _found(frame: Image, _: Landmarks | None) -> Landmarks | None:
    return detect_landmarks(frame)


def draw(rng: Generator, clips: list[list[Image]], pairs: int) -> dict[str, Samples]:
    """Draw samples of `pairs` pairs, three of five made, by the field that they belong to."""
    found: dict[str, list[Samples]] = {"fine": [], "coarse": []}
    for index in range(pairs):
        first, second, other = _some(rng, clips)
        make = (warped_pair, warped_pair, turned_pair, None, None)[index % 5]
        if make is None:
            of_pair = withheld_samples(rng, first, second)
        else:
            face = detect_landmarks(first)
            of_pair = known_samples(rng, first, face, make(rng, first, face, other, _found))
        for name, samples in of_pair.items():
            found[name].append(samples)
    return {name: joined(parts) for name, parts in found.items()}


def held_out_clips(portraits: Path, per_clip: int = 8) -> list[list[Image]]:
    """Read a few evenly spaced frames of each clip that is kept from training."""
    with (portraits / "MANIFEST.csv").open(newline="", encoding="utf-8") as file:
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
    """Fit and write the calibration. See the module's docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--portraits", type=Path, required=True, help="folder with train/ and MANIFEST.csv")
    parser.add_argument("--pairs", type=int, default=2500)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--fields", nargs="+", choices=FIELDS, default=FIELDS, help="whose judges to fit")
    parser.add_argument("--out", type=Path, default=FITTED)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    clips = held_out_clips(given.portraits)
    record: dict[str, Any] = json.loads(given.out.read_text(encoding="utf-8")) if given.out.is_file() else {}
    record["clips"] = len(clips)
    drawn: dict[str, Samples] = {}
    if {"fine", "coarse"} & set(given.fields):
        drawn |= draw(np.random.default_rng(given.seed), clips, given.pairs)
    if "thorough" in given.fields:
        drawn["thorough"] = draw_thorough(np.random.default_rng(given.seed), clips, given.pairs)
    for name in given.fields:
        samples = drawn[name]
        judge = fit(samples, seed=given.seed)
        error = coverage_error(scales(samples, judge), samples.errors)
        logger.info("%s field: %d samples, coverage error %.3f", name, len(samples.errors), error)
        options = f"--fields {name} --pairs {given.pairs} --seed {given.seed}"
        how = f"python -m correspondence.training.calibrate {options}"
        known = {"how": how, "samples": len(samples.errors), "coverage_error": round(error, 4)}
        record[name] = known | judge.stored()
    given.out.write_text(side_by_side(record))


if __name__ == "__main__":
    main()
