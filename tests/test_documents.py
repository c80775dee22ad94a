"""The documents' examples: Python blocks run, `livery` commands are understood, those that edit files run."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from correspondence import Image
from stream.cli.main import RUNS, main
from stream.cli.modules import benchmarks_here
from stream.cli.options import TRAININGS, parser
from stream.media.pictures import encode_png
from tests.stream.clips import Clip, make_clip, paint

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
    if path.name != "files.md" and "api" not in path.parts
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`livery ([^`\n]+)`")
RUN = ("reference", "edit")  # verbs whose commands in blocks are run
NOT_RUN = {"README.md": "its frame and time come from the reader's own camera"}  # blocks that go on elsewhere


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return [body for name, body in BLOCK.findall(text) if name == language]


def commands(document: str) -> Iterator[str]:
    """The `livery` commands of a document, without the program's name."""
    text = (ROOT / document).read_text(encoding="utf-8")
    yield from (found for found in INLINE.findall(text) if "…" not in found)
    for body in blocks(document, "sh"):
        for part in re.split(r"&&|\n", body.replace("\\\n", " ")):
            words = part.partition("  #")[0].strip()
            name, _, rest = words.partition(" ")
            if name.rsplit("/", 1)[-1] == "livery" and rest and "…" not in rest:
                yield rest


@pytest.fixture
def desk(tmp_path: Path, astronaut: Image, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the examples name, and the present one while the test runs."""
    make_clip(tmp_path / "clip.mp4", Clip(frames=25, audio="aac"))
    (tmp_path / "me.png").write_bytes(encode_png(astronaut))
    cv2.imwrite(str(tmp_path / "edited.jpg"), cv2.cvtColor(paint(astronaut), cv2.COLOR_RGB2BGR))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if blocks(name, "python")])
def test_python_runs_as_it_stands(document: str, desk: Path) -> None:
    if document in NOT_RUN:
        for body in blocks(document, "python"):
            compile(body, document, "exec")
        return
    for body in blocks(document, "python"):
        if "upstream" in document:  # other projects as they are, without what this one replaces in them
            subprocess.run([sys.executable, "-W", "ignore", "-c", body], check=True, timeout=60)
        else:
            exec(compile(body, document, "exec"), {})


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if list(commands(name))])
def test_commands_are_understood(document: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in commands(document):
        words = shlex.split(command)
        if len(words) == 1 and words[0] in RUNS:
            continue  # the verb's name
        if words[0] in ("bench", "train"):
            understood_by_module(words)
            continue
        if words[0] == "edit" and len(words) == 2:
            words = ["edit", "clip.mp4", *words[1:]]  # an option of the verb is named
        if words[1:] in (["--record"], ["--mark"]):
            words = [*words, "WORD"]
        assert understood(words), f"{document}: livery {command}: {capsys.readouterr().err}"


def understood(words: list[str]) -> bool:
    try:
        parser(RUNS)[0].parse_args(words)
    except SystemExit as exc:
        return exc.code == 0
    return True


def understood_by_module(words: list[str]) -> None:
    """Parse the command of a benchmark or a training by its own options."""
    verb, name, *rest = words
    module = f"benchmarks.{name}" if verb == "bench" else TRAININGS[name]
    assert verb == "train" or name in benchmarks_here(), name
    options = argparse.ArgumentParser()
    importlib.import_module(module).configure(options)
    if len(rest) > 1:  # one word alone names an option
        options.parse_args(rest)
    for word in rest:
        assert not word.startswith("--") or word in options.format_help(), word


@pytest.mark.parametrize(
    "document", [name for name in DOCUMENTS if name in ("docs/clips.md", "docs/start.md")]
)
def test_commands_that_edit_files_run(document: str, desk: Path) -> None:
    ran = 0
    for body in blocks(document, "sh"):
        for line in body.splitlines():
            words = shlex.split(line)[1:]
            if words[0] not in RUN:
                continue
            if words[0] == "edit" and "--dry-run" not in words:
                words += ["--matcher", "classical", "--overwrite"]
            if words[0] == "reference":
                words += ["--overwrite"]
            assert main(words) == 0, line
            ran += 1
            if words[0] == "reference":  # what the reader does between the commands
                picture = cv2.cvtColor(cv2.imread("ref.png"), cv2.COLOR_BGR2RGB)
                Path("ref.png").write_bytes(encode_png(paint(picture)))
    assert ran >= 2
    assert os.listdir(desk)


@pytest.mark.parametrize("name", ["security.md", "reliability.md"])
def test_tests_that_are_named_are_there(name: str) -> None:
    named = set(re.findall(r"\btest_\w+", (ROOT / "docs" / name).read_text(encoding="utf-8")))
    there = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    for path in (ROOT / "tests").rglob("test_*.py"):
        there |= set(re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8")))
    assert named - there == set()
