from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.common import ROOT
from benchmarks.matching.tally import Store, Sums, stamp


def test_means_leave_out_what_is_no_number_and_times_are_medians() -> None:
    sums = Sums()
    for value in (1.0, float("nan"), 3.0, 100.0):
        sums.add("PSNR", value)
        sums.add("ms 1", value)
    assert sums.mean("PSNR") == pytest.approx(104 / 3)
    assert sums.mean("ms 1") == 3
    assert np.isnan(sums.mean("SSIM"))


def test_a_finished_part_is_not_measured_again(tmp_path: Path) -> None:
    calls = []

    def measure(sums: Sums) -> None:
        calls.append(1)
        sums.add("PSNR", 30.0)

    for _ in range(2):
        store = Store(tmp_path / "cache" / "parts.json", "one")
        assert store.get("clip/a", measure).mean("PSNR") == 30
    assert len(calls) == 1
    Store(tmp_path / "cache" / "parts.json", "two").get("clip/a", measure)
    Store(tmp_path / "cache" / "parts.json", "two", fresh=True).get("clip/a", measure)
    assert len(calls) == 3


def test_a_stamp_tells_options_and_files_apart() -> None:
    files = [ROOT / "benchmarks" / "matching" / "tally.py", ROOT / "benchmarks" / "matching" / "truth.py"]
    first = stamp({"stride": 5}, files)
    assert first == stamp({"stride": 5}, reversed(files))
    assert first != stamp({"stride": 6}, files)
    assert first != stamp({"stride": 5}, files[:1])
