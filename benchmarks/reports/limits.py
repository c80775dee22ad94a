"""Limits on figures, as in `--fail-if 'p95>80'`, so that a script learns from the exit code."""

from __future__ import annotations

import argparse
import math
import operator
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

SIGNS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
FORM = re.compile(
    r"(?:(?P<row>[^:]+):)?\s*(?P<figure>[^<>=:]+?)\s*(?P<sign>>=|<=|>|<)\s*(?P<value>[-+.\deE]+)"
)
Rows = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Limit:
    """A condition under which a run has failed.

    Attributes:
        text: the condition as it was written.
        row: text that the names of its rows hold. Empty for all rows.
        figure: name of a column.
        sign: one of `SIGNS`.
        value: what the figure is compared with, in the column's unit.
    """

    text: str
    row: str
    figure: str
    sign: str
    value: float

    def broken_by(self, rows: Rows) -> list[str]:
        """Return a sentence for each row in which the condition holds.

        A figure that was not measured (NaN) counts as failed. So does a limit that no row has.

        Args:
            rows: name of each row, and its figures by name.
        """
        wanted = {name: row for name, row in rows.items() if self.row in name}
        if not wanted:
            return [f"--fail-if {self.text!r}: there is no row {self.row!r}, only {', '.join(rows)}"]
        said = []
        for name, row in wanted.items():
            figure = row.get(self.figure, math.nan)
            if math.isnan(figure):
                said.append(f"{name}: {self.figure} was not measured, --fail-if {self.text!r}")
            elif SIGNS[self.sign](figure, self.value):
                said.append(f"{name}: {self.figure} is {figure:.4g}, --fail-if {self.text!r}")
        return said


def limit_of(figures: Sequence[str]) -> Callable[[str], Limit]:
    """Return the argparse type of a limit on one of some figures."""

    def parse(text: str) -> Limit:
        found = FORM.fullmatch(text.strip())
        if found is None:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no limit: write FIGURE>NUMBER or ROW:FIGURE<NUMBER, as in {figures[0]}>80"
            )
        if found["figure"] not in figures:
            raise argparse.ArgumentTypeError(
                f"{text!r}: there is no figure {found['figure']!r}; there are {', '.join(figures)}"
            )
        try:
            value = float(found["value"])
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r}: {found['value']!r} is no number") from None
        return Limit(text, (found["row"] or "").strip(), found["figure"], found["sign"], value)

    return parse


def configure(parser: argparse.ArgumentParser, figures: Sequence[str]) -> None:
    """Add `--fail-if` for limits on `figures`."""
    parser.add_argument(
        "--fail-if",
        action="append",
        type=limit_of(figures),
        default=[],
        metavar="[ROW:]FIGURE>NUMBER",
        help="exit with 1 where this holds; may be given again. Signs: > >= < <=; figures: "
        + ", ".join(figures),
    )


def verdict(limits: Sequence[Limit], rows: Rows) -> int:
    """Print what some rows break, see `tell`."""
    return tell([sentence for limit in limits for sentence in limit.broken_by(rows)])


def tell(broken: Sequence[str]) -> int:
    """Print to standard error what was broken. Returns the exit code: 0, or 1 if a limit was broken."""
    for sentence in broken:
        print(f"failed: {sentence}", file=sys.stderr)
    return int(bool(broken))
