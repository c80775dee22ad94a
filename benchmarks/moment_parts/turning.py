"""`livery bench moments --parts turning`: make-up on heads that turn, beside the same drawn on every frame.

A preset is drawn on a clip's first frame and carried over the others. The truth is the preset drawn anew on
each frame by that frame's own landmarks. Figures of a frame, over the pixels that the truth changes:

- bare: share of them that come out nearer to the live picture than to the truth;
- patches: the part of it that forms patches of at least `PATCH` pixels across;
- spilled: pixels painted where the truth paints nothing, % of those that the truth changes;
- dB: PSNR against the truth where either paints;
- turned: bare and dB of the frames whose head is turned by more than `TURNED` from the reference's;
- jump: how much the change that a row makes differs from that of the frame before, levels, mean where either
  paints; the worst frame shows how visible a change of reference is. The truth's own is given for comparison.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from benchmarks.common import print_table
from benchmarks.matching.fixed_edits import CEILING_DB
from benchmarks.matching.metrics import psnr
from benchmarks.matching.tally import Sums, over_clips
from benchmarks.moment_parts.clips import Strip, sheet, strips
from benchmarks.moment_parts.looks import CHANGED, distance
from benchmarks.moment_parts.rows import Row, landmarks_of
from correspondence import Float, Image, Landmarks
from reference import presets
from reference.face.view import view_change

PRESETS = ("lipstick", "tiger")
FRAMES, STRIDE = 200, 1  # of a clip
UNTOUCHED = 4  # a pixel whose truth differs by fewer levels is one that nothing should be painted on
PATCH = 5  # least width of a patch, pixels
TURNED = 20.0  # degrees
SHOWN = 8  # pictures in a row of a sheet
TRUTH = "drawn anew"
COLUMNS = (
    "bare %", "worst %", "patches %", "spilled %", "dB", "turned bare %", "turned dB", "jump", "worst jump",
)  # fmt: skip
WORST = {"worst %": "bare %", "worst jump": "jump"}  # columns that tell the worst frame of another
Key = tuple[str, str, str]  # row, edit, clip


def measure(args: argparse.Namespace, rows: Sequence[Row]) -> dict[str, Any]:
    """Measure all clips, write the sheets, print the table and return it with each clip's own figures."""
    sums: dict[Key, Sums] = {}
    for clip in strips(args, FRAMES, STRIDE):
        found = landmarks_of(clip.frames, clip.step_s)
        if found[0] is None:
            print(f"{clip.name}: no face in its first frame", flush=True)
            continue
        for preset in PRESETS:
            wear(clip, found, preset, rows, sums, args.out)
        print(f"{clip.name}: turning done", flush=True)
    return report(sums)


def wear(
    clip: Strip, found: Sequence[Landmarks | None], preset: str, rows: Sequence[Row],
    sums: dict[Key, Sums], out: str,
) -> None:  # fmt: skip
    """Score one preset on one clip with all rows, and write its sheet.

    Args:
        clip: the clip.
        found: landmarks of each of its frames; the first one's face is known.
        preset: name of the preset.
        rows: ways to carry it.
        sums: receives the figures.
        out: name of the results.
    """
    truths = [
        frame if face is None else presets.apply(preset, frame, face)
        for frame, face in zip(clip.frames, found, strict=True)
    ]
    made = {TRUTH: truths}
    made |= {row.name: row.wear(clip.frames, truths[0], clip.step_s) for row in rows}
    first = found[0]
    assert first is not None
    for name, images in made.items():
        into = sums.setdefault((name, preset, clip.name), Sums())
        before: Float | None = None
        for image, live, truth, face in zip(images, clip.frames, truths, found, strict=True):
            change = np.subtract(image, live, dtype=np.float32)
            if face is not None and image is not images[0]:
                score(into, image, live, truth, view_change(first, face).turn_deg > TURNED)
            if before is not None:
                painted = (np.abs(change).max(axis=2) >= CHANGED) | (np.abs(before).max(axis=2) >= CHANGED)
                if painted.any():
                    into.add("jump", float(np.abs(change - before).max(axis=2)[painted].mean()))
            before = change
    numbers = telling(list(made.values())[1:], SHOWN)
    lines = [(name, [images[n] for n in numbers]) for name, images in {"live": clip.frames, **made}.items()]
    sheet(out, f"{clip.name}-{preset}", lines)


def score(into: Sums, made: Image, live: Image, truth: Image, turned: bool) -> None:
    """Add the figures of one frame, if the truth changes enough of it."""
    wanted = cv2.absdiff(live, truth).max(axis=2)
    changed = wanted >= CHANGED
    if np.count_nonzero(changed) < 100:
        return
    painted = cv2.absdiff(made, live).max(axis=2) >= CHANGED
    bare = changed & (distance(made, live) < distance(made, truth))
    whole = cv2.morphologyEx(bare.astype(np.uint8), cv2.MORPH_OPEN, np.ones((PATCH, PATCH), np.uint8)) > 0
    near = min(psnr(made, truth, changed | painted), CEILING_DB)
    into.add("bare %", 100 * float(bare[changed].mean()))
    into.add("patches %", 100 * float(whole[changed].mean()))
    into.add("spilled %", 100 * float((painted & (wanted < UNTOUCHED)).sum() / np.count_nonzero(changed)))
    into.add("dB", near)
    if turned:
        into.add("turned bare %", 100 * float(bare[changed].mean()))
        into.add("turned dB", near)


def telling(rows: Sequence[Sequence[Image]], shown: int) -> list[int]:
    """Return numbers of frames for a sheet: of each part of the clip the one in which rows differ most.

    Args:
        rows: frames of each row, at least one row.
        shown: number of pictures in a row of the sheet.
    """
    count = len(rows[0])
    apart = np.zeros(count)
    for other in rows[1:]:
        apart += [float(cv2.absdiff(a, b).mean()) for a, b in zip(rows[0], other, strict=True)]
    parts = np.array_split(np.arange(1, count), min(shown, count - 1))
    return [int(part[np.argmax(apart[part])]) for part in parts]


def report(sums: dict[Key, Sums]) -> dict[str, Any]:
    """Print the means over all frames, and return them with each clip's own."""
    clips = [figures(key, held) for key, held in sums.items()]
    table = [figures(key, held) for key, held in over_clips(sums).items()]
    headers = ["row", "edit", *COLUMNS]
    print_table(headers, [[row[name] for name in headers] for row in table])
    return {"turning": table, "clips": clips}


def figures(key: Key, held: Sums) -> dict[str, Any]:
    """Return a row of the table."""
    row: dict[str, Any] = dict(zip(("row", "edit", "clip"), key, strict=True))
    for name in COLUMNS:
        of = WORST.get(name)
        row[name] = held.mean(name) if of is None else max(held.values.get(of, [float("nan")]))
    return row
