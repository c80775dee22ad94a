"""`livery bench endurance`: an edit kept on one person for ten minutes and more.

The stream is one clip, played forward and backward. Each pass has a newly drawn camera with zoom, pan, light,
noise and JPEG. The user's edit consists of dots on half of the landmarks, always the same, which the matcher
is not given. References that are made on the way do not get them either. For each visible dot of each frame
the benchmark measures how far its centroid is from the place that the frame's own landmarks give, in pixels,
and how its colour differs from the same paint under that frame's light (CIEDE2000). A dot that is more than 5
% of the face away is missing. `capped` is the mean error in which a missing dot counts as that much. Coverage
is as the policy sees it. Warp error (see `matching.metrics`) is measured on the face between neighbouring
frames, every two seconds. Frames are 512 x 512. The clips have 25 frames a second; all rows are shown the
same part of them (`--fps`).
"""

from __future__ import annotations

import argparse
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.common import metadata, portraits_dir, print_table, results_dir, shown, write_results
from benchmarks.matching.measures import withheld_points
from benchmarks.matching.metrics import warp_error
from benchmarks.streams.carriers import ByPolicy, ByWindow, Carrier, Propagated, Rolling
from benchmarks.streams.dots import Dots, choose_dots, measure
from benchmarks.streams.passes import CLIP_FPS, Passes, Shown
from correspondence import Image, Matcher
from reference import Edit, KeeperConfig
from reference.face.parts import face_size
from reference.keyframes.policy import PolicyConfig

WARP_EVERY_S = 2.0
COLUMNS = (
    "error px",
    "capped px",
    "colour dE",
    "shown %",
    "coverage",
    "keyframes",
    "switches",
    "warp",
    "MiB",
)
OURS, PAIRED = "ours", "ours as in a file"
ALONE, NO_BANK = "no replacement", "replacement without bank"


def _values() -> array[float]:
    return array("f")  # an array, because lists of numbers would dominate the process's growth


@dataclass
class Minute:
    """Results of one row in one minute."""

    errors: array[float] = field(default_factory=_values)
    capped: array[float] = field(default_factory=_values)
    colours: array[float] = field(default_factory=_values)
    shown: array[float] = field(default_factory=_values)
    coverage: array[float] = field(default_factory=_values)
    warp: array[float] = field(default_factory=_values)
    keyframes: int = 0
    switches: int = 0
    mib: float = 0.0
    process_mb: float = 0.0  # memory of the process, all rows together

    def row(self) -> dict[str, float]:
        """Return the means by the names in `COLUMNS`."""
        means = (self.errors, self.capped, self.colours, self.shown, self.coverage, self.warp)
        error, capped, colour, shown, covered, warp = (_mean(values) for values in means)
        values = (error, capped, colour, 100 * shown, covered, self.keyframes, self.switches, warp, self.mib)
        return dict(zip(COLUMNS, map(float, values), strict=True))


def _mean(values: Sequence[float]) -> float:
    held = np.array(values, np.float64)
    held = held[np.isfinite(held)]
    return float(held.mean()) if held.size else float("nan")


def dotted(passes: Passes) -> tuple[Dots, Edit]:
    """Return the dots, and the user's edit of the clip's first frame."""
    dots = choose_dots(passes.landmarks[0], withheld_points())
    painted = dots.paint(passes.clean[0].astype(np.float32), passes.landmarks[0])
    return dots, Edit(passes.clean[0], np.clip(np.rint(painted), 0, 255).astype(np.uint8))


def times(minutes: float, fps: float) -> Iterator[tuple[float, bool]]:
    """Return the times of the shown frames, and whether each directly follows its neighbour in the clip."""
    step, warp_due = round(CLIP_FPS / fps), 0
    for n in range(0, round(60 * minutes * CLIP_FPS), step):
        yield n / CLIP_FPS, False
        if n >= warp_due and step > 1:
            warp_due += round(WARP_EVERY_S * CLIP_FPS)
            yield (n + 1) / CLIP_FPS, True


def face_of(image: Image, shown: Shown) -> Image:
    """Cut out the face's box with a margin."""
    x0, y0, x1, y1 = shown.truth.box
    reach = 0.1 * face_size(shown.truth)
    h, w = shown.truth.image_size
    rows = slice(max(0, int(y0 - reach)), min(h, int(y1 + reach)))
    return np.ascontiguousarray(image[rows, max(0, int(x0 - reach)) : min(w, int(x1 + reach))])


def endure(
    passes: Passes, carriers: dict[str, Carrier], dots: Dots, minutes: float, fps: float
) -> dict[str, list[Minute]]:
    """Show every carrier the same frames. Returns the results of the dots minute by minute."""
    kept: dict[str, list[Minute]] = {name: [] for name in carriers}
    counts = dict.fromkeys(carriers, (0, 0))
    last: tuple[Shown, dict[str, Image]] | None = None
    process = psutil.Process()
    for now_s, neighbour in times(minutes, fps):
        shown = passes.at(now_s)
        truth = dots.paint(shown.before_noise, shown.truth, shown.light) + shown.noise
        made: dict[str, Image] = {}
        for name, carrier in carriers.items():
            if int(now_s // 60) == len(kept[name]):
                if kept[name] and name == next(iter(carriers)):
                    print(f"minute {len(kept[name])}: {name}: {kept[name][-1].row()}", flush=True)
                kept[name].append(Minute())
                counts[name] = carrier.counts.keyframes, carrier.counts.switches
            minute = kept[name][-1]
            made[name] = carrier.step(shown)
            landed = measure(made[name], shown.frame, truth, shown.truth, dots)
            missing = np.isnan(landed.error)
            minute.errors.extend(landed.error.tolist())
            minute.capped.extend(np.where(missing, landed.limit, landed.error).tolist())
            minute.colours.extend(landed.colour.tolist())
            minute.shown.extend((~missing).tolist())
            minute.coverage.append(carrier.covered)
            minute.keyframes = carrier.counts.keyframes - counts[name][0]
            minute.switches = carrier.counts.switches - counts[name][1]
            minute.mib = carrier.nbytes() / 2**20
            minute.process_mb = process.memory_info().rss / 1e6
            if neighbour and last is not None:
                minute.warp.append(_warp(last, made[name], shown, name))
        last = shown, made
    return kept


def _warp(last: tuple[Shown, dict[str, Image]], made: Image, shown: Shown, name: str) -> float:
    pictures = [face_of(image, shown) for image in (last[1][name], made)]
    return warp_error(pictures, [face_of(image, shown) for image in (last[0].frame, shown.frame)])


def rows_of(edit: Edit, passes: Passes, matcher: Matcher) -> dict[str, Callable[[], Carrier]]:
    """Return the rows except StreamEdit's, by name."""
    first = passes.landmarks[0]
    keeper = KeeperConfig(background=False, max_match_s=10.0)
    content = replace(keeper, policy=PolicyConfig(min_coverage=0.0, recover=0.0))  # any coverage is enough
    return {
        OURS: lambda: Propagated(edit, first, matcher, keeper),
        PAIRED: lambda: Propagated(edit, first, matcher, replace(keeper, pair_match_s=10.0)),
        ALONE: lambda: Propagated(edit, first, matcher, content),
        NO_BANK: lambda: Rolling(edit, first, matcher, ByPolicy(), own_way=True),
    }


def sweep_of(
    edit: Edit, passes: Passes, matcher: Matcher, thresholds: Sequence[float], windows_s: Sequence[float]
) -> dict[str, Carrier]:
    """Return StreamEdit's rule at each threshold and window, by name."""
    first = passes.landmarks[0]
    return {
        f"StreamEdit's rule, {threshold:g} / {window:g} s": Rolling(
            edit, first, matcher, ByWindow(threshold, window), own_way=False
        )
        for threshold in thresholds
        for window in windows_s
    }


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `livery bench endurance`."""
    parser.add_argument("--minutes", type=float, default=10.0, help="of stream (default %(default)s)")
    parser.add_argument("--clip", default="smirk_s", help="val clip (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the passes (default %(default)s)")
    parser.add_argument("--fps", type=float, default=5.0, help="frames a second shown (default %(default)s)")
    parser.add_argument("--matcher", default="classical", help="kind of matcher (default %(default)s)")
    parser.add_argument(
        "--thresholds", type=float, nargs="*", default=[0.03, 0.06],
        help="StreamEdit's rule: mean scale of the error over the edit, face sizes (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--windows", type=float, nargs="*", default=[1.0, 4.0], help="likewise: windows, s (%(default)s)"
    )
    parser.add_argument("--rows", nargs="*", help="rows to run, by their first word (default all)")
    parser.add_argument("--out", type=Path, help="JSON beside the one in benchmarks/results")


def run(args: argparse.Namespace) -> int:
    """Measure, print the tables, write JSON and a plot. Returns 0."""
    matcher = Matcher.load(args.matcher)
    passes = Passes(portraits_dir() / "val" / f"{args.clip}.mp4", args.seed)
    dots, edit = dotted(passes)
    carriers = {name: make() for name, make in rows_of(edit, passes, matcher).items()}
    carriers |= sweep_of(edit, passes, matcher, args.thresholds, args.windows)
    if args.rows:
        carriers = {n: c for n, c in carriers.items() if n.split()[0] in args.rows}
    print(
        f"{args.clip}: {len(dots.points)} dots, {args.minutes:g} min, {passes.pass_s:.1f} s a pass",
        flush=True,
    )
    kept = endure(passes, carriers, dots, args.minutes, args.fps)
    results = [summary(name, minutes) for name, minutes in kept.items()]
    shown = best_rows(results)
    memory = [round(minute.process_mb) for minute in next(iter(kept.values()))]
    print(f"memory of the process with all rows, MB by minute: {memory}")
    print("whole run; keyframes and switches a minute; drift: last minute less first")
    drift = ("drift px", "drift dE")
    table = [[r["row"], *(r["mean"][c] for c in COLUMNS), *(r[d] for d in drift)] for r in shown]
    print_table(["row", *COLUMNS, *drift], table)
    about = metadata(vars(args) | {"dots": len(dots.points), "pass_s": passes.pass_s, "process_mb": memory})
    path = write_results("endurance", results, about)
    if args.out is not None:
        args.out.write_text(path.read_text(encoding="utf-8"))
    plot(shown, results_dir() / "endurance.png")
    return 0


def summary(name: str, minutes: Sequence[Minute]) -> dict[str, Any]:
    """Return a row of the table: means over the minutes, drift, and each minute."""
    by_minute = [m.row() for m in minutes]
    mean = {c: _mean([m[c] for m in by_minute]) for c in COLUMNS}
    first, last = by_minute[0], by_minute[-1]
    return {
        "row": name,
        "mean": mean,
        "drift px": last["error px"] - first["error px"],
        "drift dE": last["colour dE"] - first["colour dE"],
        "minutes": by_minute,
    }


def best_rows(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return all rows, but of StreamEdit's sweep only the one with the smallest capped error."""
    swept = [r for r in results if r["row"].startswith("StreamEdit")]
    best = min(swept, key=lambda r: float(r["mean"]["capped px"]), default=None)
    return [r for r in results if r not in swept or r is best]


def plot(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Plot error, colour, share of dots shown and coverage by minute, as PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    wanted = ("error px", "capped px", "colour dE", "shown %")
    figure, axes = plt.subplots(1, len(wanted), figsize=(5 * len(wanted), 4))
    for result in results:
        for axis, column in zip(axes, wanted, strict=True):
            values = [m[column] for m in result["minutes"]]
            axis.plot(range(1, len(values) + 1), values, marker="o", markersize=3, label=result["row"])
    for axis, column in zip(axes, wanted, strict=True):
        axis.set(xlabel="minute", title=column)
        axis.set_ylim(0, None)
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    print(f"written: {shown(path)}")
