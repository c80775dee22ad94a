"""`livery bench moments --parts cover`: hands and objects that cross the face of a worn edit.

Hands, objects and glasses that were held out of training cross the faces of the val clips. Three presets are
worn from the first frame. The same frames are edited without and with the cover network, in one run. The
truth is the same edit on the frame without the cover. Leak is the share of edited pixels under the cover that
come out painted. Lost is the share of edited pixels beside the cover near which no edit is left. AUROC, leak
and lost of the network alone are measured on its own crops, separately for pasted and for real covers. False
is the share of the face that counts as covered in frames without a cover.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.common import portraits_dir, print_table, read_clip
from benchmarks.matching.tally import Sums
from benchmarks.moment_parts.clips import sheet, strips
from benchmarks.moment_parts.crossings import Crossing, Scene, occluders_dir
from benchmarks.moment_parts.network import Pixels, alone, cost_ms, real, uncovered
from benchmarks.moment_parts.rows import Row
from correspondence import Landmarks, LandmarkTracker, Matcher
from correspondence.cover.runtime import CoverFinder
from correspondence.training.cover.measures import auroc
from correspondence.training.cover.occluders import Cover, held_clips, read_covers
from correspondence.training.cover.signing import hands_of
from correspondence.types import Image
from reference import Edit, Propagator, PropagatorConfig, presets
from reference.keyframes.keeper_config import KeeperConfig

PRESETS = ("lipstick", "tiger", "freckles")
KINDS = ("hand", "object", "glasses")
PAINTED = 8  # a pixel that differs by as many levels counts as painted
EDITED = 16  # a pixel whose truth differs by as many levels counts as edited
NEAR = 5  # side of the square around a pixel in which its edit may lie, pixels
FRAMES, STRIDE = 24, 2  # of a crossing
SHOWN = 5  # frames of a crossing that a sheet shows


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this part."""
    parser.add_argument(
        "--weights", type=Path, metavar="DIR", help="a cover's model folder; shipped when left out"
    )
    parser.add_argument(
        "--hands", type=Path, metavar="FILE", help="MediaPipe's hand_landmarker.task: judge real clips too"
    )


def measure(args: argparse.Namespace, rows: Sequence[Row]) -> dict[str, Any]:
    """Measure, print the tables, write the sheets and return all values. The rows are its own."""
    finder = CoverFinder.load(args.weights)
    matchers = {
        "cover off": Matcher.load(args.matcher, cover=False),
        "cover on": replace_cover(Matcher.load(args.matcher, cover=False), finder),
    }
    covers = [c for c in read_covers(occluders_dir()) if c.held]
    sums: dict[tuple[str, str, str], Sums] = {}  # behaviour, kind of cover, preset
    bare: dict[str, Sums] = {}
    pixels: Pixels = {}
    paths = sorted((portraits_dir() / "val").glob("*.mp4"))
    for number, clip in enumerate(strips(args, FRAMES, STRIDE)):
        whole = read_clip(portraits_dir() / "val" / f"{clip.name}.mp4", None, args.size)
        uncovered(clip.name, whole[::12], finder, bare)
        for kind in KINDS:
            scene = crossing(clip.name, clip.frames, [c for c in covers if c.kind == kind], kind, number)
            if scene is None:
                continue
            alone(scene, finder, pixels)
            show(scene, wear(scene, matchers, not args.one_reference, sums), args.out)
        print(f"{clip.name}: covers done", flush=True)
    real(finder, pixels, None if args.hands is None else hands_of(args.hands))
    for held in held_clips(occluders_dir()):
        signing(held, matchers, args)
    return report(sums, bare, pixels, cost_ms(finder, paths, args.size))


def replace_cover(matcher: Matcher, finder: CoverFinder | None) -> Matcher:
    """Return the same matcher with another finder of covers."""
    return Matcher(matcher.backend, finder)


def crossing(name: str, frames: list[Image], covers: Sequence[Cover], kind: str, number: int) -> Scene | None:
    """Draw a cover's path over a clip. None if the first frame shows no face."""
    rng = np.random.default_rng((number, KINDS.index(kind)))
    tracker = LandmarkTracker()
    found = [tracker(frame, i / 25) for i, frame in enumerate(frames)]
    first = found[0]
    if first is None or not covers:
        return None
    way = Crossing.of(covers[int(rng.integers(len(covers)))], frames[0], first, rng)
    covered, alpha, last = [frames[0]], [np.zeros(frames[0].shape[:2], np.float32)], first
    for i, frame in enumerate(frames[1:], 1):
        last = found[i] or last
        picture, share = way.over(frame, last, i / (len(frames) - 1), 1 / (len(frames) - 1))
        covered.append(picture)
        alpha.append(share)
    tracker = LandmarkTracker()
    seen = [tracker(frame, i / 25) for i, frame in enumerate(covered)]
    return Scene(name, kind, frames, covered, alpha, seen)


class KnownLandmarks:
    """Returns known landmarks one by one, as a tracker would."""

    def __init__(self, known: Sequence[Landmarks | None]) -> None:
        self._known = iter(known)

    def __call__(self, image: Image, now_s: float) -> Landmarks | None:
        """Return the landmarks of the next frame."""
        return next(self._known)


def worn(
    frames: Sequence[Image], seen: Sequence[Landmarks | None], edit: Edit, matcher: Matcher, keyframes: bool
) -> Iterator[tuple[Image, int]]:
    """Return each frame with the edit, and the number of references at that time."""
    references = KeeperConfig(background=False, max_match_s=10.0) if keyframes else None
    config = PropagatorConfig(references=references)
    propagator = Propagator(edit, matcher, KnownLandmarks(seen), config)
    for i, frame in enumerate(frames):
        image = propagator.step(frame, i / 25).image
        yield image, len(propagator.keyframes())
    propagator.close()


def wear(
    scene: Scene, matchers: dict[str, Matcher], keyframes: bool, sums: dict[tuple[str, str, str], Sums]
) -> list[list[Image]]:
    """Score the presets on a scene.

    Returns rows of pictures for its sheet: covered frames, then each behaviour's.
    """
    first = scene.seen[0]
    assert first is not None
    tracker = LandmarkTracker()
    free = [tracker(frame, i / 25) for i, frame in enumerate(scene.clean)]
    rows = [scene.covered]
    for preset in PRESETS:
        edit = Edit(scene.clean[0], presets.apply(preset, scene.clean[0], first))
        plain = matchers["cover off"]
        truth = [image for image, _ in worn(scene.clean, free, edit, plain, False)]
        for name, matcher in matchers.items():
            made, count = list[Image](), 0
            for image, held in worn(scene.covered, scene.seen, edit, matcher, keyframes):
                made.append(image)
                count = held
            into = sums.setdefault((name, scene.kind, preset), Sums())
            into.add("references", count)
            for i in range(1, len(made)):
                score(into, scene, i, truth[i], made[i])
            if preset == "tiger":
                rows.append(made)
    return rows


def signing(clip: Path, matchers: dict[str, Matcher], args: argparse.Namespace) -> None:
    """Make a sheet of a held-out clip of a person signing.

    It is not scored, because no uncovered frame is known.
    """
    frames = read_clip(clip, None, args.size)[::3]
    tracker = LandmarkTracker()
    seen = [tracker(frame, i * 0.12) for i, frame in enumerate(frames)]
    first = seen[0]
    if first is None:
        return
    edit = Edit(frames[0], presets.apply("tiger", frames[0], first))
    alpha = [np.zeros(frames[0].shape[:2], np.float32)] * len(frames)
    scene = Scene(clip.stem, "real", frames, frames, alpha, seen)
    rows = [
        [image for image, _ in worn(frames, seen, edit, m, not args.one_reference)] for m in matchers.values()
    ]
    show(scene, [frames, *rows], args.out, 2 * SHOWN)


def score(into: Sums, scene: Scene, i: int, truth: Image, made: Image) -> None:
    """Measure leak and lost of one frame, if there are pixels to measure."""
    edited = cv2.absdiff(truth, scene.clean[i]).max(axis=2) > EDITED
    painted = cv2.absdiff(made, scene.covered[i]).max(axis=2)
    under, beside = edited & (scene.alpha[i] > 0.9), edited & (scene.alpha[i] < 0.1)
    if np.count_nonzero(under) > 50:
        into.add("leak", float((painted[under] > PAINTED).mean()))
    if np.count_nonzero(beside) > 50 and float(scene.alpha[i].max()) > 0.5:
        near = cv2.dilate(painted, np.ones((NEAR, NEAR), np.uint8))
        into.add("lost", float((near[beside] <= PAINTED).mean()))


def report(
    sums: dict[tuple[str, str, str], Sums],
    bare: dict[str, Sums],
    pixels: Pixels,
    cost: float,
) -> dict[str, Any]:
    """Print the tables and return all values for the results."""
    edits: list[list[str | float]] = [
        [*key, 100 * held.mean("leak"), 100 * held.mean("lost"), held.mean("references")]
        for key, held in sums.items()
    ]
    network: list[list[str | float]] = []
    for kind, parts in pixels.items():
        said, truth = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        shares = 100 * float((said[truth] < 0.5).mean()), 100 * float((said[~truth] >= 0.5).mean())
        network.append([kind, auroc(said[truth], said[~truth]), *shares])
    false: list[list[str | float]] = [
        [name, 100 * held.mean("as it is"), 100 * held.mean("darkened")] for name, held in bare.items()
    ]
    out: dict[str, Any] = {"look_ms": cost}
    for name, headers, rows in (
        ("edits", ["behaviour", "cover", "edit", "leak %", "lost %", "references"], edits),
        ("network", ["network alone", "AUROC", "leak %", "lost %"], network),
        ("uncovered", ["uncovered", "false %", "darkened, false %"], false),
    ):
        print_table(headers, rows)
        out[name] = [dict(zip(headers, row, strict=True)) for row in rows]
    print(f"one look: {cost:.2f} ms of one core")
    return out


def show(scene: Scene, rows: list[list[Image]], out: str, shown: int = SHOWN) -> None:
    """Draw frames of a crossing in rows: covered, without and with the cover network."""
    numbers = np.linspace(2, len(scene.covered) - 3, shown).round().astype(int)
    titles = ("covered", "cover off", "cover on")
    lines = [(title, [row[n] for n in numbers]) for title, row in zip(titles, rows, strict=True)]
    sheet(out, f"{scene.name}-{scene.kind}", lines)
