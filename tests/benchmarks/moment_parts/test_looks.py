"""Each fault of a carried look raises the figure that is meant for it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.matching.tally import Sums
from benchmarks.moment_parts import looks
from benchmarks.moment_parts.filters import LOOKS, drawing
from benchmarks.moment_parts.looks import FLOOR, TrueLook, read_back, score, travelling
from correspondence import Float, Image
from reference import Mode
from tests.stream.clips import Clip, make_clip

SIDE = 160


class Bordered:
    """The truth, but for a live border of `width` pixels."""

    def __init__(self, name: str, width: int) -> None:
        self.name, self._width = name, width

    def wear(
        self, frames: Sequence[Image], edited: Image, step_s: float, mode: Mode = "auto",
        known: Sequence[Float] | None = None,
    ) -> list[Image]:  # fmt: skip
        made = [drawing(frame) for frame in frames]
        for image, frame in zip(made, frames, strict=True):
            image[: self._width] = frame[: self._width]
        return made


@pytest.fixture
def face_only(astronaut: Image) -> Image:
    return np.ascontiguousarray(astronaut[40 : 40 + SIDE, 140 : 140 + SIDE])


def scored(made: Image, live: Image, unknown: bool = False) -> dict[str, float]:
    sums = Sums()
    truth = LOOKS["drawing"](live)
    score(sums, made, TrueLook(live, truth, np.full(live.shape[:2], unknown)))
    return {name: sums.mean(name) for name in looks.COLUMNS}


def test_a_look_that_lies_everywhere_is_whole(face_only: Image) -> None:
    found = scored(drawing(face_only), face_only)
    assert found["bare %"] == found["patches %"] == 0
    assert found["dB"] == 60
    assert found["detail"] == 1
    assert np.isnan(found["unknown dB"])


def test_a_bare_border_is_counted_and_told_from_specks(face_only: Image) -> None:
    made = drawing(face_only)
    made[:16] = face_only[:16]
    border = scored(made, face_only)
    assert 5 < border["bare %"] < 15
    assert border["patches %"] == pytest.approx(border["bare %"], rel=0.2)
    made = drawing(face_only)
    made[::4, ::4] = face_only[::4, ::4]
    specks = scored(made, face_only)
    assert specks["bare %"] == pytest.approx(100 / 16, abs=1)
    assert specks["patches %"] == 0


def test_blurred_paint_loses_detail_and_decibels(face_only: Image) -> None:
    made = np.asarray(cv2.GaussianBlur(drawing(face_only), (0, 0), 2), np.uint8)
    found = scored(made, face_only, unknown=True)
    assert found["detail"] < 0.5
    assert found["unknown detail"] < 0.5
    assert found["unknown dB"] == found["dB"] < 25


def test_the_floor_is_what_a_filter_makes_of_a_moved_noisy_frame(face_only: Image) -> None:
    film = LOOKS["warm film"]
    assert cv2.PSNR(read_back(face_only, film), film(face_only)) > 30, "read back at its own place"
    drawn = scored(read_back(face_only, drawing), face_only)
    assert 0 < drawn["bare %"] < 10, "lines are made anew, a little beside their places"
    same = scored(read_back(face_only, lambda frame: drawing(face_only)), face_only)
    assert same["dB"] < drawn["dB"], "it is the look of the moved frame that is shifted back"


def test_the_window_reaches_the_borders(astronaut: Image) -> None:
    cut = travelling([astronaut] * 9)
    assert {frame.shape for frame in cut} == {(410, 410, 3)}
    np.testing.assert_array_equal(cut[4], astronaut[51 : 51 + 410, 102 : 102 + 410])  # the right border
    np.testing.assert_array_equal(cut[2], astronaut[102 : 102 + 410, 87 : 87 + 410])  # the lower one


def test_rows_are_told_apart_in_a_whole_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "val").mkdir()
    make_clip(tmp_path / "val" / "demo.mp4", Clip(frames=4, size=(SIDE, SIDE)))
    monkeypatch.setenv("LIVERY_PORTRAITS", str(tmp_path))
    monkeypatch.setenv("LIVERY_RESULTS", str(tmp_path / "made"))
    monkeypatch.setattr(looks, "LOOKS", {"drawing": drawing})
    args = argparse.Namespace(clips=None, frames=3, stride=1, size=SIDE, out="tried")
    held = looks.measure(args, [Bordered("whole", 0), Bordered("thin", 8), Bordered("wide", 24)])
    figures = {(row["row"], row["camera"]): row for row in held["looks"]}
    for camera in looks.CAMERAS:
        whole, thin, wide = (figures[name, camera] for name in ("whole", "thin", "wide"))
        assert 0 == whole["bare %"] < thin["bare %"] < wide["bare %"] <= wide["worst %"]
        assert whole["dB"] > thin["dB"] > wide["dB"]
        assert ("colours alone", camera) in figures
        assert figures[FLOOR, camera]["bare %"] < thin["bare %"]
    assert len(list((tmp_path / "made" / "tried-sheets").glob("demo-*.jpg"))) == 2
    assert "| wide" in capsys.readouterr().out
