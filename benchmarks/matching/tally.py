"""Measured values by column. They are saved after every part, so that an interrupted benchmark can go on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import ROOT


@dataclass
class Sums:
    """All measured values of one row, by column."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, column: str, value: float) -> None:
        """Add a value. NaN is left out."""
        if np.isfinite(value):
            self.values.setdefault(column, []).append(float(value))

    def extend(self, other: Sums) -> None:
        """Add the values of another object."""
        for column, values in other.values.items():
            self.values.setdefault(column, []).extend(values)

    def mean(self, column: str) -> float:
        """Mean of a column, or the median for times. NaN if nothing was measured."""
        values = self.values.get(column, [])
        if not values:
            return float("nan")
        return float(np.median(values) if column.startswith("ms") else np.mean(values))


class Store:
    """Finished parts of a run in a JSON file. Parts made with other code or options are not used."""

    def __init__(self, path: Path, stamp: str, fresh: bool = False) -> None:
        self._path, self._stamp = path, stamp
        self.parts: dict[str, dict[str, list[float]]] = {}
        if not fresh and path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            self.parts = kept["parts"] if kept["stamp"] == stamp else {}

    def get(self, key: str, measure: Callable[[Sums], None]) -> Sums:
        """Return the part `key` from the file, or measure it now and save it."""
        if key not in self.parts:
            sums = Sums()
            measure(sums)
            self.parts[key] = sums.values
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps({"stamp": self._stamp, "parts": self.parts}))
        return Sums(self.parts[key])


def stamp(options: dict[str, Any], files: Iterable[Path]) -> str:
    """Digest of options and files' contents. Parts with another digest are measured again."""
    made = hashlib.sha256(json.dumps(options, sort_keys=True, default=str).encode())
    for path in sorted(files):
        made.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return made.hexdigest()


def over_clips(sums: Mapping[tuple[str, str, str], Sums]) -> dict[tuple[str, str, str], Sums]:
    """Join the sums of all clips.

    Args:
        sums: by row, kind and clip.

    Returns:
        New sums by row, kind and "all", in the order in which they first appear.
    """
    joined: dict[tuple[str, str, str], Sums] = {}
    for (row, kind, _), held in sums.items():
        joined.setdefault((row, kind, "all"), Sums()).extend(held)
    return joined
