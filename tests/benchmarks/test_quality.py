"""`livery bench quality`: which rows it makes, and when finished parts still count."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from benchmarks.quality import Bench, configure, judged_code


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    configure(parser)
    return parser.parse_args(arguments)


@pytest.fixture
def _one_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "somebody.mp4").touch()
    monkeypatch.setenv("LIVERY_PORTRAITS", str(tmp_path))


@pytest.mark.usefixtures("_one_clip")
def test_a_run_begins_with_the_rows_that_were_asked_for(tmp_path: Path) -> None:
    bench = Bench(options("--rows", "DIS medium", "--cache", str(tmp_path / "cache.json")))
    assert list(bench.rows) == ["DIS medium"]
    assert [path.stem for path in bench.paths] == ["somebody"]


@pytest.mark.usefixtures("_one_clip")
def test_unknown_rows_and_clips_are_refused(tmp_path: Path) -> None:
    cache = ("--cache", str(tmp_path / "cache.json"))
    with pytest.raises(ValueError, match=r"no row is called .*choose from"):
        Bench(options("--rows", "magic", *cache))
    with pytest.raises(ValueError, match=r"choose from .*somebody"):
        Bench(options("--clips", "nobody", *cache))


def test_a_change_of_any_matcher_or_measure_makes_finished_parts_stale() -> None:
    names = {path.name for path in judged_code()}
    assert {"classical.py", "landmarks.py", "measures.py", "truth.py"} <= names
    assert all(path.is_file() for path in judged_code())
