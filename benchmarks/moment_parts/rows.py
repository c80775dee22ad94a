"""The rows of `livery bench moments`: ways to carry an edit from a clip's first frame over the others."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2

from benchmarks.common import commit
from benchmarks.matching.methods import Dis, LandmarkOnly, Method
from benchmarks.moment_parts import checkout
from correspondence import Float, Image, Landmarks, LandmarkTracker, Match
from reference import Compositor, Edit, Mode


class Row(Protocol):
    """A way to carry an edit.

    Attributes:
        name: name in the tables.
    """

    name: str

    def wear(
        self, frames: Sequence[Image], edited: Image, step_s: float, mode: Mode = "auto",
        known: Sequence[Float] | None = None,
    ) -> list[Image]:  # fmt: skip
        """Return the frames with the edit.

        Args:
            frames: uint8 (H, W, 3) each; the first is the reference.
            edited: the edited reference, uint8 (H, W, 3).
            step_s: time between two frames, seconds.
            mode: how the edit is composed, see `Edit`.
            known: landmarks of each frame, float32 (478, 3); None to find them.
        """
        ...


@dataclass
class Livery:
    """The code of this checkout, as a session runs it.

    Attributes:
        name: see `Row`.
        matcher: see `Matcher.load`.
        keyframes: whether new references are made.
    """

    name: str
    matcher: str
    keyframes: bool = True

    def wear(
        self, frames: Sequence[Image], edited: Image, step_s: float, mode: Mode = "auto",
        known: Sequence[Float] | None = None,
    ) -> list[Image]:  # fmt: skip
        """See `Row`."""
        return checkout.wear(frames, edited, self.matcher, mode, step_s, self.keyframes, known)


@dataclass
class Elsewhere:
    """The code of another checkout.

    Attributes:
        name: see `Row`.
        python: interpreter with its packages.
        root: its folder.
        matcher: see `Matcher.load`.
    """

    name: str
    python: str
    root: Path
    matcher: str

    def wear(
        self, frames: Sequence[Image], edited: Image, step_s: float, mode: Mode = "auto",
        known: Sequence[Float] | None = None,
    ) -> list[Image]:  # fmt: skip
        """See `Row`."""
        return checkout.wear_elsewhere(
            self.python, self.root, frames, edited, self.matcher, mode, step_s, known
        )


@dataclass
class Field:
    """A field alone: each frame is matched with the reference and composed.

    Attributes:
        name: see `Row`.
        method: finds the field.
        mode: how edits are composed; None as they ask for.
    """

    name: str
    method: Method
    mode: Mode | None = None

    def wear(
        self, frames: Sequence[Image], edited: Image, step_s: float, mode: Mode = "auto",
        known: Sequence[Float] | None = None,
    ) -> list[Image]:  # fmt: skip
        """See `Row`."""
        found = (
            landmarks_of(frames, step_s)
            if known is None
            else [Landmarks(points, (frames[0].shape[0], frames[0].shape[1])) for points in known]
        )
        composer = Compositor(Edit(frames[0], edited, mode=self.mode or mode), found[0])
        state, previous, made = self.method.prepare(frames[0], found[0]), None, list[Image]()
        for frame, seen in zip(frames, found, strict=True):
            match: Match = self.method.match(frame, state, seen, previous)
            made.append(composer.compose(frame, match).image)
            previous = match
        return made


def landmarks_of(frames: Sequence[Image], step_s: float) -> list[Landmarks | None]:
    """Find the landmarks of each frame as a session does; None where there is no face."""
    tracker = LandmarkTracker()
    found = [tracker(frame, i * step_s) for i, frame in enumerate(frames)]
    tracker.close()
    return found


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose rows."""
    parser.add_argument("--matcher", default="auto", help="Livery's matcher, see Matcher.load (auto)")
    parser.add_argument("--one-reference", action="store_true", help="a further row without new references")
    parser.add_argument(
        "--beside", nargs=2, metavar=("PYTHON", "FOLDER"), default=[],
        help="a further row: another checkout, and the interpreter with its packages",
    )  # fmt: skip


def rows_of(args: argparse.Namespace) -> list[Row]:
    """Return the rows that the options ask for.

    Raises:
        FileNotFoundError: the other checkout is no folder.
    """
    rows: list[Row] = [Livery("livery (default)", args.matcher)]
    if args.one_reference:
        rows.append(Livery("livery, one reference", args.matcher, keyframes=False))
    if args.beside:
        python, root = args.beside[0], Path(args.beside[1]).resolve()
        if not (root / "correspondence").is_dir():
            raise FileNotFoundError(f"--beside {root}: no folder with a checkout of Livery")
        rows.append(Elsewhere(f"livery {commit(root)}", python, root, args.matcher))
    dis = Dis("DIS medium", cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return [*rows, Field("landmark-only", LandmarkOnly()), Field("DIS + replace", dis, "replace")]
