"""The benchmark of learned looks tells a better painter from a worse one, and the looks' own clips apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.matching.tally import Sums
from benchmarks.moment_parts import learned
from benchmarks.moment_parts.filters import drawing
from benchmarks.moment_parts.looks import TrueLook
from correspondence import Image

SIDE = 160


def test_the_network_stands_beside_the_colours(
    astronaut: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIVERY_RESULTS", str(tmp_path))
    first, later = (np.ascontiguousarray(astronaut[40 : 40 + SIDE, x : x + SIDE]) for x in (140, 180))
    everywhere = np.ones((SIDE, SIDE), np.bool_)
    wanted = [TrueLook(later, drawing(later), everywhere)]
    sums: dict[learned.Key, Sums] = {}
    learned.measure("demo", "drawing", first, wanted, [0.5], sums, "tried")
    colours, network = (sums["drawing", row, "demo"] for row in ("colours", "0.5 s"))
    assert network.mean("steps") >= 1
    assert network.mean("ahead") == pytest.approx(network.mean("unknown dB") - colours.mean("unknown dB"))
    assert len(list((tmp_path / "tried-sheets").glob("demo-drawing.jpg"))) == 1
    assert "demo, drawing, 0.5 s" in capsys.readouterr().out


def test_means_are_over_clips_and_the_worst_is_named() -> None:
    sums: dict[learned.Key, Sums] = {}
    for clip, ahead, frames in (("one", 2.0, 1), ("two", 6.0, 3)):
        held = sums[("oil", "60 s", clip)] = Sums()
        held.add("ahead", ahead)
        for _ in range(frames):
            held.add("unknown dB", 20 + ahead)
    (row,) = learned.report(sums)["looks"]
    assert (row["ahead dB"], row["least ahead dB"], row["dB"]) == (4.0, 2.0, 24.0)
