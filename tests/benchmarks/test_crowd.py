"""`livery bench crowd`: what it makes of its figures, and a short soak of a real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.crowd import Arrival, harm
from benchmarks.streams.soak import Minute, slope
from stream.cli.main import main


def arrival(refused: str, *p95: float, calm: bool = False) -> Arrival:
    return Arrival(360, calm, refused, len(p95), 20.0, p95, 15.0)


def minute(memory_mb: float) -> Minute:
    return Minute(memory_mb, 30, 20, 0.5, (15.0,), (0.1,), (40.0,))


def test_harm_compares_each_session_with_itself() -> None:
    rows = [
        arrival("", 10.0),
        arrival("no room", 10.0),
        arrival("", 10.0, calm=True),
        arrival("", 30.0, 30.0),
        arrival("no room", 55.0, 80.0),
        arrival("", 50.0, 100.0, calm=True),
        arrival("no room", 55.0, 500.0),
        arrival("", 50.0, 100.0, calm=True),
        arrival("no room", 55.0, 90.0),
    ]
    assert harm(rows) == pytest.approx([1.1, 0.9])
    assert harm(rows[:1]) == harm(rows[:2]) == harm(rows[5:6]) == []


def test_slope_leaves_out_the_first_minutes() -> None:
    assert slope([minute(mb) for mb in (100, 400, 500, 502, 504, 506)]) == pytest.approx(2.0)
    assert slope([minute(mb) for mb in (500, 501, 502)]) == pytest.approx(1.0)


def test_what_is_out_of_range_is_refused_before_a_server_starts(capsys: pytest.CaptureFixture[str]) -> None:
    for option, value in (("--most", "65"), ("--sessions", "0"), ("--fps", "61"), ("--soak", "500")):
        assert main(["bench", "crowd", option, value]) != 0
        assert f"{option} must lie in" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_short_soak_counts_what_viewers_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVERY_RESULTS", "")
    argv = ["bench", "crowd", "--soak", "0.3", "--sessions", "1", "--fps", "5", "--max-load", "0"]
    assert main([*argv, "--results-dir", str(tmp_path)]) == 0
    (one,) = json.loads((tmp_path / "soak.json").read_text())["results"]["360"]["minutes"]
    assert one["memory_mb"] > 100
    assert one["descriptors"] > 5
    assert 0 < one["fps"][0] <= 6
