"""`livery bench fill --part looks`: looks learned from one edited picture, beside their colours.

A filter makes the look of a clip's first frame (`moment_parts.filters`). A network learns it from this pair
within a budget of processor time (`inpaint.looks`). Both paint later frames, and the same filter made on each
frame is the truth. Only pixels are judged that the look changes and that the first frame does not show: there
optical flow does not return to within a pixel. The network never sees a later frame.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.common import print_table
from benchmarks.fills.measures import cycle_error
from benchmarks.matching.tally import Sums
from benchmarks.moment_parts import clips
from benchmarks.moment_parts.filters import LOOKS
from benchmarks.moment_parts.looks import TrueLook, score
from correspondence import Image
from inpaint.looks.training import LookPair, learn_look
from reference.edits.colour_model import fit_colour_model

SIDE = 512  # of the clips, pixels
STRIDE = 12  # every n-th frame of a clip
MOST = 6  # frames of a clip that are judged: those that show most of what the first one does not
SHOWN = 4  # pictures in a row of a sheet
COLUMNS = ("dB", "ahead dB", "detail", "least ahead dB", "steps", "ms")
MEASURED = ("unknown dB", "ahead", "unknown detail", "ahead", "steps", "ms")  # what each column shows
Key = tuple[str, str, str]  # look, row, clip


def compare(
    names: Sequence[str] | None, chosen: Sequence[str], budgets: Sequence[float], out: str
) -> dict[str, Any]:
    """Measure looks on val clips of 512 pixels, write sheets to OUT-sheets/, print the table and return it.

    Args:
        names: stems of the clips; None for all.
        chosen: names of the looks.
        budgets: processor time of each training, seconds.
        out: name of the results.

    Raises:
        ValueError: there is no such clip.
    """
    import torch

    torch.set_num_threads(1)  # a budget is of one core
    sums: dict[Key, Sums] = {}
    asked = argparse.Namespace(clips=names, frames=None, stride=None, size=SIDE)
    for clip in clips.strips(asked, None, STRIDE):
        first = clip.frames[0]
        unknown = [cycle_error(frame, first) > 1 for frame in clip.frames]
        order = np.argsort([-each.mean() for each in unknown[1:]], kind="stable")[:MOST] + 1
        for look in chosen:
            wanted = [TrueLook(clip.frames[n], LOOKS[look](clip.frames[n]), unknown[n]) for n in order]
            measure(clip.name, look, first, wanted, budgets, sums, out)
    return report(sums)


def measure(
    clip: str, look: str, first: Image, wanted: Sequence[TrueLook], budgets: Sequence[float],
    sums: dict[Key, Sums], out: str,
) -> None:  # fmt: skip
    """Score the colour model and the network at each budget on one look of one clip; write the sheet."""
    edited = LOOKS[look](first)
    colours = fit_colour_model(first, edited)
    made = [colours.apply(each.live) for each in wanted]
    alone = sums.setdefault((look, "colours", clip), Sums())
    rows = [("live", [each.live for each in wanted]), (f"{look}, truth", [each.truth for each in wanted])]
    rows.append(("colours", made))
    for image, each in zip(made, wanted, strict=True):
        score(alone, image, each)
    for seconds in budgets:
        into = sums.setdefault((look, f"{seconds:g} s", clip), Sums())
        learned = learn_look(LookPair(first, edited), colours, seconds=seconds)
        begun = time.process_time()
        made = [learned.paint(each.live) for each in wanted]
        into.add("ms", 1e3 * (time.process_time() - begun) / len(made))
        into.add("steps", learned.steps)
        for image, each in zip(made, wanted, strict=True):
            score(into, image, each)
        ahead = into.mean("unknown dB") - alone.mean("unknown dB")
        into.add("ahead", ahead)
        rows.append((f"{seconds:g} s", made))
        print(
            f"{clip}, {look}, {seconds:g} s: {ahead:+.2f} dB, "
            f"detail {alone.mean('unknown detail'):.2f} -> {into.mean('unknown detail'):.2f}",
            flush=True,
        )
    clips.sheet(out, f"{clip}-{look.replace(' ', '-')}", [(name, row[:SHOWN]) for name, row in rows])


def report(sums: dict[Key, Sums]) -> dict[str, Any]:
    """Print the means over clips, and return them with each clip's own."""
    each = [figures(look, row, clip, [held]) for (look, row, clip), held in sums.items()]
    groups: dict[tuple[str, str], list[Sums]] = {}
    for (look, row, _), held in sums.items():
        groups.setdefault((look, row), []).append(held)
    table = [figures(look, row, "all", held) for (look, row), held in groups.items()]
    headers = ["look", "row", *COLUMNS]
    print_table(headers, [[row[name] for name in headers] for row in table])
    return {"looks": table, "clips": each}


def figures(look: str, row: str, clip: str, held: Sequence[Sums]) -> dict[str, Any]:
    """Return the row of a table: means over clips of their means over frames."""

    def over(name: str) -> list[float]:
        return [m for sums in held if np.isfinite(m := sums.mean(name))]

    values = {}
    for column, name in zip(COLUMNS, MEASURED, strict=True):
        found = over(name)
        most = min if column.startswith("least") else np.mean
        values[column] = float(most(found)) if found else float("nan")
    return {"look": look, "row": row, "clip": clip, **values}
