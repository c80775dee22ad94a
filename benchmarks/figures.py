"""`livery bench figures`: pictures for the documentation, from published results and the demo's face.

`calibration.png` shows results of `quality.json`: how often errors stay below a bound, against how often
`log_b` predicts it, and measures of the uncertainty. `fields.png` shows one made pair with known field on
scikit-image's astronaut: the frame, the reference as each matcher warps it, the error and the predicted
error.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import CHECKOUT_RESULTS, ROOT
from benchmarks.matching.measures import LEVELS
from benchmarks.matching.methods import Method, find
from benchmarks.matching.truth import TruthPair, truth_pair
from correspondence import Float, Image, detect_landmarks, warp_image

ROWS = ("DIS medium", "classical", "ours xs2", "thorough")
LABELS = {"ours xs2": "network (xs2)"}
WORST_PX = 16.0  # errors and scales above this look alike


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `livery bench figures`."""
    parser.add_argument(
        "--results", type=Path, default=CHECKOUT_RESULTS / "quality.json", help="of bench quality"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder (default docs)")
    parser.add_argument("--seed", type=int, default=3, help="of the made pair")


def run(args: argparse.Namespace) -> int:
    """Write both pictures. Returns 0."""
    from skimage.data import astronaut, coffee

    args.out.mkdir(parents=True, exist_ok=True)
    draw_calibration(
        json.loads(args.results.read_text(encoding="utf-8"))["results"], args.out / "calibration.png"
    )
    pair = truth_pair(astronaut(), coffee(), np.random.default_rng(args.seed))
    draw_fields(pair, [find(name) for name in ROWS], args.out / "fields.png")
    return 0


def draw_calibration(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw coverage, and sparsification against occlusion, of `ROWS` in `bench quality`'s results."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for row in (r for r in results if r["method"] in ROWS):
        label = LABELS.get(row["method"], row["method"])
        line = left.plot(LEVELS, row["covered"], marker="o", markersize=3, label=label)[0]
        right.plot(row["AUROC"], row["AUSE"], "o", color=line.get_color(), label=label)
        right.plot(row["AUROC cyc"], row["AUSE cyc"], "x", color=line.get_color())
    left.set(xlabel="share of errors that log_b puts below a bound", ylabel="share that is", title="Coverage")
    if left.get_legend_handles_labels()[0]:
        left.legend()
    right.set(
        xlabel="AUROC of occlusion (higher is better)",
        ylabel="AUSE (lower is better)",
        title="Order of doubt: o log_b, x there and back",
    )
    figure.savefig(path, dpi=110)


def draw_fields(pair: TruthPair, methods: Sequence[Method], path: Path) -> None:
    """Draw frame and reference, then for each method the warped reference, its error and its uncertainty."""
    from matplotlib.figure import Figure

    behind, here = detect_landmarks(pair.reference), detect_landmarks(pair.frame)
    figure = Figure(figsize=(2.3 * (len(methods) + 1), 7.2), layout="constrained")
    axes = figure.subplots(3, len(methods) + 1)
    for axis in axes.flat:
        axis.set_axis_off()
    shown: tuple[Image | Float, ...] = (pair.reference, pair.frame, pair.occluded.astype(np.float32))
    for axis, picture, title in zip(axes[:, 0], shown, ("reference", "frame", "covered"), strict=True):
        axis.imshow(picture, cmap="gray")
        axis.set_title(title, fontsize=9)
    for column, method in enumerate(methods, start=1):
        match = method.match(pair.frame, method.prepare(pair.reference, behind), here, None)
        error = np.linalg.norm(match.field - pair.field, axis=2)
        mean = error[pair.visible].mean()
        axes[0, column].imshow(warp_image(pair.reference, match.field))
        axes[0, column].set_title(LABELS.get(method.name, method.name), fontsize=9)
        axes[1, column].imshow(np.where(pair.occluded, 0, error), cmap="inferno", vmin=0, vmax=WORST_PX)
        axes[1, column].set_title(f"error, mean {mean:.1f} px", fontsize=9)
        axes[2, column].imshow(match.log_b, cmap="inferno", vmin=np.log(0.25), vmax=np.log(WORST_PX))
        axes[2, column].set_title("log_b", fontsize=9)
    figure.savefig(path, dpi=80)
