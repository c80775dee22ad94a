"""Limits on figures: what is read, what is refused, what breaks one."""

from __future__ import annotations

import argparse
import math

import pytest

from benchmarks.reports.limits import configure, limit_of, verdict

ROWS = {"livery": {"p95": 70.0, "fps": 29.9}, "livery camera": {"p95": 90.0, "fps": 30.0}}
parse = limit_of(("p95", "fps", "step p95"))


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("p95>80", ["livery camera: p95 is 90"]),
        ("p95>=70", ["livery: p95 is 70", "livery camera: p95 is 90"]),
        ("p95 > 90", []),
        ("fps<30", ["livery: fps is 29.9"]),
        ("fps<=30", ["livery: fps is 29.9", "livery camera: fps is 30"]),
        ("camera:p95>80", ["livery camera: p95 is 90"]),
        ("camera: fps<30", []),
        ("echo:p95>1", ["--fail-if 'echo:p95>1': there is no row 'echo'"]),
        ("step p95>1e3", ["livery: step p95 was not measured", "livery camera: step p95 was not measured"]),
    ],
)
def test_a_limit_names_the_rows_that_break_it(text: str, broken: list[str]) -> None:
    said = parse(text).broken_by(ROWS)
    assert len(said) == len(broken)
    assert all(one.startswith(start) for one, start in zip(said, broken, strict=True)), said


def test_no_frame_at_all_breaks_a_limit_on_the_delay() -> None:
    assert len(parse("p95>80").broken_by({"livery": {"p95": math.inf}})) == 1
    assert len(parse("p95<80").broken_by({"livery": {"p95": math.nan}})) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("p95=80", "no limit"),
        ("p95", "no limit"),
        ("p96>80", "there are p95, fps, step p95"),
        ("p95>8e", "no number"),
        ("p95>-", "no number"),
    ],
)
def test_what_is_no_limit_is_refused(text: str, why: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=why):
        parse(text)


def test_the_exit_code_and_the_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    configure(parser, ("p95", "fps"))
    limits = parser.parse_args(["--fail-if", "p95>80", "--fail-if", "fps<20"]).fail_if
    assert verdict(limits, ROWS) == 1
    assert capsys.readouterr().err == "failed: livery camera: p95 is 90, --fail-if 'p95>80'\n"
    assert verdict(limits[1:], ROWS) == 0
