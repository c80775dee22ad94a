"""`livery bench quality`: fields of real clips and of known truth, every method in one run.

Reference is frame 0 and stays so. Reconstruction is reference(x + field(x)) alone: no live pixels, no gain,
all pixels. Landmarks given to the methods and those they are judged by come from one FaceMesh; therefore the
*withheld* columns: half of the points are taken from what the method is given and used to judge it.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import metrics
from benchmarks.common import metadata, portraits_dir, print_table, read_clip, write_results
from benchmarks.methods import Method, OfMatcher, baselines
from benchmarks.truth import TruthPair, truth_pairs
from correspondence import Landmarks, Match, Matcher, WeightsError, detect_landmarks, warp_image
from correspondence.types import Bool, Image

WITHHELD_SEED = 7
SIZE = 512
STILL_FRAMES = 12
COLUMNS = (
    ("lm", "landmark error, mean px"),
    ("lips", "lips px"),
    ("eyes", "eyes px"),
    ("oval", "contour px"),
    ("held", "withheld landmarks, mean px"),
    ("IoU lips", "outer lips, detected again on the warped picture"),
    ("IoU eyes", "eyes, likewise"),
    ("EPE", "known truth, visible pixels, px"),
    ("out%", "known truth, share over 3 px"),
    ("AUSE", "known truth, sparsification by log_b"),
    ("AUROC", "known truth, occlusion by log_b"),
    ("cov", "known truth, coverage error of log_b"),
    ("jitter", "withheld points on still spans, px"),
    ("warp", "1e3 MSE between reconstruction t and t-1 carried by DIS, cycle under 1 px"),
    ("PSNR", "dB"),
    ("SSIM", ""),
    ("ms 1", "median match, one core"),
    ("ms 2", "median match, two cores"),
)


@dataclass
class Sums:
    """Everything measured of one method, by column."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, column: str, value: float) -> None:
        """Keep a value; NaN is left out."""
        if np.isfinite(value):
            self.values.setdefault(column, []).append(value)

    def mean(self, column: str) -> float:
        """Mean of a column, NaN where nothing was measured; the median for times."""
        values = self.values.get(column, [])
        if not values:
            return float("nan")
        return float(np.median(values) if column.startswith("ms") else np.mean(values))


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames of a clip with their landmarks; None where no face was found."""

    name: str
    frames: list[Image]
    landmarks: list[Landmarks | None]


def load_clip(path: Path, frames: int) -> Clip:
    """The first `frames` frames at 512 x 512 with FaceMesh on each, unsmoothed."""
    pictures = read_clip(path, frames, SIZE)
    return Clip(path.stem, pictures, [detect_landmarks(p) for p in pictures])


def withheld_points() -> Bool:
    """The fixed random half of the landmarks that methods are not given, bool (478,); never an iris."""
    held = np.zeros(478, bool)
    held[np.random.default_rng(WITHHELD_SEED).permutation(468)[:234]] = True
    return held


def measure_clip(method: Method, clip: Clip, stride: int, sums: Sums) -> None:
    """Landmark errors, part IoU, PSNR and SSIM of every `stride`-th frame."""
    reference, first = clip.frames[0], clip.landmarks[0]
    state = method.prepare(reference, first)
    held = withheld_points()
    for frame, seen in list(zip(clip.frames, clip.landmarks, strict=True))[stride::stride]:
        match = method.match(frame, state, seen, None)
        picture = warp_image(reference, match.field)
        sums.add("PSNR", metrics.psnr(picture, frame))
        sums.add("SSIM", metrics.ssim(picture, frame))
        if seen is None or first is None:
            continue
        errors = metrics.landmark_errors(match.field, seen, first)
        for column, group in (("lm", "all"), ("lips", "lips"), ("eyes", "eyes"), ("oval", "contour")):
            sums.add(column, float(np.nanmean(errors[list(metrics.GROUPS[group])])))
        again = detect_landmarks(picture)
        parts = metrics.part_iou(again, seen) if again else {"lips": 0.0, "eyes": 0.0}
        sums.add("IoU lips", parts["lips"])
        sums.add("IoU eyes", parts["eyes"])
        half = method.match(frame, state, metrics.withhold(seen, first, held), None)
        sums.add("held", float(np.nanmean(metrics.landmark_errors(half.field, seen, first)[held[:468]])))


def stillest_span(clip: Clip, length: int = STILL_FRAMES) -> range | None:
    """The run of frames whose landmarks move least, None where the face is not seen for as long."""
    best: tuple[float, range] | None = None
    for start in range(1, len(clip.frames) - length + 1):
        span = [lm for lm in clip.landmarks[start : start + length] if lm is not None]
        if len(span) < length:
            continue
        points = np.stack([lm.points[:468, :2] for lm in span])
        motion = float(np.linalg.norm(points - points.mean(axis=0), axis=-1).mean())
        if best is None or motion < best[0]:
            best = motion, range(start, start + length)
    return best[1] if best else None


def carried(match: Match, reference: Landmarks, start: Landmarks, points: Bool) -> metrics.FloatAny:
    """Where the reference's points appear in the frame: x with x + field(x) = point, by iteration, (N, 2)."""
    goal = reference.points[:468, :2][points[:468]]
    at = start.points[:468, :2][points[:468]].astype(np.float32)
    for _ in range(12):
        at = at + 0.8 * (goal - at - metrics.sample(match.field, at))
    return at


def measure_motion(method: Method, clip: Clip, sums: Sums) -> None:
    """Jitter of withheld points and warp error between neighbouring reconstructions on the stillest span."""
    span, first = stillest_span(clip), clip.landmarks[0]
    if span is None or first is None:
        return
    held, state = withheld_points(), method.prepare(clip.frames[0], first)
    positions, pictures = [], []
    previous: Match | None = None
    for i in span:
        seen = clip.landmarks[i]
        assert seen is not None  # stillest_span chose it so
        previous = method.match(clip.frames[i], state, metrics.withhold(seen, first, held), previous)
        positions.append(carried(previous, first, seen, held))
        pictures.append(warp_image(clip.frames[0], previous.field))
    sums.add("jitter", metrics.jitter(np.stack(positions)))
    for i, t in enumerate(span[1:], start=1):
        sums.add("warp", metrics.warp_error(pictures[i - 1 : i + 1], clip.frames[t - 1 : t + 1]))


def measure_truth(method: Method, pairs: Sequence[TruthPair], sums: Sums) -> None:
    """End-point error, outliers, AUSE, AUROC and coverage error on pairs of known field."""
    rng = np.random.default_rng(0)
    for pair in pairs:
        state = method.prepare(pair.reference, detect_landmarks(pair.reference))
        match = method.match(pair.frame, state, detect_landmarks(pair.frame), None)
        pick = rng.permutation(pair.visible.size)[:40_000]
        visible, occluded = pair.visible.ravel()[pick], pair.occluded.ravel()[pick]
        error = (match.field - pair.field).reshape(-1, 2)[pick]
        log_b = match.log_b.ravel()[pick]
        length = np.linalg.norm(error, axis=1)[visible]
        sums.add("EPE", float(length.mean()))
        sums.add("out%", 100 * float((length > 3).mean()))
        sums.add("AUSE", metrics.ause(length, log_b[visible]))
        sums.add("cov", metrics.coverage_error(error[visible], log_b[visible]))
        known = visible | occluded
        sums.add("AUROC", metrics.auroc(log_b[known], occluded[known]))


def measure_time(method: Method, clip: Clip, sums: Sums, repeats: int = 30) -> None:
    """Median time of `match` with landmarks given, on one core and on two."""
    cores = sorted(os.sched_getaffinity(0))
    state = method.prepare(clip.frames[0], clip.landmarks[0])
    for count in (1, 2):
        if len(cores) < count:
            continue
        with _cores(cores[:count]):
            for i in range(repeats + 3):
                t = 1 + i % (len(clip.frames) - 1)
                start = time.perf_counter()
                method.match(clip.frames[t], state, clip.landmarks[t], None)
                if i >= 3:
                    sums.add(f"ms {count}", 1e3 * (time.perf_counter() - start))


class _cores:  # noqa: N801 - used as a function
    """Every thread of this process on the given cores, for a while."""

    def __init__(self, cores: Sequence[int]) -> None:
        self._wanted, self._all = cores, os.sched_getaffinity(0)

    def __enter__(self) -> None:
        self._set(self._wanted)

    def __exit__(self, *_: object) -> None:
        self._set(self._all)

    @staticmethod
    def _set(cores: Any) -> None:
        for task in Path("/proc/self/task").iterdir():
            os.sched_setaffinity(int(task.name), cores)


def methods(kinds: Sequence[str]) -> Iterator[Method]:
    """The baselines, then each network that loads; one that does not is said and left out."""
    yield from baselines()
    for kind in kinds:
        try:
            yield OfMatcher(kind, Matcher.load(kind))
        except WeightsError as error:
            print(f"{kind}: left out: {error}")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `livery bench quality`."""
    parser.add_argument(
        "--frames", type=int, default=100, help="frames read of each clip (default %(default)s)"
    )
    parser.add_argument(
        "--stride", type=int, default=5, help="judge every n-th of them (default %(default)s)"
    )
    parser.add_argument("--clips", nargs="*", help="names of val clips (default all)")
    parser.add_argument("--kinds", nargs="*", default=["compact"], help="networks to add (default compact)")
    parser.add_argument("--methods", nargs="*", help="rows to run, by name (default all)")


def run(args: argparse.Namespace) -> int:
    """Measure, print the table, write JSON; 0."""
    paths = sorted((portraits_dir() / "val").glob("*.mp4"))
    if args.clips:
        paths = [p for p in paths if p.stem in args.clips]
    chosen = [m for m in methods(args.kinds) if not args.methods or m.name in args.methods]
    totals = {m.name: Sums() for m in chosen}
    by_clip: dict[str, dict[str, Sums]] = {}
    pictures: list[Image] = []
    for path in paths:
        clip = load_clip(path, args.frames)
        pictures += [clip.frames[0], clip.frames[len(clip.frames) // 2]]
        by_clip[clip.name] = {m.name: Sums() for m in chosen}
        for method in chosen:
            sums = by_clip[clip.name][method.name]
            measure_clip(method, clip, args.stride, sums)
            measure_motion(method, clip, sums)
            for column in sums.values:
                totals[method.name].add(column, sums.mean(column))
            print(
                f"{clip.name}: {method.name}: {sums.mean('PSNR'):.2f} dB, {sums.mean('lm'):.2f} px",
                flush=True,
            )
            measure_time(method, clip, totals[method.name])
        gc.collect()
    pairs = [p for seed in (0, 1) for p in truth_pairs(pictures, seed=seed)]
    for method in chosen:
        measure_truth(method, pairs, totals[method.name])
    names = [name for name, _ in COLUMNS]
    rows: list[list[str | float]] = [[m.name, *(totals[m.name].mean(c) for c in names)] for m in chosen]
    print_table(["method", *names], rows)
    results = [
        {"method": m.name, **{c: totals[m.name].mean(c) for c in names}}
        | {"clips": {k: {c: v[m.name].mean(c) for c in v[m.name].values} for k, v in by_clip.items()}}
        for m in chosen
    ]
    write_results("quality", results, metadata(vars(args)))
    return 0
