"""`livery bench moments`: what gives a worn edit away: covers, looks, glasses, stillness, turns.

Each part prints its tables, writes benchmarks/results/OUT-PART.json, and contact sheets to OUT-PART-sheets/.
The module of a part says what its figures mean (`benchmarks.moment_parts`). Faces are on the sheets: they are
not tracked.
"""

from __future__ import annotations

import argparse

from benchmarks.common import commit, metadata, write_results
from benchmarks.moment_parts import clips, cover, glasses, looks, rows, stillness, turning

PARTS = {
    "cover": cover.measure,
    "looks": looks.measure,
    "glasses": glasses.measure,
    "stillness": stillness.measure,
    "turning": turning.measure,
}


def parts_of(text: str) -> list[str]:
    """Parse a list of parts, separated by commas.

    Raises:
        argparse.ArgumentTypeError: there is no such part.
    """
    chosen = text.split(",")
    for name in chosen:
        if name not in PARTS:
            raise argparse.ArgumentTypeError(f"there is no part {name!r}; there are {', '.join(PARTS)}")
    return chosen


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `livery bench moments`."""
    parser.add_argument(
        "--parts", type=parts_of, default=list(PARTS), help=f"separated by commas (default {','.join(PARTS)})"
    )
    parser.add_argument("--out", default="moments", help="name of the results (moments)")
    clips.configure(parser)
    rows.configure(parser)
    cover.configure(parser)


def run(args: argparse.Namespace) -> int:
    """Measure the chosen parts one after the other. Returns 0."""
    ways, name = rows.rows_of(args), args.out
    about = metadata({key: value for key, value in vars(args).items() if key != "beside"})
    about["beside"] = commit(args.beside[1]) if args.beside else None  # no path
    for part in args.parts:
        args.out = f"{name}-{part}"
        write_results(args.out, PARTS[part](args, ways), about)
    return 0
