"""`livery bench edits`: how close a carried edit comes to the same edit made on each live frame.

The reference is frame 0 of a clip. Fixed edits are made on it and carried onto later frames. Each edit can
also be made on the live frame itself, which gives the truth. Lipstick and mark are drawn there by the frame's
own landmarks, which favours methods that follow landmarks. Fidelity is PSNR in dB where the truth differs
from the frame (and 5 px around). `whole` is the same over all pixels. A tone curve is recognised as such and
applied to the live pixel, so delta equals its truth whatever the field is. `clarity` is the edit of the whole
picture that has to be carried.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.common import metadata, portraits_dir, print_table, read_clip, write_results
from benchmarks.matching.fixed_edits import CEILING_DB, EDITS, edited_region
from benchmarks.matching.methods import Method, baselines
from benchmarks.matching.metrics import psnr
from correspondence import Image, Match, detect_landmarks
from reference import CompositeConfig, Compositor, Edit, Mode

MATCHERS = ("classical", "thorough", "DIS medium", "landmark-only")


@dataclass(frozen=True, slots=True)
class Way:
    """A way to compose that has rows of its own."""

    name: str
    mode: Mode
    config: CompositeConfig


WAYS = (
    Way("delta", "delta", CompositeConfig()),
    Way("replace", "replace", CompositeConfig()),
    Way("auto", "auto", CompositeConfig()),
    Way("delta, light off", "delta", CompositeConfig(follow_light=False)),
)
Scores = dict[tuple[str, str, str, str], list[float]]  # matcher, way, edit, "region" | "whole"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the benchmark's options."""
    parser.add_argument("--stride", type=int, default=10, help="every n-th frame (default 10)")
    parser.add_argument("--frames", type=int, default=120, help="frames of each clip at most (default 120)")
    parser.add_argument("--clips", nargs="*", help="stems of val clips; all when left out")
    parser.add_argument("--size", type=int, default=512, help="side the clips are scaled to, pixels (512)")


def run(args: argparse.Namespace) -> int:
    """Score all edits, ways and matchers. Prints one table and writes benchmarks/results/edits.json."""
    scores: Scores = {}
    clips = sorted((portraits_dir() / "val").glob("*.mp4"))
    clips = [clip for clip in clips if not args.clips or clip.stem in args.clips]
    methods = [method for method in baselines() if method.name in MATCHERS]
    for clip in clips:
        frames = read_clip(clip, args.frames, args.size)
        count = score_clip(frames[0], frames[args.stride :: args.stride], methods, scores)
        print(f"{clip.stem}: {count} frames scored", flush=True)
    rows = table(scores, methods)
    print_table(["matcher", "composition", *(f"{e} {p}" for e in EDITS for p in ("region", "whole"))], rows)
    results = [
        {
            "matcher": m,
            "composition": w,
            "edit": e,
            "part": part,
            "psnr_db": float(np.mean(v)),
            "frames": len(v),
        }
        for (m, w, e, part), v in scores.items()
    ]
    write_results("edits", results, metadata(vars(args)))
    losses = [
        e for e in EDITS if mean(scores, "classical", "delta", e) <= mean(scores, "classical", "replace", e)
    ]
    print(
        "delta beats replace on every edit" if not losses else f"replace beats delta on: {', '.join(losses)}"
    )
    return 0


def score_clip(reference: Image, frames: list[Image], methods: Sequence[Method], scores: Scores) -> int:
    """Add the scores of one clip's frames with a face to `scores`. Returns the number of these frames."""
    landmarks = detect_landmarks(reference)
    if landmarks is None:
        return 0
    composers = {
        (way.name, name): Compositor(
            Edit(reference, make(reference, landmarks), mode=way.mode), landmarks, way.config
        )
        for way in WAYS
        for name, make in EDITS.items()
    }
    states = {method.name: method.prepare(reference, landmarks) for method in methods}
    previous: dict[str, Match | None] = dict.fromkeys(states)
    count = 0
    for frame in frames:
        seen = detect_landmarks(frame)
        if seen is None:
            continue
        count += 1
        truths = {name: make(frame, seen) for name, make in EDITS.items()}
        regions = {name: edited_region(frame, truth) for name, truth in truths.items()}
        for method in methods:
            match = method.match(frame, states[method.name], seen, previous[method.name])
            previous[method.name] = match
            for (way, name), composer in composers.items():
                image = composer.compose(frame, match).image
                part = psnr(image, truths[name], regions[name])
                scores.setdefault((method.name, way, name, "region"), []).append(min(part, CEILING_DB))
                whole = psnr(image, truths[name])
                scores.setdefault((method.name, way, name, "whole"), []).append(min(whole, CEILING_DB))
    return count


def mean(scores: Scores, matcher: str, way: str, edit: str, part: str = "region") -> float:
    """Mean PSNR, dB. NaN if nothing was scored."""
    values = scores.get((matcher, way, edit, part), [])
    return float(np.mean(values)) if values else float("nan")


def table(scores: Scores, methods: Sequence[Method]) -> list[list[Any]]:
    """Rows of matcher, way and mean PSNR of each edit, region and whole."""
    return [
        [method.name, way.name]
        + [mean(scores, method.name, way.name, edit, part) for edit in EDITS for part in ("region", "whole")]
        for method in methods
        for way in WAYS
    ]
