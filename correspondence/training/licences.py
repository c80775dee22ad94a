"""Selection of the rows of a manifest that may be trained on, by their stated licence."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

UNSTATED = ("", "none-stated", "none", "unknown")


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add `--licences` to a training command."""
    parser.add_argument(
        "--licences",
        type=_argument,
        metavar="NAMES",
        help="train on material under these licences only, by commas: apache-2.0,mit,cc-by",
    )


def _argument(text: str) -> frozenset[str]:
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def parse(text: str) -> frozenset[str]:
    """Parse a list of licences separated by commas, and normalise them.

    Raises:
        ValueError: the list is empty, or names the lack of a licence.
    """
    names = frozenset(normalise(name) for name in text.split(",") if name.strip())
    if not names:
        raise ValueError("name at least one licence, as apache-2.0,mit,cc-by")
    if unstated := sorted(names.intersection(UNSTATED)):
        raise ValueError(f"{unstated[0]!r} is no licence: material that states none permits nothing")
    return names


def normalise(name: str) -> str:
    """Normalise the name of a licence to small letters and dashes: "CC BY 4.0" becomes cc-by-4.0."""
    return re.sub(r"[\s_]+", "-", name.strip().lower())


def permits(wanted: frozenset[str], licence: str) -> bool:
    """Whether a row's licence is one of the wanted ones.

    Args:
        wanted: result of `parse`. A name without a version means each version of that licence: cc-by permits
            CC BY 4.0, but not CC BY-NC 4.0.
        licence: the licence as the manifest states it.
    """
    stated = normalise(licence)
    if stated in UNSTATED:
        return False
    return stated in wanted or re.sub(r"-v?\d+(\.\d+)*$", "", stated) in wanted


def check_found(wanted: frozenset[str], stated: Iterable[str], kept: int) -> None:
    """Check that a list of licences permits at least one row.

    Args:
        wanted: result of `parse`.
        stated: the licences of all rows.
        kept: number of permitted rows.

    Raises:
        ValueError: no row is permitted. The message lists the stated licences.
    """
    if not kept:
        there = ", ".join(sorted({licence or "none stated" for licence in stated}))
        raise ValueError(f"nothing is under {', '.join(sorted(wanted))}; the material states: {there}")


def check_start(path: Path, allowed: Iterable[str] | None, stated: Sequence[str] | None) -> None:
    """Check that training may begin with some weights.

    Args:
        path: file of the weights, for the message.
        allowed: result of `parse`. None allows all.
        stated: licences of the material that the weights were trained on. None: it was not limited.

    Raises:
        ValueError: the weights were trained on material that is not allowed.
    """
    if allowed is not None and not set(allowed).issuperset(stated or ("any licence",)):
        raise ValueError(
            f"--licences {','.join(sorted(allowed))}: {path} was trained on material under "
            f"{', '.join(stated or ('any licence',))}; begin without it"
        )
