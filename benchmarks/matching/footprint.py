"""Peak memory of one row of `livery bench quality`, in a process of its own.

    python -m benchmarks.matching.footprint PICTURES.npz ROW [MODEL ...]

PICTURES.npz holds `pictures`, uint8 (T, H, W, 3), and `points`, float32 (T, 478, 3). The row is prepared with
the first picture and matches the others. The peak resident size of the process is printed in MB. It includes
the interpreter and its imports, so compare it with the row "copy".
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil

from benchmarks.common import ROOT
from benchmarks.matching.methods import find
from correspondence import Image, Landmarks, Match

FRAMES = 8


def footprint(
    row: str, frames: Sequence[Image], faces: Sequence[Landmarks], folders: Sequence[Path]
) -> float:
    """Measure the peak resident size of a fresh process that runs `row`, MB.

    Args:
        row: name of the row.
        frames: uint8 (H, W, 3) each, the reference first.
        faces: landmarks of the frames.
        folders: folders of models beside the shipped ones.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pictures.npz"
        np.savez(file, pictures=np.stack(frames), points=np.stack([f.points for f in faces]))
        command = [sys.executable, "-m", "benchmarks.matching.footprint", str(file), row, *map(str, folders)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main(arguments: Sequence[str]) -> None:
    """Run the row that the arguments name and print the peak memory."""
    file, row, *folders = arguments
    with np.load(file) as held:
        pictures, points = held["pictures"], held["points"]
    size = (int(pictures.shape[1]), int(pictures.shape[2]))
    faces = [Landmarks(np.ascontiguousarray(p), size) for p in points]
    method = find(row, [Path(f) for f in folders])
    state = method.prepare(pictures[0], faces[0])
    last: Match | None = None
    for picture, face in zip(pictures[1:], faces[1:], strict=True):
        last = method.match(picture, state, face, last)
        _ = last.field
    print(peak_mb())


def peak_mb() -> float:
    """Peak resident size of this process, MB."""
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # macOS counts bytes


if __name__ == "__main__":
    main(sys.argv[1:])
