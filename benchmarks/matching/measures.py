"""Measures of one method for `livery bench quality`: on clips, on known truth, of edits and of time."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from benchmarks.common import read_clip
from benchmarks.matching import metrics
from benchmarks.matching.fixed_edits import CEILING_DB, EDITS, WINDOWS, edited_region, edited_window
from benchmarks.matching.methods import Method, match_window
from benchmarks.matching.tally import Sums
from benchmarks.matching.truth import TruthPair, truth_pairs
from correspondence import (
    Bool,
    Float,
    Image,
    Landmarks,
    LandmarkTracker,
    Match,
    confidence,
    detect_landmarks,
    warp_image,
)
from correspondence.matchers.classical import gray_of
from correspondence.training.synthetic import follow_points
from reference import Compositor, Edit

WITHHELD_SEED = 7
SIZE = 512
STILL_FRAMES = 12
FPS = 25.0  # of the clips
TRUTH_POINTS = 40_000  # pixels of a pair that are judged
REPLACE_BELOW = 0.8  # share of confident pixels at which a reference is replaced, in the ablation
REPLACE_RADIUS_PX = 4.0
LEVELS = np.arange(1, 10) / 10  # nominal coverages


@dataclass(frozen=True, eq=False)
class TrackedClip:
    """Frames of a clip with their landmarks. None for a frame without a face."""

    name: str
    frames: list[Image]
    landmarks: list[Landmarks | None]

    def judged(self, stride: int) -> list[tuple[Image, Landmarks | None]]:
        """Return every `stride`-th frame after the first, with its landmarks."""
        return list(zip(self.frames, self.landmarks, strict=True))[stride::stride]


@dataclass(frozen=True, eq=False)
class KnownPair:
    """A pair of known field, with the landmarks found by FaceMesh and those carried by the field."""

    pair: TruthPair
    reference: Landmarks | None
    frame: Landmarks | None
    carried: Landmarks | None
    back: Float


def load_clip(path: Path, frames: int, last_third: bool = False) -> TrackedClip:
    """Read `frames` frames at 512 x 512 with FaceMesh on each, from the clip's start or its last third."""
    pictures = read_clip(path, None if last_third else frames, SIZE)
    if last_third:  # `livery train matcher --data CLIP` learns from what comes before
        start = int(len(pictures) * 2 / 3)
        pictures = pictures[start : start + frames]
    return TrackedClip(path.stem, pictures, [detect_landmarks(p) for p in pictures])


def load_known(pictures: Sequence[Image], seeds: Sequence[int]) -> list[KnownPair]:
    """Make pairs of known field, one for each picture and seed."""
    medium = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    out = []
    for seed in seeds:
        for pair in truth_pairs(pictures, seed=seed):
            there = detect_landmarks(pair.reference)
            carried = None
            if there is not None:
                moved = follow_points(pair.field, there.points[:, :2])
                points = np.column_stack([moved, there.points[:, 2]]).astype(np.float32)
                carried = Landmarks(points, there.image_size)
            behind, here = (gray_of(p) for p in (pair.reference, pair.frame))
            back = np.asarray(medium.calc(behind, here, None), np.float32)
            out.append(KnownPair(pair, there, detect_landmarks(pair.frame), carried, back))
    return out


def withheld_points() -> Bool:
    """The fixed random half of the landmarks that methods are not given, bool (478,), without iris points."""
    held = np.zeros(478, bool)
    held[np.random.default_rng(WITHHELD_SEED).permutation(468)[:234]] = True
    return held


def measure_clip(method: Method, clip: TrackedClip, stride: int, sums: Sums) -> None:
    """Landmark errors, part IoU, PSNR and SSIM of every `stride`-th frame."""
    reference, first = clip.frames[0], clip.landmarks[0]
    state = method.prepare(reference, first)
    held = withheld_points()
    for frame, seen in clip.judged(stride):
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


def measure_windows(method: Method, clip: TrackedClip, stride: int, sums: Sums) -> None:
    """PSNR of the reconstruction within the window of each edit of `WINDOWS`."""
    reference, first = clip.frames[0], clip.landmarks[0]
    state = method.prepare(reference, first)
    for frame, seen in clip.judged(stride):
        if seen is None:
            continue
        for name, part, match in _in_windows(method, state, frame, seen, seen):
            found = metrics.psnr(warp_image(reference, match.field)[part], frame[part])
            sums.add(f"PSNR {name}", min(found, CEILING_DB))


def measure_windows_truth(method: Method, known: Sequence[KnownPair], sums: Sums) -> None:
    """Error on visible pixels within the window of each edit of `WINDOWS`, of pairs of known field, px."""
    for item in known:
        pair = item.pair
        if item.frame is None or item.carried is None:
            continue
        state = method.prepare(pair.reference, item.reference)
        for name, part, match in _in_windows(method, state, pair.frame, item.frame, item.carried):
            error = np.linalg.norm((match.field - pair.field)[part], axis=-1)[pair.visible[part]]
            if error.size:
                sums.add(f"EPE {name}", float(error.mean()))


def _in_windows(
    method: Method, state: Any, frame: Image, told: Landmarks, true: Landmarks
) -> Iterator[tuple[str, tuple[slice, slice], Match]]:
    """Yield each edit of `WINDOWS` with its window (rows, columns) and the match in it.

    The method is told the landmarks `told`; the window is where the edit lies by the `true` ones.
    """
    for name, make in WINDOWS.items():
        window = edited_window(frame, make(frame, true))
        if window is not None:
            x0, y0, x1, y1 = window
            yield name, np.s_[y0:y1, x0:x1], match_window(method, frame, state, told, window)


def stillest_span(clip: TrackedClip, length: int = STILL_FRAMES) -> range | None:
    """Find the run of frames whose landmarks move least. None if no run with a face is long enough."""
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
    """Find the reference's points in the frame, (N, 2), by iteration: x with x + field(x) = point."""
    goal = reference.points[:468, :2][points[:468]]
    at = start.points[:468, :2][points[:468]].astype(np.float32)
    for _ in range(12):
        at = at + 0.8 * (goal - at - metrics.sample(match.field, at))
    return at


def followed(clip: TrackedClip, span: range) -> list[tuple[int, Landmarks]]:
    """Return landmarks of a span as a session's tracker gives them.

    The tracker sees ten frames before the span.
    """
    tracker = LandmarkTracker()
    seen = {i: tracker(clip.frames[i], i / FPS) for i in range(max(0, span.start - 10), span.stop)}
    tracker.close()
    return [(i, found) for i in span if (found := seen[i]) is not None]


def measure_motion(method: Method, clip: TrackedClip, sums: Sums) -> None:
    """Jitter of withheld points and warp error between neighbouring reconstructions on the stillest span.

    Landmarks come from a session's tracker and are smoothed as in live use, since jitter depends on time.
    """
    span, first = stillest_span(clip), clip.landmarks[0]
    if span is None or first is None:
        return
    held, state = withheld_points(), method.prepare(clip.frames[0], first)
    positions, pictures = [], []
    previous: Match | None = None
    for i, seen in followed(clip, span):
        previous = method.match(clip.frames[i], state, metrics.withhold(seen, first, held), previous)
        positions.append(carried(previous, first, seen, held))
        pictures.append(warp_image(clip.frames[0], previous.field))
    if len(positions) < len(span):
        return
    sums.add("jitter", metrics.jitter(np.stack(positions)))
    for i, t in enumerate(span[1:], start=1):
        sums.add("warp", metrics.warp_error(pictures[i - 1 : i + 1], clip.frames[t - 1 : t + 1]))


def measure_edits(method: Method, clip: TrackedClip, stride: int, sums: Sums) -> None:
    """PSNR of carried edits where the same edit of the live frame changes it; see `benchmarks.edits`."""
    reference, first = clip.frames[0], clip.landmarks[0]
    if first is None:
        return
    makers = {
        name: Compositor(Edit(reference, make(reference, first), mode=method.mode), first)
        for name, make in EDITS.items()
    }
    state = method.prepare(reference, first)
    for frame, seen in clip.judged(stride):
        if seen is None:
            continue
        match = method.match(frame, state, seen, None)
        for name, maker in makers.items():
            truth = EDITS[name](frame, seen)
            image = maker.compose(frame, match).image
            found = metrics.psnr(image, truth, edited_region(frame, truth))
            sums.add(f"edit {name}", min(found, CEILING_DB))


def measure_truth(method: Method, known: Sequence[KnownPair], sums: Sums) -> None:
    """Error, outliers, AUSE, AUROC and coverage on pairs of known field; see `quality.COLUMNS`."""
    rng = np.random.default_rng(0)
    for item in known:
        pair = item.pair
        state = method.prepare(pair.reference, item.reference)
        match = method.match(pair.frame, state, item.frame, None)
        pick = rng.permutation(pair.visible.size)[:TRUTH_POINTS]
        visible, occluded = pair.visible.ravel()[pick], pair.occluded.ravel()[pick]
        error = (match.field - pair.field).reshape(-1, 2)[pick]
        log_b = match.log_b.ravel()[pick]
        cycle = _cycle(match.field, item.back).ravel()[pick]
        length = np.linalg.norm(error, axis=1)[visible]
        sums.add("EPE", float(length.mean()))
        sums.add("out%", 100 * float((length > 3).mean()))
        both = visible | occluded
        for suffix, doubt in (("", log_b), (" cyc", cycle)):
            sums.add(f"AUSE{suffix}", metrics.ause(length, doubt[visible]))
            sums.add(f"AUROC{suffix}", metrics.auroc(doubt[both], occluded[both]))
        shift = method.scale_offset(np.abs(error[visible]), log_b[visible])
        sums.add("cov", metrics.coverage_error(error[visible], log_b[visible] + shift))
        scaled = np.abs(error[visible]) / np.exp(log_b[visible] + shift)[:, None]
        for level in LEVELS:
            sums.add(f"covered {level:.1f}", float((scaled <= -np.log1p(-level)).mean()))
        if item.carried is not None:
            told = method.match(pair.frame, state, item.carried, None)
            away = np.linalg.norm((told.field - pair.field).reshape(-1, 2)[pick], axis=1)[visible]
            sums.add("EPE lm", float(away.mean()))


def _cycle(field: Float, back: Float) -> Float:
    """Compute the length of the cycle: `field`, then the flow from the reference back to the frame."""
    h, w = field.shape[:2]
    y, x = np.mgrid[:h, :w].astype(np.float32)
    there = (x + field[..., 0], y + field[..., 1])
    returned = field + cv2.remap(back, *there, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.linalg.norm(returned, axis=-1), np.float32)


def measure_replacing(method: Method, clip: TrackedClip, stride: int, sums: Sums) -> None:
    """Measure reconstruction when the reference is replaced once too little is confident, as in StreamEdit.

    The new reference is a true frame. Adds PSNR and SSIM with replacing, and the number of replacements for a
    hundred judged frames.
    """
    reference, first = clip.frames[0], clip.landmarks[0]
    state = method.prepare(reference, first)
    for frame, seen in clip.judged(stride):
        match = method.match(frame, state, seen, None)
        picture = warp_image(reference, match.field)
        sums.add("PSNR rep", metrics.psnr(picture, frame))
        sums.add("SSIM rep", metrics.ssim(picture, frame))
        sure = float((confidence(match, REPLACE_RADIUS_PX) > 0.5).mean())
        sums.add("rep/100", 100.0 if sure < REPLACE_BELOW else 0.0)
        if sure < REPLACE_BELOW:
            reference, state = frame, method.prepare(frame, seen)


def measure_time(run: Callable[[int], Any], sums: Sums, repeats: int = 30) -> None:
    """Measure the median wall time of `run(i)`, ms, with this process held on one core, then on two.

    macOS holds no process on a core; nothing is measured there.
    """
    cores = sorted(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else []
    for count in (1, 2):
        if len(cores) < count:
            continue
        with _cores(cores[:count]):
            for i in range(repeats + 3):
                start = time.perf_counter()
                run(i)
                if i >= 3:
                    sums.add(f"ms {count}", 1e3 * (time.perf_counter() - start))


def matching(method: Method, clip: TrackedClip) -> Callable[[int], Any]:
    """Return a function that matches the i-th frame with landmarks and the last match, for `measure_time`."""
    state = method.prepare(clip.frames[0], clip.landmarks[0])
    last: list[Match | None] = [None]

    def run(i: int) -> None:
        t = 1 + i % (len(clip.frames) - 1)
        last[0] = method.match(clip.frames[t], state, clip.landmarks[t], last[0] if t > 1 else None)

    return run


class _cores:  # noqa: N801 - used as a function
    """Keep every thread of this process on the given cores while the block runs."""

    def __init__(self, cores: Sequence[int]) -> None:
        self._wanted, self._all = cores, psutil.Process().cpu_affinity()

    def __enter__(self) -> None:
        self._set(self._wanted)

    def __exit__(self, *_: object) -> None:
        self._set(self._all)

    @staticmethod
    def _set(cores: Any) -> None:
        if sys.platform != "linux":
            psutil.Process().cpu_affinity(list(cores))
            return
        for task in Path("/proc/self/task").iterdir():  # each thread has its own
            os.sched_setaffinity(int(task.name), cores)
