"""The clips that the parts of `livery bench moments` read, and the contact sheets that they write."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from benchmarks.common import portraits_dir, read_clip, results_dir
from correspondence import Image

FPS = 25.0  # of the clips


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """Frames of a clip.

    Attributes:
        name: stem of the clip's file.
        frames: uint8 (H, W, 3) each.
        step_s: time between two frames, seconds.
    """

    name: str
    frames: list[Image]
    step_s: float


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose clips."""
    parser.add_argument("--clips", nargs="*", help="stems of val clips; all when left out")
    parser.add_argument(
        "--frames", type=int, help="frames of a clip (cover 24, turning 200, others the whole clip)"
    )
    parser.add_argument(
        "--stride", type=int, help="every n-th frame (cover 2, looks 12, glasses 6, others 1)"
    )
    parser.add_argument("--size", type=int, default=512, help="side the clips are scaled to, pixels (512)")


def strips(args: argparse.Namespace, frames: int | None, stride: int) -> Iterator[Strip]:
    """Read the clips one by one.

    Args:
        args: the options.
        frames: frames of a clip if the options tell nothing; None for the whole clip.
        stride: likewise every n-th frame.

    Raises:
        ValueError: no clip has one of the names asked for, or a number is below 1.
    """
    frames, stride = args.frames or frames, args.stride or stride
    if stride < 1 or (frames is not None and frames < 2):
        raise ValueError(f"--stride must be at least 1 and --frames 2, got {stride} and {frames}")
    paths = {path.stem: path for path in sorted((portraits_dir() / "val").glob("*.mp4"))}
    unknown = [name for name in args.clips or () if name not in paths]
    if unknown:
        raise ValueError(f"--clips {' '.join(unknown)}: there are {', '.join(paths)}")
    for name in args.clips or paths:
        limit = None if frames is None else frames * stride
        yield Strip(name, read_clip(paths[name], limit, args.size)[::stride], stride / FPS)


def sheet(out: str, name: str, rows: Sequence[tuple[str, Sequence[Image]]], side: int = 256) -> None:
    """Write a contact sheet OUT-sheets/NAME.jpg.

    Args:
        out: name of the results.
        name: name of the sheet.
        rows: title and pictures of each row, uint8 RGB.
        side: longer side of a picture on the sheet, pixels.
    """
    folder = results_dir() / f"{out}-sheets"
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for title, pictures in rows:
        scale = side / max(pictures[0].shape[:2])
        size = (round(pictures[0].shape[1] * scale), round(pictures[0].shape[0] * scale))
        line = np.hstack([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in pictures])
        for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(line, title, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, width, cv2.LINE_AA)
        lines.append(line)
    path = folder / f"{name}.jpg"
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(lines), cv2.COLOR_RGB2BGR))


def spread(count: int, shown: int) -> list[int]:
    """Return numbers of frames for a sheet, evenly over those after the first.

    Args:
        count: number of frames, at least 2.
        shown: number of pictures in a row.
    """
    return [int(n) for n in np.unique(np.linspace(1, count - 1, shown).round())]
