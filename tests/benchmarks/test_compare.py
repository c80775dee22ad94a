"""`livery bench compare` on results as the benchmarks write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.compare import figures
from stream.cli.main import main

ABOUT = {"commit": "1234567", "date": "2026-01-01T00:00:00+00:00", "processor": "a processor", "cores": 2}


def written(path: Path, results: Any, schema: str | None = "livery-latency-1", **about: str) -> str:
    held = {"schema": schema} if schema else {}
    path.write_text(json.dumps({**held, "metadata": {**ABOUT, **about}, "results": results}))
    return str(path)


def latency(p95: float | None, fps: float) -> dict[str, Any]:
    told = {"latency_ms": {"p95": 1.0}}
    row = {"server": "livery", "latency_ms_p95": p95, "fps": fps, "drops": 0.0, "told": told}
    return {"best": [row], "runs": [row, {**row, "fps": 1.0}]}


def test_figures_are_named_by_the_texts_and_keys_around_them() -> None:
    rows = [{"matcher": "classical", "edit": "tiger", "step": 26.5, "iou": [0.5, 0.9], "flat": True}]
    assert dict(figures(rows)) == {
        ("classical tiger", "step"): 26.5,
        ("classical tiger", "iou 0"): 0.5,
        ("classical tiger", "iou 1"): 0.9,
    }


def test_two_runs_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = written(tmp_path / "a.json", latency(50.0, 30.0))
    b = written(tmp_path / "b.json", latency(60.0, 30.0), commit="89abcde")
    assert main(["bench", "compare", a, b]) == 0
    said = capsys.readouterr().out
    assert "commit: 1234567 -> 89abcde" in said
    assert "processor: a processor\n" in said
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in said.splitlines() if "|" in line]
    assert ["livery", "best latency_ms_p95", "50.00", "60.00", "1.200"] in cells
    assert ["livery", "best drops", "0.000", "0.000", "1.000"] in cells
    assert "told" not in said
    assert main(["bench", "compare", a, b, "--above", "5"]) == 0
    assert "fps" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("limit", "code"), [("p95>1.1", 1), ("latency_ms_p95>1.3", 0), ("livery:fps<1", 0), ("fps<=1", 1)]
)
def test_a_ratio_may_fail_a_script(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], limit: str, code: int
) -> None:
    a, b = (written(tmp_path / f"{p95}.json", latency(p95, 30.0)) for p95 in (50.0, 60.0))
    assert main(["bench", "compare", a, b, "--fail-if", limit]) == code
    assert ("failed: livery" in capsys.readouterr().err) == bool(code)


def test_rows_that_only_one_file_has_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = written(tmp_path / "a.json", [{"edit": "tiger", "step": 1.0}, {"edit": "mark", "step": 2.0}], None)
    b = written(tmp_path / "b.json", [{"edit": "tiger", "step": 1.0}], None)
    assert main(["bench", "compare", a, b]) == 0
    assert f"only in {a}: mark step" in capsys.readouterr().out


def test_what_cannot_be_compared_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = written(tmp_path / "a.json", latency(50.0, 30.0))
    step = written(tmp_path / "step.json", [{"edit": "tiger", "step": 1.0}], "livery-step-1")
    other = written(tmp_path / "other.json", [{"edit": "tiger", "step": 1.0}], None)
    (tmp_path / "text.json").write_text("no JSON")
    (tmp_path / "list.json").write_text("[]")
    for second, why in (
        (step, "compare two of a kind"),
        (other, "share no figure"),
        (str(tmp_path / "text.json"), "cannot be read as JSON"),
        (str(tmp_path / "list.json"), "as a benchmark writes them"),
        (str(tmp_path / "none.json"), "none.json: cannot be read"),
    ):
        assert main(["bench", "compare", a, second]) != 0
        assert why in capsys.readouterr().err
    assert main(["bench", "compare", a, a, "--fail-if", "p59>1"]) != 0
    assert "there is no figure 'p59'" in capsys.readouterr().err
