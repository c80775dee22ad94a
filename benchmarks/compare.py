"""`livery bench compare`: two results of one benchmark, figure by figure, with ratios.

It reads the JSON that the benchmarks write. Rows are matched by their names, figures by theirs. A ratio is
the second file's figure over the first one's.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.common import print_table
from benchmarks.reports.limits import Limit, limit_of, tell

SHOWN = ("commit", "date", "processor", "cores", "python")
LEFT_OUT = {"told", "runs"}  # the server's own statistics; single runs, of which the best are compared


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `livery bench compare`."""
    parser.add_argument("before", type=Path, metavar="A.json", help="results, the first ones")
    parser.add_argument("after", type=Path, metavar="B.json", help="results, the second ones")
    parser.add_argument(
        "--above", type=float, default=0.0, metavar="PERCENT", help="show only what differs by more than this"
    )
    parser.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="[ROW:]FIGURE>RATIO",
        help="exit with 1 where this holds of a ratio, as in 'p95>1.1'; may be given again",
    )


def run(args: argparse.Namespace) -> int:
    """Print what differs. Returns 1 if a limit of --fail-if was broken, else 0.

    Raises:
        ValueError: a file holds no results, the files are of different benchmarks, or share no figure.
    """
    before, after = read(args.before), read(args.after)
    kinds = [held.get("schema") for held in (before, after)]
    if None not in kinds and kinds[0] != kinds[1]:
        raise ValueError(
            f"{args.before} holds {kinds[0]}, {args.after} holds {kinds[1]}: compare two of a kind"
        )
    old, new = (dict(figures(held["results"])) for held in (before, after))
    shared = [place for place in old if place in new]
    if not shared:
        raise ValueError(f"{args.before} and {args.after} share no figure: are they of one benchmark?")
    limits = [_limit(text, sorted({figure for _, figure in shared})) for text in args.fail_if]
    for name in SHOWN:
        values = [str(held["metadata"].get(name, "unknown")) for held in (before, after)]
        print(f"{name}: {values[0]}" if values[0] == values[1] else f"{name}: {values[0]} -> {values[1]}")
    ratios = {place: ratio(old[place], new[place]) for place in shared}
    far = [place for place in shared if differs(ratios[place], args.above / 100)]
    print_table(
        ["row", "figure", "A", "B", "B / A"],
        [
            [row or "-", figure, old[row, figure], new[row, figure], ratios[row, figure]]
            for row, figure in far
        ],
    )
    for only, where in ((set(old) - set(new), args.before), (set(new) - set(old), args.after)):
        if only:
            print(f"only in {where}: {', '.join(sorted({' '.join(place).strip() for place in only}))}")
    return tell([sentence for limit in limits for sentence in _broken(limit, ratios)])


def read(path: Path) -> dict[str, Any]:
    """Read a file of results.

    Raises:
        ValueError: it is missing, no JSON, or was not written by a benchmark.
    """
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ValueError(f"{path}: cannot be read as JSON: {exc}") from exc
    if not isinstance(held, dict) or not isinstance(held.get("metadata"), dict) or "results" not in held:
        raise ValueError(f'{path}: holds no "metadata" and "results", as a benchmark writes them')
    return held


def figures(results: Any, row: str = "", figure: str = "") -> Iterator[tuple[tuple[str, str], float]]:
    """Yield ((row, figure), value) of each number in results.

    The texts of an object name its row, the keys on the way to a number its figure.
    """
    if isinstance(results, dict):
        named = " ".join([row, *(value for value in results.values() if isinstance(value, str))]).strip()
        for key, value in results.items():
            if key not in LEFT_OUT:
                yield from figures(value, named, f"{figure} {key}".strip())
    elif isinstance(results, list):
        for index, value in enumerate(results):
            plain = not isinstance(value, dict | list)
            yield from figures(value, row, f"{figure} {index}".strip() if plain else figure)
    elif isinstance(results, int | float) and not isinstance(results, bool):
        yield (row, figure), float(results)


def ratio(before: float, after: float) -> float:
    """The second over the first; 1 if both are 0, infinite if only the first is."""
    if before == 0:
        return 1.0 if after == 0 else math.inf
    return after / before


def differs(value: float, above: float) -> bool:
    """Whether a ratio lies further from 1 than `above`, in either direction."""
    return not 1 / (1 + above) <= value <= 1 + above if above > 0 else True


def _limit(text: str, known: list[str]) -> Limit:
    """Read a limit. A figure may be named by its last words, as "p95" for "best latency_ms_p95"."""
    endings = {
        name[at:].strip(" _"): None
        for name in known
        for at in range(len(name))
        if at == 0 or name[at] in " _"
    }
    try:
        return limit_of(list(endings))(text)
    except argparse.ArgumentTypeError as exc:
        raise ValueError(str(exc)) from None


def _broken(limit: Limit, ratios: dict[tuple[str, str], float]) -> list[str]:
    rows: dict[str, dict[str, float]] = {}
    for (row, figure), value in ratios.items():
        if f" {figure.replace('_', ' ')}".endswith(f" {limit.figure.replace('_', ' ')}"):
            rows.setdefault(f"{row} {figure}".strip(), {})[limit.figure] = value
    return limit.broken_by(rows)
