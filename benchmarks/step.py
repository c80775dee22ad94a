"""`livery bench step`: the time of one frame at 1280 x 720, stage by stage."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import cv2
import numpy as np

from benchmarks.common import metadata, percentiles, portraits_dir, print_table, read_clip, write_results
from correspondence import Image, Matcher, detect_landmarks
from reference import Edit, Propagator, presets

STAGES = ("landmarks", "match", "composite")


def widescreen(frame: Image, size: tuple[int, int] = (720, 1280)) -> Image:
    """Place a square picture in the middle of a wide one. The borders are continued by reflection."""
    height, width = size
    square = cv2.resize(frame, (height, height), interpolation=cv2.INTER_CUBIC)
    left = (width - height) // 2
    return cv2.copyMakeBorder(square, 0, 0, left, width - height - left, cv2.BORDER_REFLECT_101)


def edits_of(reference: Image) -> dict[str, Image]:
    """Make edited pictures of a reference: a local edit, one over the whole face, one over the whole picture.

    Raises:
        ValueError: the reference has no face.
    """
    landmarks = detect_landmarks(reference)
    if landmarks is None:
        raise ValueError("no face was found in the clip's first frame")
    clarity = cv2.addWeighted(reference, 1.6, cv2.GaussianBlur(reference, (0, 0), 6), -0.6, 0)
    return {
        "lipstick": presets.apply("lipstick", reference, landmarks),
        "tiger": presets.apply("tiger", reference, landmarks),
        "warm tone": presets.apply("warm", reference, landmarks),
        "clarity, whole picture": clarity,
    }


def measure(frames: Sequence[Image], edited: Image, matcher: Matcher, repeats: int) -> dict[str, list[float]]:
    """Measure each stage and the whole step, seconds, over `repeats` frames after five unmeasured ones."""
    propagator = Propagator(Edit(frames[0], edited), matcher)
    seconds: dict[str, list[float]] = {name: [] for name in (*STAGES, "step")}
    for i in range(repeats + 5):
        start = time.perf_counter()
        result = propagator.step(frames[i % len(frames)], now_s=i / 30)
        took = time.perf_counter() - start
        if i >= 5:
            seconds["step"].append(took)
            for name in STAGES:
                seconds[name].append(result.stages.get(name, 0.0))
    propagator.close()
    return seconds


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `livery bench step`."""
    parser.add_argument("--clip", default="lp_d6", help="val clip (default %(default)s)")
    parser.add_argument("--frames", type=int, default=120, help="measured frames (default %(default)s)")
    parser.add_argument("--matchers", nargs="*", default=["classical", "auto"], help="default classical auto")


def run(args: argparse.Namespace) -> int:
    """Measure, print the table and write JSON. Returns 0."""
    clip = read_clip(portraits_dir() / "val" / f"{args.clip}.mp4", min(args.frames, 120))
    frames = [widescreen(f) for f in clip]
    edits = edits_of(frames[0])
    results: list[dict[str, str | float]] = []
    matchers = {m.kind: m for m in map(Matcher.load, args.matchers)}
    for kind, matcher in matchers.items():
        for name, edited in edits.items():
            seconds = measure(frames, edited, matcher, args.frames)
            medians = {stage: 1e3 * float(np.median(seconds[stage])) for stage in (*STAGES, "step")}
            p95 = 1e3 * percentiles(seconds["step"])["p95"]
            results.append({"matcher": kind, "edit": name, **medians, "step p95": p95})
    columns = ["matcher", "edit", *STAGES, "step", "step p95"]
    print("ms a frame at 1280 x 720, medians")
    print_table(columns, [[row[c] for c in columns] for row in results])
    write_results("step", results, metadata(vars(args)))
    return 0
