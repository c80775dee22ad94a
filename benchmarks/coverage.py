"""`livery bench coverage`: how much of an edit is covered, whether rightly, and with how many keyframes.

Each clip is played forward and then backward, with its first frame edited. Coverage is the share of the edit
that the reference in use shows with enough confidence, by the radius and threshold of `KeeperConfig`. Whether
pixels are rightly called covered is checked in two ways. Both compare each component of the error with that
radius. `held` is measured at half of the landmarks, which the matcher is not given; the truth is where they
were detected in the keyframe. `known` is measured on made pairs with known field and occluders, on visible
pixels of the edit. `known, all` includes hidden pixels, which count as wrong.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from benchmarks.common import metadata, portraits_dir, print_table, read_clip, write_results
from benchmarks.matching.measures import withheld_points
from benchmarks.matching.metrics import sample, withhold
from benchmarks.matching.truth import TruthPair, truth_pairs
from benchmarks.streams.passes import CLIP_FPS
from correspondence import Bool, Float, Image, Landmarks, Match, Matcher, Prepared, detect_landmarks
from correspondence.certainty.uncertainty import confidence_of
from reference import (
    Edit,
    KeeperConfig,
    KeyframeMade,
    KeyframeRefused,
    Propagator,
    PropagatorConfig,
    ReferenceSwitched,
    presets,
)
from reference.keyframes.sights import radius_px

LARGE = ("smirk_s", "liax_7", "hyperreenact_1")  # clips with large movement
COLUMNS = (
    "frames", "covered >= 0.9 %", "coverage p5", "made", "made back", "per 5 s", "passed", "switches",
    "refused", "called %", "held %", "known %", "known, all %",
)  # fmt: skip


@dataclass
class Played:
    """Results of one edit on one clip."""

    coverage: list[float] = field(default_factory=list)
    made: list[int] = field(default_factory=list)  # frame numbers at which keyframes were made
    passed: int = 0  # keyframes of passed views that joined the bank
    switches: int = 0
    refused: int = 0
    called: list[float] = field(
        default_factory=list
    )  # of each frame, the share of judged points called covered
    held: list[bool] = field(default_factory=list)  # whether each point called covered was right
    known: list[bool] = field(default_factory=list)  # likewise for visible pixels with known truth
    known_all: list[bool] = field(default_factory=list)  # likewise with hidden pixels

    def row(self, frames: int, seconds: float) -> dict[str, float]:
        """Return the values of a table row by the names in `COLUMNS`.

        Args:
            frames: number of frames played forward.
            seconds: time they took.
        """
        covered = np.array(self.coverage)
        forward = sum(n < frames for n in self.made)
        values = (
            len(covered),
            100 * float((covered >= 0.9).mean()),
            float(np.percentile(covered, 5)),
            forward,
            len(self.made) - forward,
            5 * forward / seconds,
            self.passed,
            self.switches,
            self.refused,
            100 * float(np.mean(self.called)) if self.called else float("nan"),
            100 * float(np.mean(self.held)) if self.held else float("nan"),
            100 * float(np.mean(self.known)) if self.known else float("nan"),
            100 * float(np.mean(self.known_all)) if self.known_all else float("nan"),
        )
        return dict(zip(COLUMNS, values, strict=True))


@dataclass(frozen=True, eq=False)
class CoverageJudge:
    """Checks the coverage of a match at landmarks that the matcher was not given."""

    matcher: Matcher
    config: KeeperConfig
    held: Bool

    def covered(self, match: Match, landmarks: Landmarks, at: Float) -> Bool:
        """Whether the places (N, 2) of a frame count as covered."""
        log_b = sample(np.ascontiguousarray(match.log_b[..., None]), at)[:, 0]
        reach = radius_px(self.config.radius, landmarks, match.frame_size)
        return np.asarray(confidence_of(log_b, reach) >= self.config.threshold, np.bool_)

    def by_landmarks(self, frame: Image, seen: Landmarks, keyframe: Prepared, played: Played) -> None:
        """Judge the withheld landmarks of one frame and the keyframe that serves it."""
        own = keyframe.landmarks
        if own is None:
            return
        match = self.matcher.match(frame, keyframe, landmarks=withhold(seen, own, self.held))
        h, w = match.frame_size
        points = seen.points[:468, :2]
        inside = (points >= 0).all(axis=1) & (points[:, 0] <= w - 1) & (points[:, 1] <= h - 1)
        at, there = (p[self.held[:468] & inside] for p in (points, own.points[:468, :2]))
        called = self.covered(match, seen, at)
        error = np.abs(at + sample(match.field, at) - there).max(axis=1)
        reach = radius_px(self.config.radius, seen, match.frame_size)
        played.called.append(float(called.mean()))
        played.held += (error[called] <= reach).tolist()

    def by_truth(self, pair: TruthPair, name: str, played: Played) -> None:
        """Judge a pair of known field, where the edit lies."""
        own, seen = detect_landmarks(pair.reference), detect_landmarks(pair.frame)
        if own is None or seen is None:
            return
        match = self.matcher.match(pair.frame, self.matcher.prepare(pair.reference, own), landmarks=seen)
        mask = Edit(pair.reference, presets.apply(name, pair.reference, own)).mask
        y, x = np.mgrid[: mask.shape[0], : mask.shape[1]].astype(np.float32)
        lies = cv2.remap(mask, x + pair.field[..., 0], y + pair.field[..., 1], cv2.INTER_LINEAR) > 0.5
        reach = radius_px(self.config.radius, seen, match.frame_size)
        called = (confidence_of(match.log_b, reach) >= self.config.threshold) & lies
        called &= pair.visible | pair.occluded
        right = np.abs(match.field - pair.field).max(axis=2) <= reach
        played.known += right[called & pair.visible].tolist()
        played.known_all += (right & pair.visible)[called].tolist()


def play(
    frames: Sequence[Image],
    landmarks: Sequence[Landmarks | None],
    name: str,
    judge: CoverageJudge,
    every: int,
) -> Played | None:
    """Play one clip forward and backward with one edit. None if its first frame shows no face."""
    first = landmarks[0]
    if first is None:
        return None
    order = [*range(0, len(frames), every), *range(len(frames) - 1 - (len(frames) - 1) % every, -1, -every)]
    at = iter(order)
    edit = Edit(frames[0], presets.apply(name, frames[0], first))
    tracker = Tracked(landmarks, at)
    propagator = Propagator(edit, judge.matcher, tracker, PropagatorConfig(references=judge.config))
    played, known = Played(), {}
    for n, source in enumerate(order):
        result = propagator.step(frames[source], n * every / CLIP_FPS)
        decision = propagator.decision
        if decision is not None and decision.coverage is not None and landmarks[source] is not None:
            played.coverage.append(decision.coverage)
        for event in result.events:
            if isinstance(event, KeyframeMade) and not event.passed:
                played.made.append(n)
            played.passed += isinstance(event, KeyframeMade) and event.passed
            played.switches += isinstance(event, ReferenceSwitched)
            played.refused += isinstance(event, KeyframeRefused)
        seen = landmarks[source]
        if n % 10 == 5 and n < len(order) // 2 and seen is not None:
            serving = next(k for k in propagator.keyframes() if k.active)
            if id(serving.image) not in known:
                known[id(serving.image)] = judge.matcher.prepare(serving.image)
            judge.by_landmarks(frames[source], seen, known[id(serving.image)], played)
    propagator.close()
    return played


class Tracked:
    """A tracker that returns the clip's known landmarks, in the order in which its frames are played."""

    def __init__(self, landmarks: Sequence[Landmarks | None], order: Any) -> None:
        self._landmarks, self._order = landmarks, order

    def __call__(self, image: Image, now_s: float) -> Landmarks | None:
        """Return the landmarks of the next frame."""
        return self._landmarks[next(self._order)]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `livery bench coverage`."""
    parser.add_argument("--clips", nargs="*", help="names of val clips (default all)")
    parser.add_argument("--part", default="val", help="folder of the portraits (default %(default)s)")
    parser.add_argument("--edits", nargs="*", default=["tiger", "lipstick"], help="presets (tiger lipstick)")
    parser.add_argument("--every", type=int, default=1, help="play every n-th frame (default %(default)s)")
    parser.add_argument("--frames", type=int, help="frames of each clip at most")
    parser.add_argument("--matcher", default="classical", help="kind of matcher (default %(default)s)")
    parser.add_argument("--name", default="coverage", help="of the JSON file (default %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Measure, print one table per edit and write JSON. Returns 0."""
    paths = sorted((portraits_dir() / args.part).glob("*.mp4"))
    paths = [p for p in paths if not args.clips or p.stem in args.clips]
    judge = CoverageJudge(
        Matcher.load(args.matcher), KeeperConfig(background=False, max_match_s=10.0), withheld_points()
    )
    results: list[dict[str, Any]] = []
    for path in paths:
        frames = read_clip(path, args.frames, 512)
        landmarks = [detect_landmarks(f) for f in frames]
        quarters = [frames[k * len(frames) // 4] for k in range(4)]
        pairs = list(truth_pairs(quarters, seed=3))
        for name in args.edits:
            played = play(frames, landmarks, name, judge, args.every)
            if played is None or not played.coverage:
                print(f"{path.stem}: no face in its first frame")
                continue
            for pair in pairs:
                judge.by_truth(pair, name, played)
            count = -(-len(frames) // args.every)
            row = played.row(count, len(frames) / CLIP_FPS)
            results.append({"clip": path.stem, "edit": name, **row})
            print(f"{path.stem}: {name}: {row['covered >= 0.9 %']:.1f} %, {played.made}", flush=True)
    for name in args.edits:
        print(f"{name}:")
        rows = [[r["clip"], *(r[c] for c in COLUMNS)] for r in results if r["edit"] == name]
        print_table(["clip", *COLUMNS], rows)
    write_results(args.name, results, metadata(vars(args)))
    return 0
