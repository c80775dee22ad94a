"""`livery bench fill`: compares the diffusion model with simpler methods, for gaps and for masked fills.

Frames 0 to 81 of each clip at 256 x 256 hold three gaps of 27 frames, and both ends of a gap are given. Each
row of the table says what the method sees of the frame it makes: nothing, its landmarks, or the frame itself
(as a driving video shows it). `--long` makes one gap of each clip's first 270 frames instead. Without
`--weights` only the classical rows are measured, and the others are listed as not measured. Results are
written after each clip. `--resume` continues an interrupted run. `--part looks` compares learned looks with
their colours alone (`moment_parts.learned`) and writes OUT-looks.json.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.common import metadata, portraits_dir, print_table, read_clip, results_dir, write_results
from benchmarks.fills import masked as fill_masked
from benchmarks.fills import measures as fill_measures
from benchmarks.fills.rows import SIDE, ClipGap, Row, classical_rows, diffusion_rows
from benchmarks.fills.times import measure_times
from benchmarks.matching import metrics
from benchmarks.moment_parts import learned
from benchmarks.moment_parts.filters import LOOKS
from correspondence import Image, Landmarks, Matcher, detect_landmarks
from inpaint import weights as known
from stream.filling.types import Setup

GAP = 27
LONG = 270
Figures = dict[str, float]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `livery bench fill`."""
    parser.add_argument("--weights", type=Path, metavar="DIR", help="of the diffusion model; none: no model")
    parser.add_argument(
        "--ablation",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="weights trained with another --arrangement, for Table 3's rows; may be given twice",
    )
    parser.add_argument("--device", default="cpu", help="of the diffusion model: cpu or cuda")
    parser.add_argument("--steps", type=int, default=known.STEPS, help="of the sampler")
    parser.add_argument("--matcher", default="auto", help="see `livery serve`")
    parser.add_argument(
        "--clips", nargs="*", metavar="NAME", help="only clips whose name contains one of these"
    )
    parser.add_argument(
        "--rows", nargs="*", metavar="TEXT", help="only rows whose name contains one of these"
    )
    parser.add_argument("--stride", type=int, default=6, help="measure every so many-th frame of a gap")
    parser.add_argument("--gap", type=int, default=GAP, help="frames between references")
    parser.add_argument(
        "--long", action="store_true", help=f"one gap over the first {LONG} frames of each clip"
    )
    parser.add_argument(
        "--part",
        choices=("gaps", "masked", "times", "looks"),
        action="append",
        help="only this part; may repeat (gaps, masked, times); looks stands alone",
    )
    parser.add_argument("--looks", nargs="*", choices=list(LOOKS), default=list(LOOKS), help="(all)")
    parser.add_argument(
        "--budgets", type=float, nargs="*", default=[60.0], metavar="S", help="to learn a look, seconds (60)"
    )
    parser.add_argument("--seconds", type=float, default=15.0, help="length of each live run of `times`")
    parser.add_argument("--resume", action="store_true", help="keep what the last run measured")
    parser.add_argument("--out", default="fill", metavar="NAME", help="of the results file")


def run(args: argparse.Namespace) -> int:
    """Measure, print the tables and write the results. Returns 0."""
    if args.gap < 3 or args.stride < 1:
        raise ValueError(f"--gap must be 3 or more and --stride 1 or more, got {args.gap} and {args.stride}")
    if "looks" in (args.part or ()) and args.part != ["looks"]:
        raise ValueError(f"--part looks stands alone, got {' '.join(args.part)}")
    if args.part == ["looks"]:
        found = learned.compare(args.clips, args.looks, args.budgets, f"{args.out}-looks")
        write_results(f"{args.out}-looks", found, metadata(vars(args)))
        return 0
    if os.environ.get("OMP_NUM_THREADS") is None and args.weights is not None and args.device == "cpu":
        print("hint: OMP_NUM_THREADS=1 leaves the other cores free")
    weights = known.chosen(args.weights)
    matcher = Matcher.load(args.matcher)
    parts = args.part or ["gaps", "masked", "times"]
    kept = _kept(args) if args.resume else {}
    results: dict[str, Any] = {"gaps": {}, "masked": {}, "times": None, **kept}
    paths = sorted((portraits_dir() / "val").glob("*.mp4"))
    if args.clips:
        paths = [p for p in paths if any(text in p.stem for text in args.clips)]
    rows = _rows(args, matcher, weights)
    fills = fill_masked.methods(weights, args.device, args.steps)
    for number, path in enumerate(paths):
        if "gaps" in parts:
            _gaps(path, rows, args, results["gaps"])
        if "masked" in parts and path.stem not in results["masked"]:
            results["masked"][path.stem] = _masked(path, fills, matcher, number)
        write_results(args.out, results, metadata(vars(args)))
    if "times" in parts and paths:
        frames, landmarks = _clip(paths[0], 60)
        setup = Setup(weights=weights, device=args.device, steps=args.steps)
        results["times"] = measure_times(frames, landmarks, matcher, setup, args.seconds)
        write_results(args.out, results, metadata(vars(args)))
    _report(results, rows, weights, args)
    return 0


def _kept(args: argparse.Namespace) -> dict[str, Any]:
    path = results_dir() / f"{args.out}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))["results"]) if path.is_file() else {}


def _rows(args: argparse.Namespace, matcher: Matcher, weights: Path | None) -> list[Row]:
    rows = classical_rows(matcher)
    for folder in [*([weights] if weights is not None else []), *args.ablation]:
        rows += diffusion_rows(matcher, folder, args.device, args.steps)
    if args.rows:
        rows = [row for row in rows if any(text in row.name for text in args.rows)]
    return rows


def _clip(path: Path, limit: int) -> tuple[list[Image], list[Landmarks | None]]:
    frames = read_clip(path, limit, SIDE)
    return frames, [detect_landmarks(frame) for frame in frames]


def gap_numbers(count: int, gap: int) -> list[tuple[int, int]]:
    """Return the ends of the gaps of a clip with `count` frames: at most three, one after the other."""
    return [(k * gap, (k + 1) * gap) for k in range(3) if (k + 1) * gap < count]


def wanted_numbers(first: int, last: int, stride: int) -> list[int]:
    """Return pairs of neighbours, one every `stride` frames between two references, for the warp error."""
    starts = range(first + min(stride, (last - first) // 2), last - 1, max(2, stride))
    return [n for start in starts for n in (start, start + 1)]


def _gaps(path: Path, rows: Sequence[Row], args: argparse.Namespace, results: dict[str, Any]) -> None:
    mine: dict[str, Figures] = results.setdefault(path.stem, {})
    todo = [row for row in rows if row.name not in mine]
    if not todo:
        return
    frames, landmarks = _clip(path, LONG + 1 if args.long else 3 * args.gap + 1)
    spans = [(0, len(frames) - 1)] if args.long else gap_numbers(len(frames), args.gap)
    gaps = [
        ClipGap(
            frames, landmarks, a, d, wanted_numbers(a, d, args.stride if not args.long else 5 * args.stride)
        )
        for a, d in spans
    ]
    truths = {
        n: fill_measures.TrueFrame.of(frames[n], landmarks[n], (frames[g.first], frames[g.last]))
        for g in gaps
        for n in g.wanted[::2]
    }
    for row in todo:
        seen: dict[str, list[float]] = {}
        for gap in gaps:
            made = row.make(gap)
            for n in gap.wanted[::2]:
                values = fill_measures.measure(made[n], truths[n])
                pictures = (made[n], made[n + 1])
                values["warp"] = metrics.warp_error(pictures, (frames[n], frames[n + 1]))
                for column, value in values.items():
                    if np.isfinite(value):
                        seen.setdefault(column, []).append(value)
            _sheet(args.out, path.stem, row.name, gap, made)
        mine[row.name] = {column: float(np.mean(values)) for column, values in seen.items()}
        print(f"{path.stem}: {row.name}: {mine[row.name].get('PSNR', np.nan):.2f} dB", flush=True)


def _sheet(out: str, clip: str, row: str, gap: ClipGap, made: dict[int, Image]) -> None:
    """Write two made frames beside their truth to benchmarks/results/OUT-sheets, which is not tracked."""
    folder = results_dir() / f"{out}-sheets"
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [gap.wanted[0], gap.wanted[len(gap.wanted) // 2]]
    lines = [np.hstack([gap.frames[gap.first], made[n], gap.frames[n], gap.frames[gap.last]]) for n in chosen]
    name = f"{clip}-{gap.first}-{row}".replace(" ", "_").replace(",", "")
    cv2.imwrite(str(folder / f"{name}.jpg"), cv2.cvtColor(np.vstack(lines), cv2.COLOR_RGB2BGR))


def _masked(path: Path, fills: dict[str, Any], matcher: Matcher, seed: int) -> dict[str, dict[str, Figures]]:
    frames, landmarks = _clip(path, 3 * fill_masked.DISTANCE + 1)
    sums: dict[str, dict[str, dict[str, list[float]]]] = {}
    for hole in fill_masked.holes(frames, landmarks, matcher, seed):
        for name, fill in fills.items():
            made, took_ms = fill_masked.timed(fill, hole)
            into = sums.setdefault(hole.kind, {}).setdefault(name, {})
            for column, value in {**fill_masked.measure(made, hole), "ms": took_ms}.items():
                into.setdefault(column, []).append(value)
    return {
        kind: {
            name: {"holes": len(v["PSNR"])} | {c: float(np.mean(values)) for c, values in v.items()}
            for name, v in table.items()
        }
        for kind, table in sums.items()
    }


def mean_over(clips: Sequence[Figures], column: str) -> float:
    """Mean of a column over the clips that have it. NaN if none has."""
    values = [c[column] for c in clips if column in c]
    return float(np.mean(values)) if values else float("nan")


def _report(
    results: dict[str, Any], rows: Sequence[Row], weights: Path | None, args: argparse.Namespace
) -> None:
    by_clip = results["gaps"]
    if by_clip:
        columns = [name for name, _ in fill_measures.COLUMNS]
        table: list[list[str | float]] = []
        for row in rows:
            figures = [clip[row.name] for clip in by_clip.values() if row.name in clip]
            if figures:
                name = f"**{row.name}**" if row.ours else row.name
                table.append([name, row.sees, *(mean_over(figures, c) for c in columns)])
        print_table(["frames between references", "sees", *columns], table)
    for kind in ("uncertain", "occluder"):
        clips = [c[kind] for c in results["masked"].values() if kind in c]
        names = list(dict.fromkeys(name for c in clips for name in c))
        if names:
            columns = [name for name, _ in fill_masked.COLUMNS]
            print_table(
                [f"masked fill, {kind}", "holes", *columns],
                [
                    [name, str(int(sum(c[name]["holes"] for c in clips if name in c)))]
                    + [mean_over([c[name] for c in clips if name in c], column) for column in columns]
                    for name in names
                ],
            )
    if results["times"] is not None:
        print(json.dumps(results["times"], indent=1))
    if weights is None:
        print(
            "not measured: autoencoder, quadrant grid (pure, naive, warp mode, one reference, side by side), "
            f"diffusion's masked fill and its times: {known.HOW_TO_TRAIN}, with --weights DIR"
        )
    elif not args.ablation:
        print("not measured: one reference and side by side (--ablation DIR, twice)")
    if not args.device.startswith("cuda"):
        print("not measured: times on a GPU")
