"""`livery refine` counts frames, tells how long it takes, goes on where it stopped, invents if asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from correspondence import Image
from inpaint.fills.jobs import Filler
from stream import pace
from stream.pace import TRIED, Pace
from stream.recording import refine, render
from stream.recording.files import Writer, count_frames
from stream.recording.refine import refine_folder
from stream.recording.render import KeyframeFile, RenderJob

PIECES, FRAMES = 3, 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recording of pieces in which nothing was worn."""
    job = RenderJob(
        folder=str(tmp_path), source="", output="", keyframes=(), mode="auto", strength=1.0,
        matcher="classical", fps=25.0,
    )  # fmt: skip
    for number in range(1, PIECES + 1):
        source = f"piece-{number:05d}.source.ts"
        writer = Writer(tmp_path / source, (64, 64), crf=30)
        for n in range(FRAMES):
            writer.write(np.full((64, 64, 3), 8 * n, np.uint8), (number * FRAMES + n) / 25)
        writer.close()
        replace(job, source=source, output=source.replace(".source", "")).write(
            tmp_path / f"piece-{number:05d}.json"
        )
    return tmp_path


def test_frames_are_counted_not_pieces(folder: Path) -> None:
    assert count_frames(folder / "piece-00001.source.ts") == FRAMES
    told: list[tuple[int, int]] = []
    report = refine_folder(folder, progress=lambda _, done, expected: told.append((done, expected)))
    assert told == [(n, PIECES * FRAMES) for n in range(1, PIECES * FRAMES + 1)]
    assert (report.pieces, report.frames, report.complete) == (PIECES, PIECES * FRAMES, True)


def test_it_goes_on_where_it_was_stopped_within_a_piece(folder: Path) -> None:
    seen: list[int] = []
    report = refine_folder(
        folder, progress=lambda _, done, expected: seen.append(done), stop=lambda: len(seen) > FRAMES + 2
    )
    assert (report.complete, report.pieces) == (False, 1)
    assert not (folder / "refined.mp4").exists()
    again = refine_folder(folder)
    assert (again.complete, again.pieces) == (True, PIECES - 1)
    assert (folder / "refined.mp4").is_file()


def test_how_long_it_takes_is_said_once_and_soon() -> None:
    now_s, said = 0.0, list[str]()
    count = Pace(1000, lambda *_: None, said.append, lambda: now_s)
    for number in range(1000):
        count()
        assert bool(said) == (number + 1 >= sum(TRIED))
        now_s += 0.5
    assert said == ["1000 frames at 500 ms each: about 8 minutes"]


def test_frames_without_an_edit_do_not_count_for_the_time() -> None:
    now_s, said = 0.0, list[str]()
    count = Pace(200, lambda *_: None, said.append, lambda: now_s)
    for number in range(200):
        worked = number >= 100
        now_s += 0.5 * worked
        count(worked)
    assert said == ["200 frames at 500 ms each: about 40 s"]


def test_the_time_that_is_said_holds_writing_and_leaves_unedited_pieces_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s, said = 0.0, list[str]()
    worn = (KeyframeFile(image="still.png", edited="edited.png", made_s=0.0),)
    for number in range(2, PIECES + 1):
        described = folder / f"piece-{number:05d}.json"
        replace(RenderJob.read(described), keyframes=worn).write(described)

    class SlowWriter(Writer):
        def write(self, image: Image, time_s: float) -> None:
            nonlocal now_s
            now_s += 0.25
            super().write(image, time_s)

    def edited(job: RenderJob, frames: Any, *_: Any) -> Iterator[tuple[float, Image, bool]]:
        nonlocal now_s
        for time_s, image in frames:
            now_s += 0.5 * bool(job.keyframes)
            yield time_s, image, False

    monkeypatch.setattr(render, "Writer", SlowWriter)
    monkeypatch.setattr(render, "_edited", edited)
    monkeypatch.setattr(refine, "Pace", lambda frames, told, say: Pace(frames, told, say, lambda: now_s))
    monkeypatch.setattr(pace, "TRIED", (1, 3))
    refine_folder(folder, say=said.append)
    assert said == ["18 frames at 750 ms each: about 6 s"]


@pytest.mark.parametrize(
    ("fill", "weights", "model"), [(False, None, False), (True, None, True), (False, "given", True)]
)
def test_the_model_is_used_only_if_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fill: bool, weights: str | None, model: bool
) -> None:
    asked: list[Any] = []

    def make(weights: Path | None, device: str) -> tuple[Filler, str]:
        asked.append(weights)
        return Filler(None), ""

    monkeypatch.setattr(refine, "make_filler", make)
    refine_folder(folder, None if weights is None else Path(weights), fill=fill)
    assert (asked != [Path("none")]) == model
