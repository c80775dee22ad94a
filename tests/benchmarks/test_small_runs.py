"""Whole benchmarks on a small clip of the demo's face: the tables they print and the results they write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stream.cli.main import main
from tests.stream.clips import Clip, make_clip

FRAMES = 24


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("portraits")
    (folder / "val").mkdir()
    make_clip(folder / "val" / "demo.mp4", Clip(frames=FRAMES, size=(256, 256)))
    make_clip(folder / "val" / "wall.mp4", Clip(frames=4, size=(256, 256), blank=True))
    return folder


@pytest.fixture(autouse=True)
def _in_place(portraits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVERY_PORTRAITS", str(portraits))
    monkeypatch.setenv("LIVERY_RESULTS", "")  # `--results-dir` sets it; undone after each test


def results(folder: Path, name: str) -> Any:
    held = json.loads((folder / f"{name}.json").read_text())
    assert held["metadata"]["commit"]
    return held["results"]


def test_coverage_of_a_face_that_hardly_moves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = [
        "bench",
        "coverage",
        "--edits",
        "lipstick",
        "--every",
        "2",
        "--results-dir",
        str(tmp_path / "made"),
    ]
    assert main(argv) == 0
    said = capsys.readouterr().out
    assert "wall: no face in its first frame" in said
    assert f"written: {tmp_path / 'made' / 'coverage.json'}" in said
    (row,) = results(tmp_path / "made", "coverage")
    assert (row["clip"], row["edit"], row["frames"]) == ("demo", "lipstick", FRAMES)
    assert row["covered >= 0.9 %"] == 100
    assert row["made"] == row["switches"] == row["refused"] == 0
    assert row["held %"] > 80
    assert 50 < row["known, all %"] <= row["known %"] <= 100


@pytest.mark.slow
def test_a_step_of_each_edit_is_timed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["bench", "step", "--clip", "demo", "--frames", "3", "--matchers", "classical"]
    assert main([*argv, "--results-dir", str(tmp_path)]) == 0
    assert "ms a frame at 1280 x 720" in capsys.readouterr().out
    rows = results(tmp_path, "step")
    assert {row["matcher"] for row in rows} == {"classical"}
    assert len(rows) >= 4
    for row in rows:
        assert 0 < row["match"] < row["step"], "a stage takes a part of the step"
        assert row["step"] <= row["step p95"] * 1.0001


def test_savings_are_judged_one_by_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["bench", "strangers", "--portraits", "demo", "--savings", "3", "--results-dir", str(tmp_path)]
    code = main(argv)
    assert "recall p5" in capsys.readouterr().out
    found = results(tmp_path, "strangers")
    assert found["summary"]["all"]["savings"] == 3
    good = found["summary"]["all"]["good of those taken"]
    assert code == int(good < 0.99 or found["summary"]["all"]["refused"] > 0.02)


def test_quality_of_two_methods(tmp_path: Path) -> None:
    argv = ["bench", "quality", "--clips", "demo", "--frames", "12", "--stride", "6", "--no-times"]
    rows = ["--rows", "DIS medium", "classical"]
    cache = ["--cache", str(tmp_path / "cache.json")]
    assert main([*argv, *rows, *cache, "--results-dir", str(tmp_path)]) == 0
    found = {row["method"]: row for row in results(tmp_path, "quality")}
    assert list(found) == ["DIS medium", "classical"]
    for row in found.values():
        assert row["PSNR"] > 25
        assert 0 <= row["EPE"] < 10
        assert 0.5 < row["AUROC"] <= 1
        assert list(row["clips"]) == ["demo"]
