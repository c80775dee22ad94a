"""The runner of case folders: what is right passes, what is wrong is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.case_folders.run import expectations, run_cases, run_try
from stream.cli.main import main
from tests.stream.clips import Clip, make_clip, painted_frame

EDIT = "edit in.mkv --edited edited.png --reference 0 --matcher classical"
RIGHT = {
    "run": f"{EDIT} -o {{out}}/o.mkv", "input": "in.mkv", "frames": [3, 3], "step_ms": 40, "size": [320, 240],
    "mask": [0.0005, 0.03], "place": [0, 0, 1.0, 1.0], "sound": ["opus"], "alpha": False, "interlaced": False,
    "says": ["3 edited"], "says_not": ["unedited"], "most_notes": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases") / "drawn"
    folder.mkdir()
    clip = make_clip(folder / "in.mkv", Clip(frames=3, audio="libopus", options={"crf": "8"}))
    painted_frame(clip, 0, folder / "edited.png")
    return folder


def test_what_is_right_has_no_fault(case: Path) -> None:
    before = sorted(case.iterdir())
    assert run_try(case, RIGHT).faults == []
    assert sorted(case.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frames", [4, 9]),
        ("step_ms", 33),
        ("size", [240, 320]),
        ("mask", [0.5, 1.0]),
        ("place", [16, 0, 1.0, 1.0]),
        ("sound", ["aac"]),
        ("alpha", True),
        ("interlaced", True),
        ("says", ["nonsense"]),
        ("says_not", ["3 edited"]),
        ("unchanged", [0]),
        ("worn", [[0, 0.05, 0.9]]),
        ("exit", 2),
    ],
)
def test_what_is_wrong_is_named(case: Path, name: str, value: Any) -> None:
    expected = {**RIGHT, name: value} if name == "exit" else {
        "run": RIGHT["run"], "input": "in.mkv", name: value
    }  # fmt: skip
    faults = run_try(case, expected).faults
    assert len(faults) == 1
    assert name in faults[0] or "exit code 0" in faults[0]


def test_a_command_that_fails_is_a_fault(case: Path) -> None:
    wrong = run_try(
        case, {"run": EDIT.replace("in.mkv", "missing.mkv") + " -o {out}/o.mkv", "frames": [3, 3]}
    )
    assert "exit code 2, 0 expected" in wrong.faults[0]
    with pytest.raises(ValueError, match="unknown expectation 'colour'"):
        run_try(case, {"run": f"{EDIT} --dry-run", "colour": 1})


def test_a_folder_of_cases(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (case / "expected.json").write_text(json.dumps([{"run": f"{EDIT} --dry-run", "mask": [0.0005, 0.03]}]))
    unknown = case.parent / "unheard_of"
    unknown.mkdir(exist_ok=True)
    monkeypatch.setenv("LIVERY_RESULTS", str(tmp_path))
    monkeypatch.setattr("benchmarks.common.ROOT", tmp_path)
    assert main(["bench", "strangers", "--cases", str(case.parent)]) == 1
    assert "1 of 2 cases are right; wrong: unheard_of" in capsys.readouterr().out
    verdicts = json.loads((tmp_path / "strangers_cases.json").read_text())["results"]
    assert [(one["case"], bool(one["faults"])) for one in verdicts] == [
        ("drawn", False),
        ("unheard_of", True),
    ]
    assert main(["bench", "strangers", "--cases", str(case.parent), "--case", "drawn"]) == 0
    with pytest.raises(ValueError, match="has no case other"):
        list(run_cases(case.parent, ["other"]))
    with pytest.raises(ValueError, match="holds no folder"):
        list(run_cases(tmp_path / "nowhere"))
    (case / "expected.json").write_text("{}")
    with pytest.raises(ValueError, match="list of tries"):
        expectations(case)
