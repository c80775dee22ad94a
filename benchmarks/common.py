"""Shared by all benchmarks: clips, percentiles, tables, and results with a description of the machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from correspondence import Image

ROOT = Path(__file__).resolve().parent.parent
CHECKOUT_RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("numpy", "opencv-contrib-python", "mediapipe", "onnxruntime", "torch", "aiortc", "av")


def portraits_dir() -> Path:
    """The folder of portrait clips: $LIVERY_PORTRAITS, else ../shared/portraits beside the repository.

    Raises:
        FileNotFoundError: the folder has no `val` folder.
    """
    named = os.environ.get("LIVERY_PORTRAITS")
    folder = Path(named) if named else ROOT.parent / "shared" / "portraits"
    if not (folder / "val").is_dir():
        raise FileNotFoundError(
            f"no portrait clips in {folder}: set LIVERY_PORTRAITS to a folder with val/*.mp4"
        )
    return folder


def read_clip(path: Path, limit: int | None = None, size: int | None = None) -> list[Image]:
    """Read the first `limit` frames of a clip, RGB, resized to size x size if a size is given.

    Raises:
        ValueError: the file has no frame.
    """
    capture = cv2.VideoCapture(str(path))
    frames: list[Image] = []
    while limit is None or len(frames) < limit:
        ok, frame = capture.read()
        if not ok:
            break
        if size is not None and frame.shape[:2] != (size, size):
            shrink = max(frame.shape[:2]) > size
            frame = cv2.resize(
                frame, (size, size), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC
            )
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    capture.release()
    if not frames:
        raise ValueError(f"{path}: no frame could be read")
    return frames


def percentiles(values: Iterable[float], wanted: Sequence[float] = (50, 95, 99)) -> dict[str, float]:
    """Compute percentiles as {"p50": ..., "p95": ..., "p99": ...}. NaN without values."""
    held = np.fromiter(values, np.float64)
    return {f"p{p:g}": float(np.percentile(held, p)) if held.size else float("nan") for p in wanted}


def commit(folder: Path) -> str:
    """Name the commit of a checkout, with "-dirty" if files differ; "unknown" if it is none."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        git = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return git.stdout.strip() or "unknown"


def metadata(options: dict[str, Any] | None = None) -> dict[str, Any]:
    """Commit, versions, processor and options of a run."""
    return {
        "commit": commit(ROOT),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": {name: v for name in PACKAGES if (v := _version(name))},
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "options": {
            k: [x.name if isinstance(x, Path) else x for x in v] if isinstance(v, list) else v
            for k, v in (options or {}).items()
            if isinstance(v, str | int | float | list | None)
        },
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str | float]]) -> None:
    """Print a Markdown table to standard output. Numbers have three significant digits."""
    cells = [[c if isinstance(c, str) else _number(c) for c in row] for row in rows]
    widths = [max(len(h), *(len(row[i]) for row in cells)) for i, h in enumerate(headers)]
    for row in (list(headers), ["-" * w for w in widths], *cells):
        print("| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |")


def _number(value: float) -> str:
    if not np.isfinite(value):
        return "-"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"


def results_dir() -> Path:
    """The folder of results: $LIVERY_RESULTS, else benchmarks/results in a checkout, else ./livery-results.

    It is made if it is missing. `livery bench NAME --results-dir` sets the variable.
    """
    named = os.environ.get("LIVERY_RESULTS")
    checkout = CHECKOUT_RESULTS if (ROOT / "pyproject.toml").is_file() else Path("livery-results")
    folder = Path(named) if named else checkout
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_results(name: str, results: Any, about: dict[str, Any], schema: str | None = None) -> Path:
    """Write {"metadata": ..., "results": ...} to <name>.json in `results_dir`. Returns the path.

    Figures that are not finite become null, since JSON has no other word for them.

    Args:
        name: of the file, without its ending.
        results: what was measured.
        about: see `metadata`.
        schema: name of the schema that the file follows, see `benchmarks.reports.schemas`. None for none.
    """
    path = results_dir() / f"{name}.json"
    held: dict[str, Any] = {"schema": schema} if schema is not None else {}
    held |= {"metadata": about, "results": _finite(results)}
    path.write_text(json.dumps(held, indent=1, default=float, allow_nan=False) + "\n")
    print(f"written: {shown(path)}")
    return path


def shown(path: Path) -> Path:
    """A path as it is printed: relative to this checkout where it lies in it."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def _finite(value: Any) -> Any:
    """Replace numbers that are not finite by None, at any depth."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float | np.floating) and not np.isfinite(value):
        return None
    return value
