"""The time of one step by edit, by its area and by the size of the frame, beside another checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.common import ROOT, percentiles
from correspondence import Image, Landmarks, detect_landmarks

SHARES = (0.01, 0.05, 0.2, 1.0)  # share of the picture that the edit covers
SIZES = ((480, 854), (720, 1280), (1080, 1920))  # (H, W) of the frames
WARM_UP = 6  # frames that are not measured
MIXED = 0.6  # opacity of the painted stripes
_count = count()


def widescreen(frame: Image, size: tuple[int, int] = (720, 1280)) -> Image:
    """Place a square picture in the middle of a wide one. The borders are continued by reflection."""
    height, width = size
    square = cv2.resize(frame, (height, height), interpolation=cv2.INTER_CUBIC)
    left = (width - height) // 2
    return cv2.copyMakeBorder(square, 0, 0, left, width - height - left, cv2.BORDER_REFLECT_101)


def clarity(picture: Image) -> Image:
    """Raise the local contrast of the whole picture."""
    return cv2.addWeighted(picture, 1.6, cv2.GaussianBlur(picture, (0, 0), 6), -0.6, 0)


def painted(picture: Image, face: Landmarks, share: float) -> Image:
    """Paint stripes over an ellipse around the mouth that covers a share of the picture; all of it at 1.

    Args:
        picture: RGB uint8 (H, W, 3).
        face: landmarks of its face.
        share: share of the picture, (0, 1]; at 1 the local contrast of all of it is raised.
    """
    if share >= 1:
        return clarity(picture)
    height, width = picture.shape[:2]
    middle = face.points[13, :2] if share < 0.05 else face.points[4, :2]  # the lips, or the tip of the nose
    down = np.sqrt(share * height * width / np.pi)
    inside = np.zeros((height, width), np.uint8)
    axes = (round(down * (1.3 if share < 0.05 else 0.9)), round(down / (1.3 if share < 0.05 else 0.9)))
    cv2.ellipse(inside, (round(float(middle[0])), round(float(middle[1]))), axes, 0, 0, 360, 255, -1)
    stripes = np.where((np.arange(height) // 8 % 2)[:, None, None] > 0, (230, 120, 30), (40, 60, 160))
    mixed = cv2.addWeighted(
        np.broadcast_to(stripes, picture.shape).astype(np.uint8), MIXED, picture, 1 - MIXED, 0
    )
    return np.where(inside[..., None] > 0, mixed, picture)


class Stepper:
    """The steps of one checkout in a process of its own.

    Args:
        python: interpreter with the checkout's packages.
        root: folder of the checkout.
        files: the files of frames and edited picture, see `step_worker`.
    """

    def __init__(self, python: str, root: Path, files: Sequence[Path]) -> None:
        worker = ROOT / "benchmarks" / "matching" / "step_worker.py"
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._root, self._said = root, files[0].with_suffix(f".{next(_count)}.log")
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                [python, str(worker), str(root), *map(str, files)], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=said, text=True, cwd=root, env=env,
            )  # fmt: skip

    def step(self, frame: int) -> dict[str, float]:
        """Make a step with a frame, by its number.

        Raises:
            RuntimeError: the process ended; its last word is told.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # a process that ended says why below
            self._process.stdin.write(f"{frame}\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            last = self._said.read_text(encoding="utf-8").strip().splitlines()[-1:] or ["it said nothing"]
            raise RuntimeError(f"the steps of {self._root} ended early: {last[0]}")
        answer: dict[str, float] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        with suppress(BrokenPipeError):
            self._process.communicate()
        self._process.wait()


def measure(
    frames: Sequence[Image], edited: Image, repeats: int, checkouts: Sequence[tuple[str, Path]]
) -> list[dict[str, float]]:
    """Measure steps of several checkouts, which take turns at each frame.

    Args:
        frames: the clip; its first frame is the reference.
        edited: the edited reference.
        repeats: number of measured frames.
        checkouts: interpreter and folder of each.

    Returns:
        For each checkout the medians of "step" and "cpu" and the step's 95th percentile, ms.

    Raises:
        RuntimeError: less than nine of ten frames of a checkout were edited.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "frames.npy", Path(folder) / "edited.npy"
        np.save(files[0], np.stack(frames))
        np.save(files[1], edited)
        steppers = [Stepper(python, root, files) for python, root in checkouts]
        answers: list[list[dict[str, float]]] = [[] for _ in steppers]
        try:
            for i in range(repeats + WARM_UP):
                turns = list(zip(steppers, answers, strict=True))
                for stepper, kept in turns if i % 2 else turns[::-1]:
                    kept.append(stepper.step(i % len(frames)))
        finally:
            for stepper in steppers:
                stepper.close()
    rows = []
    for kept in answers:
        seen = kept[WARM_UP:]
        if sum(answer["edited"] for answer in seen) < 0.9 * len(seen):
            raise RuntimeError("the edit did not show in nine of ten frames")
        row = {name: 1e3 * float(np.median([answer[name] for answer in seen])) for name in ("step", "cpu")}
        rows.append({**row, "p95": 1e3 * percentiles([answer["step"] for answer in seen])["p95"]})
    return rows


def compare(frames: Sequence[Image], edited: Image, repeats: int, beside: Sequence[str]) -> dict[str, float]:
    """Measure the steps of one edit, alone or beside another checkout; see `measure`.

    Args:
        frames, edited, repeats: as for `measure`.
        beside: interpreter and folder of another checkout; empty for none.

    Returns:
        The figures of this checkout, ms; with another one also its "step before" and "cpu before", and the
        ratios "step ratio" and "cpu ratio".
    """
    checkouts = [(sys.executable, ROOT)]
    if beside:
        checkouts.append((beside[0], Path(beside[1])))
    now, *before = measure(frames, edited, repeats, checkouts)
    row = dict(now)
    for other in before:
        row |= {f"{name} before": other[name] for name in ("step", "cpu")}
        row |= {f"{name} ratio": now[name] / other[name] for name in ("step", "cpu")}
    return row


def table(clip: Sequence[Image], repeats: int, beside: Sequence[str]) -> list[dict[str, Any]]:
    """Measure all areas and sizes.

    Args:
        clip: square frames, the reference first.
        repeats: number of measured frames.
        beside: interpreter and folder of another checkout; empty for none.

    Raises:
        ValueError: the first frame has no face.
    """
    rows = []
    for size in SIZES:
        frames = [widescreen(frame, size) for frame in clip]
        face = detect_landmarks(frames[0])
        if face is None:
            raise ValueError("no face was found in the clip's first frame")
        for share in SHARES:
            found = compare(frames, painted(frames[0], face, share), repeats, beside)
            row: dict[str, Any] = {"size": f"{size[0]}p", "area": f"{100 * share:g} %", **found}
            rows.append(row)
            print(row, flush=True)
    return rows
