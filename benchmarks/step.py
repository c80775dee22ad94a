"""`livery bench step`: the time of one frame at 1280 x 720, stage by stage."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.common import (
    commit,
    metadata,
    percentiles,
    portraits_dir,
    print_table,
    read_clip,
    write_results,
)
from benchmarks.matching import areas
from benchmarks.matching.areas import clarity, widescreen
from benchmarks.matching.fixed_edits import cartoon
from benchmarks.reports import limits, schemas
from correspondence import Image, Matcher, detect_landmarks
from correspondence.threads import one_thread_each
from reference import Edit, Propagator, PropagatorConfig, presets

STAGES = ("landmarks", "match", "composite")
FURTHER = "faces"  # the stage of the further faces: match and composition
PEOPLE = ("lp_d6", "liax_7", "smirk_s")  # val clips that stand side by side in the table of faces
Row = dict[str, str | float]
LEAST_SEEN = 0.9  # share of the frames in which everybody must wear the edit


def edits_of(reference: Image) -> dict[str, Image]:
    """Make edited pictures of a reference: a local edit, one over the whole face, one over the whole picture.

    Raises:
        ValueError: the reference has no face.
    """
    landmarks = detect_landmarks(reference)
    if landmarks is None:
        raise ValueError("no face was found in the clip's first frame")
    return {
        "lipstick": presets.apply("lipstick", reference, landmarks),
        "tiger": presets.apply("tiger", reference, landmarks),
        "warm tone": presets.apply("warm", reference, landmarks),
        "clarity, whole picture": clarity(reference),
        "cartoon, whole picture": cartoon(reference, landmarks),
    }


def side_by_side(clips: Sequence[Sequence[Image]], size: tuple[int, int] = (720, 1280)) -> list[Image]:
    """Place square clips side by side across gray frames, as many as the shortest clip has."""
    height, width = size
    side = width // len(clips)
    top = (height - side) // 2
    frames = []
    for pictures in zip(*clips, strict=False):
        frame = np.full((height, width, 3), 90, np.uint8)
        for i, picture in enumerate(pictures):
            small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
            frame[top : top + side, i * side : (i + 1) * side] = small
        frames.append(frame)
    return frames


def measure(
    frames: Sequence[Image], edited: Image, matcher: Matcher, repeats: int, people: Sequence[int] = (1,)
) -> list[dict[str, list[float]]]:
    """Measure each stage and the whole step, seconds, over `repeats` frames after five unmeasured ones.

    Args:
        frames: the clip; its first frame is the reference.
        edited: the edited reference.
        matcher: the matcher.
        repeats: number of measured frames. The clip is repeated if it is shorter.
        people: for each row, how many people wear the edit. The rows take turns at each frame, so that a
            busy machine disturbs them alike. Frames in which fewer people wear the edit are left out.

    Returns:
        For each row the seconds by stage, of the "step", and of the processor ("cpu") in the step.

    Raises:
        ValueError: too many frames were left out.
    """
    one_thread_each()
    names = (*STAGES, FURTHER, "step", "cpu")
    seconds: list[dict[str, list[float]]] = [{name: [] for name in names} for _ in people]
    wearing = [
        Propagator(Edit(frames[0], edited), matcher, config=PropagatorConfig(faces=count)) for count in people
    ]
    for i in range(repeats + 5):
        for count, propagator, row in zip(people, wearing, seconds, strict=True):
            start, busy = time.perf_counter(), time.process_time()
            result = propagator.step(frames[i % len(frames)], now_s=i / 30)
            took, cpu = time.perf_counter() - start, time.process_time() - busy
            if i < 5 or (count > 1 and (result.match is not None) + len(result.others) != count):
                continue
            row["step"].append(took)
            row["cpu"].append(cpu)
            for name in (*STAGES, FURTHER):
                row[name].append(result.stages.get(name, 0.0))
    for propagator in wearing:
        propagator.close()
    for count, row in zip(people, seconds, strict=True):
        if len(row["step"]) < LEAST_SEEN * repeats:
            raise ValueError(f"{count} people wore the edit in {len(row['step'])} of {repeats} frames only")
    return seconds


def medians_ms(seconds: dict[str, list[float]]) -> dict[str, float]:
    """Compute the median of each stage and of the step, and the step's 95th percentile, ms."""
    medians = {stage: 1e3 * float(np.median(values)) for stage, values in seconds.items()}
    return {**medians, "step p95": 1e3 * percentiles(seconds["step"])["p95"]}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `livery bench step`."""
    parser.add_argument("--clip", default="lp_d6", help="val clip (default %(default)s)")
    parser.add_argument("--frames", type=int, default=120, help="measured frames (default %(default)s)")
    parser.add_argument("--faces", action="store_true", help="measure one, two and three people instead")
    parser.add_argument("--areas", action="store_true", help="measure edits of 1 to 100 %% of three sizes")
    parser.add_argument(
        "--beside", nargs=2, metavar=("PYTHON", "FOLDER"), default=[],
        help="another checkout, step by step in turn, and the interpreter with its packages",
    )  # fmt: skip
    parser.add_argument("--matchers", nargs="*", default=["classical", "auto"], help="default classical auto")
    limits.configure(parser, ("step", "step p95", "cpu", *STAGES, FURTHER, "step ratio", "cpu ratio"))


def measure_faces(args: argparse.Namespace) -> list[Row]:
    """Measure lipstick on one, two and three people of the same frames; ratios are to one person."""
    folder = portraits_dir() / "val"
    frames = side_by_side([read_clip(folder / f"{name}.mp4", min(args.frames, 120)) for name in PEOPLE])
    edited = edits_of(frames[0])["lipstick"]
    people = range(1, len(PEOPLE) + 1)
    results: list[Row] = []
    for kind, matcher in {m.kind: m for m in map(Matcher.load, args.matchers)}.items():
        rows = [medians_ms(row) for row in measure(frames, edited, matcher, args.frames, people)]
        for count, row in zip(people, rows, strict=True):
            ratios = {f"{name} ratio": row[name] / rows[0][name] for name in ("step", "cpu")}
            results.append({"matcher": kind, "people": str(count), **row, **ratios})
    return results


def run(args: argparse.Namespace) -> int:
    """Measure, print the table and write JSON. Returns 1 if a limit of --fail-if was broken, else 0."""
    if args.areas or args.beside:
        return _run_beside(args)
    if args.faces:
        results = measure_faces(args)
        columns = ["matcher", "people", *STAGES, FURTHER, "step", "cpu", "step ratio", "cpu ratio"]
    else:
        clip = read_clip(portraits_dir() / "val" / f"{args.clip}.mp4", min(args.frames, 120))
        frames = [widescreen(f) for f in clip]
        edits = edits_of(frames[0])
        results = []
        for kind, matcher in {m.kind: m for m in map(Matcher.load, args.matchers)}.items():
            for name, edited in edits.items():
                row = medians_ms(measure(frames, edited, matcher, args.frames)[0])
                results.append({"matcher": kind, "edit": name, **row})
        columns = ["matcher", "edit", *STAGES, "step", "step p95"]
    print("ms a frame at 1280 x 720, medians")
    print_table(columns, [[row[c] for c in columns] for row in results])
    name = "step-faces" if args.faces else "step"
    return _judged(args, name, results, metadata(_told(args)))


def _run_beside(args: argparse.Namespace) -> int:
    """Measure by area, or each edit beside another checkout, in processes of their own."""
    clip = read_clip(portraits_dir() / "val" / f"{args.clip}.mp4", min(args.frames, 60))
    if args.areas:
        name, results = "step-areas", areas.table(clip, args.frames, args.beside)
    else:
        frames = [widescreen(f) for f in clip]
        name, results = "step-beside", []
        for edit, edited in edits_of(frames[0]).items():
            results.append({"edit": edit, **areas.compare(frames, edited, args.frames, args.beside)})
    columns = list(results[0])
    print("ms a frame, medians; the classical matcher")
    print_table(columns, [[row[c] for c in columns] for row in results])
    about = metadata({name: value for name, value in _told(args).items() if name != "beside"})
    about["beside"] = commit(Path(args.beside[1])) if args.beside else None  # no path
    return _judged(args, name, results, about)


def _told(args: argparse.Namespace) -> dict[str, Any]:
    """The options as they are written beside the results."""
    return {**vars(args), "fail_if": [limit.text for limit in args.fail_if]}


def _judged(args: argparse.Namespace, name: str, results: Sequence[Row], about: dict[str, Any]) -> int:
    """Write the results and judge them by --fail-if. Returns the exit code."""
    write_results(name, results, about, schemas.STEPS)
    rows = {
        " ".join(value for value in row.values() if isinstance(value, str)): {
            figure: value for figure, value in row.items() if not isinstance(value, str)
        }
        for row in results
    }
    return limits.verdict(args.fail_if, rows)
