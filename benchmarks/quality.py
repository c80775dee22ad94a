"""`livery bench quality`: fields on real clips and on pairs with known truth, every method in one run.

The reference is always frame 0. Reconstruction is reference(x + field(x)) alone, over all pixels, without
live pixels and without a gain. The landmarks that methods are given and those that judge them come from one
FaceMesh. Hence the *withheld* columns: half of the points are kept from the method and used to judge it.

Every finished part is kept in `--cache`, so that an interrupted run continues where it stopped. A part that
was measured with other matcher code, other weights or other options is measured again.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, metadata, portraits_dir, print_table, write_results
from benchmarks.matching import measures
from benchmarks.matching.fixed_edits import WINDOWS
from benchmarks.matching.footprint import FRAMES, footprint
from benchmarks.matching.measures import TrackedClip, load_clip, load_known
from benchmarks.matching.methods import STREAM_EDIT, Method, ablations, factories, models
from benchmarks.matching.tally import Store, Sums, stamp
from benchmarks.matching.tracks import measure_tracks
from correspondence import Image
from correspondence.weight_files import digest

COLUMNS = (
    ("lm", "landmark error, mean px"),
    ("lips", "lips px"),
    ("eyes", "eyes px"),
    ("oval", "contour px"),
    ("held", "withheld landmarks, mean px"),
    ("IoU lips", "outer lips, detected again on the warped picture"),
    ("IoU eyes", "eyes, likewise"),
    ("track", "tracked points of the skin's texture, median px, without FaceMesh"),
    ("EPE", "known truth, visible pixels, px; landmarks as FaceMesh finds them in the warped face"),
    ("EPE lm", "the same with landmarks carried by the truth: what is left when FaceMesh is right"),
    ("out%", "known truth, share over 3 px"),
    ("AUSE", "known truth, sparsification by log_b"),
    ("AUSE cyc", "the same by the length of the way there and back with DIS medium"),
    ("AUROC", "known truth, occlusion by log_b"),
    ("AUROC cyc", "the same by the way there and back"),
    ("cov", "known truth, coverage error of log_b within a pair, mean over pairs"),
    ("cov all", "the same over the pixels of all pairs together"),
    ("jitter", "withheld points on still spans, px"),
    ("warp", "1e3 MSE between reconstruction t and t-1 carried by DIS, cycle under 1 px"),
    ("PSNR", "dB"),
    ("SSIM", ""),
    ("ms 1", "median match, one core"),
    ("ms 2", "median match, two cores"),
    ("MB", "peak memory of a process of its own"),
)
WINDOW_COLUMNS = (*(f"{kind} {name}" for kind in ("PSNR", "EPE") for name in WINDOWS), "track tiger")
EDIT_COLUMNS = ("tone", "clarity", "lipstick", "cartoon", "mark")
ABLATED = ("lm", "held", "IoU lips", "IoU eyes", "EPE", "AUSE", "AUROC", "cov", "cov all", "PSNR", "SSIM")
REPLACING = ("PSNR rep", "SSIM rep", "rep/100")
TRUTH_SEEDS = (0, 1)


def step_times(folders: Iterable[Path]) -> dict[str, Sums]:
    """Measure the network's step alone, ms: each model, and an S2 with random weights."""
    from correspondence.network.checkpoints import open_model
    from correspondence.network.encoder import build_encoder
    from correspondence.network.export import export_model
    from correspondence.network.model import SIZES, Network
    from correspondence.network.runtime import OnnxRunner, random_step

    out: dict[str, Sums] = {}
    with tempfile.TemporaryDirectory() as folder:
        network = Network(SIZES["s2"], build_encoder("compact", SIZES["s2"].encoder)).eval()
        export_model(network, Path(folder) / "s2", size="s2")
        sketch = open_model(Path(folder) / "s2")
        for name, model in [*models(list(folders)), ("s2, random weights", sketch)]:
            out[name] = Sums()
            step = random_step(OnnxRunner(model))
            measures.measure_time(lambda _, step=step: step(), out[name], 40)  # type: ignore[misc]
    return out


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `livery bench quality`."""
    parser.add_argument(
        "--frames", type=int, default=100, help="frames read of each clip (default %(default)s)"
    )
    parser.add_argument(
        "--stride", type=int, default=5, help="judge every n-th of them (default %(default)s)"
    )
    parser.add_argument("--clips", nargs="*", help="names of val clips (default all)")
    parser.add_argument("--rows", nargs="*", help="rows to run, by name (default all)")
    parser.add_argument("--models", nargs="*", type=Path, default=[], help="model folders to add as rows")
    parser.add_argument(
        "--last-third", action="store_true", help="of each clip, which `train matcher --data` leaves unseen"
    )
    parser.add_argument("--ablations", action="store_true", help="take parts of the network away, one by one")
    parser.add_argument("--no-times", action="store_true", help="measure no times or memory: a busy machine")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "quality.json", help="finished parts")
    parser.add_argument("--out", default="quality", help="name of the JSON in benchmarks/results")
    parser.add_argument("--fresh", action="store_true", help="measure everything again")


def judged_code() -> list[Path]:
    """Return the files whose change makes finished parts stale: the matchers and what judges them."""
    return [*(ROOT / "correspondence").rglob("*.py"), *(ROOT / "benchmarks" / "matching").glob("*.py")]


class Bench:
    """One run: its clips, its pairs with known field, and its rows."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        paths = sorted((portraits_dir() / "val").glob("*.mp4"))
        self.paths = [p for p in paths if not args.clips or p.stem in args.clips]
        if not self.paths:
            raise ValueError(f"none of {args.clips} is a val clip: choose from {[p.stem for p in paths]}")
        kept = {k: vars(args)[k] for k in ("frames", "stride", "clips", "last_third")}
        self.store = Store(args.cache, stamp(kept, judged_code()), args.fresh)
        self.rows = self._rows()
        named = models(args.models)
        self.weights = {name: digest(model.folder / "model.json")[:12] for name, model in named}
        self.weights[STREAM_EDIT] = self.weights[named[0][0]]
        self.totals = {name: Sums() for name in self.rows}
        self.by_clip: dict[str, dict[str, Sums]] = {name: {} for name in self.rows}
        self.pictures: list[Image] = []

    def _rows(self) -> dict[str, Method]:
        if self.args.ablations:
            made = {m.name: m for m in ablations(*models(self.args.models)[0])}
            return {k: v for k, v in made.items() if not self.args.rows or k in self.args.rows}
        makers = factories(self.args.models)
        wanted = self.args.rows or list(makers)
        unknown = [name for name in wanted if name not in makers]
        if unknown:
            raise ValueError(f"no row is called {unknown}: choose from {list(makers)}")
        return {name: makers[name]() for name in wanted}

    def measure(self) -> None:
        """Measure all parts, clip by clip, then the pairs with known field."""
        for path in self.paths:
            clip = load_clip(path, self.args.frames, self.args.last_third)
            self.pictures += [clip.frames[0], clip.frames[len(clip.frames) // 2]]
            for name, method in self.rows.items():
                own = Sums()
                for part, sums in self._parts(name, method, clip):
                    self.totals[name].extend(sums) if part == "time" else own.extend(sums)
                for column in own.values:
                    self.totals[name].add(column, own.mean(column))
                self.by_clip[name][clip.name] = own
                print(f"{clip.name}: {name}: {own.mean('PSNR'):.2f} dB, {own.mean('lm'):.2f} px", flush=True)
            gc.collect()
        known = load_known(self.pictures, TRUTH_SEEDS)
        for name, method in self.rows.items():
            judge = partial(measures.measure_truth, method, known)
            found = self.store.get(f"truth/{self._key(name)}", judge)
            self.totals[name].extend(found)
            gaps = [abs(found.mean(f"covered {p:.1f}") - p) for p in measures.LEVELS]
            self.totals[name].add("cov all", sum(gaps) / len(gaps))
            if not self.args.ablations:
                within = partial(measures.measure_windows_truth, method, known)
                self.totals[name].extend(self.store.get(f"truth windows/{self._key(name)}", within))

    def _key(self, name: str) -> str:
        """Return the row's name in the cache. Names of networks hold the checksum of their weights."""
        own = self.weights.get(name.split(",")[0])
        return name if own is None else f"{name}@{own}"

    def _parts(self, name: str, method: Method, clip: TrackedClip) -> Iterator[tuple[str, Sums]]:
        stride, key = self.args.stride, f"{clip.name}/{self._key(name)}"
        get = self.store.get
        yield "clip", get(f"clip/{key}", lambda s: measures.measure_clip(method, clip, stride, s))
        if self.args.ablations:
            yield (
                "replacing",
                get(f"rep/{key}", lambda s: measures.measure_replacing(method, clip, stride, s)),
            )
            return
        yield "motion", get(f"motion/{key}", lambda s: measures.measure_motion(method, clip, s))
        yield "windows", get(f"windows/{key}", lambda s: measures.measure_windows(method, clip, stride, s))
        yield "tracks", get(f"tracks/{key}", lambda s: measure_tracks(method, clip, stride, s))
        yield "edits", get(f"edits/{key}", lambda s: measures.measure_edits(method, clip, stride, s))
        timed = not self.args.no_times or f"time/{key}" in self.store.parts
        if timed and clip.name == self.paths[0].stem:
            yield "time", get(f"time/{key}", lambda s: self._cost(name, method, clip, s))

    def _cost(self, name: str, method: Method, clip: TrackedClip, sums: Sums) -> None:
        measures.measure_time(measures.matching(method, clip), sums)
        seen = [(f, lm) for f, lm in zip(clip.frames, clip.landmarks, strict=True) if lm is not None][:FRAMES]
        sums.add("MB", footprint(name, [f for f, _ in seen], [lm for _, lm in seen], self.args.models))

    def table(self, columns: Iterable[str]) -> list[list[str | float]]:
        """Return rows with the means of `columns`."""
        return [[name, *(sums.mean(c) for c in columns)] for name, sums in self.totals.items()]


def run(args: argparse.Namespace) -> int:
    """Measure, print the tables and write JSON. Returns 0."""
    bench = Bench(args)
    bench.measure()
    steps: dict[str, Sums] = {}
    if args.ablations:
        columns: list[str] = [*ABLATED, *REPLACING]
        print_table(["row", *columns], bench.table(columns))
    else:
        columns = [name for name, _ in COLUMNS]
        print_table(["method", *columns], bench.table(columns))
        print_table(["in the edit's window", *WINDOW_COLUMNS], bench.table(WINDOW_COLUMNS))
        edits = [f"edit {name}" for name in EDIT_COLUMNS]
        print_table(["edits, dB", *EDIT_COLUMNS], bench.table(edits))
        columns += [*WINDOW_COLUMNS, *edits]
        if not args.no_times:
            steps = step_times(args.models)
            print_table(
                ["network step", "ms 1", "ms 2"],
                [[n, s.mean("ms 1"), s.mean("ms 2")] for n, s in steps.items()],
            )
    results: list[dict[str, Any]] = [
        {"method": name, **{c: sums.mean(c) for c in columns}}
        | {"covered": [sums.mean(f"covered {p:.1f}") for p in measures.LEVELS]}
        | {"clips": {k: {c: v.mean(c) for c in v.values} for k, v in bench.by_clip[name].items()}}
        for name, sums in bench.totals.items()
    ]
    folders = [f"{folder.parent.name}/{folder.name}" for folder in args.models]
    about = metadata(vars(args) | {"models": folders}) | {
        "network_step_ms": {n: {c: s.mean(c) for c in ("ms 1", "ms 2")} for n, s in steps.items()}
    }
    write_results("ablations" if args.ablations else args.out, results, about)
    return 0
