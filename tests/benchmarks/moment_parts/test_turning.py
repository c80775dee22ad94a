"""Each fault of carried make-up raises the figure that is meant for it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.matching.tally import Sums
from benchmarks.moment_parts import turning
from benchmarks.moment_parts.turning import TRUTH, score, telling
from correspondence import Float, Image, Landmarks
from reference import Mode, presets
from tests.stream.clips import Clip, make_clip


class Live:
    """Paints nothing after the first frame."""

    name = "live"

    def wear(
        self, frames: Sequence[Image], edited: Image, step_s: float, mode: Mode = "auto",
        known: Sequence[Float] | None = None,
    ) -> list[Image]:  # fmt: skip
        return [edited, *frames[1:]]


def scored(made: Image, live: Image, truth: Image, turned: bool = False) -> dict[str, float]:
    sums = Sums()
    score(sums, made, live, truth, turned)
    return turning.figures(("row", "edit", "clip"), sums)


@pytest.fixture
def painted(astronaut: Image, face: Landmarks) -> Image:
    return presets.apply("tiger", astronaut, face)


def test_what_is_as_drawn_anew_has_no_fault(astronaut: Image, painted: Image) -> None:
    found = scored(painted, astronaut, painted)
    assert found["bare %"] == found["patches %"] == found["spilled %"] == 0
    assert found["dB"] == 60
    assert np.isnan(found["turned dB"])


def test_a_bare_patch_and_spilled_paint_are_told_apart(
    astronaut: Image, painted: Image, face: Landmarks
) -> None:
    x, y = (int(v) for v in face.points[50, :2])
    bare = painted.copy()
    bare[y - 10 : y + 10, x - 10 : x + 10] = astronaut[y - 10 : y + 10, x - 10 : x + 10]
    torn = scored(bare, astronaut, painted, turned=True)
    assert torn["spilled %"] == 0
    assert 1 < torn["patches %"] <= torn["bare %"] == torn["turned bare %"] < 20
    spilt = painted.copy()
    spilt[:20, :20] = (200, 0, 0)
    found = scored(spilt, astronaut, painted)
    assert found["bare %"] == 0
    assert found["spilled %"] > 1
    assert found["dB"] < 60


def test_a_sheet_shows_where_rows_differ() -> None:
    plain = [np.zeros((4, 4, 3), np.uint8) for _ in range(9)]
    other = [image.copy() for image in plain]
    other[3][:], other[6][:] = 9, 9
    assert telling([plain, other], 2) == [3, 6]


def test_a_whole_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "val").mkdir()
    make_clip(tmp_path / "val" / "demo.mp4", Clip(frames=3, size=(256, 256)))
    make_clip(tmp_path / "val" / "wall.mp4", Clip(frames=2, size=(256, 256), blank=True))
    monkeypatch.setenv("LIVERY_PORTRAITS", str(tmp_path))
    monkeypatch.setenv("LIVERY_RESULTS", str(tmp_path / "made"))
    args = argparse.Namespace(clips=None, frames=3, stride=1, size=256, out="tried")
    held = turning.measure(args, [Live()])
    figures = {(row["row"], row["edit"]): row for row in held["turning"]}
    for preset in turning.PRESETS:
        live, truth = figures["live", preset], figures[TRUTH, preset]
        assert live["bare %"] == live["worst %"] == 100
        assert truth["bare %"] == 0
        assert live["worst jump"] > truth["worst jump"], "the edit vanished at once"
    assert len(list((tmp_path / "made" / "tried-sheets").glob("demo-*.jpg"))) == 2
    assert "wall: no face" in capsys.readouterr().out
