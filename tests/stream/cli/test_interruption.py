"""Ctrl-C, SIGTERM and a closed terminal: what was done so far is kept."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.cli import main as cli
from stream.cli.main import main
from stream.cli.progress import interruptible
from tests.conftest import ENTRY, ROOT
from tests.stream.clips import Clip, make_clip, painted_frame, read_back


@pytest.fixture(autouse=True)
def hangups_end() -> Iterator[None]:
    """As in a terminal, also where the tests themselves run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="module")
def long_edit(tmp_path_factory: pytest.TempPathFactory) -> list[str | Path]:
    """A clip of 500 frames and how to edit it; its output's name is to follow."""
    folder = tmp_path_factory.mktemp("long")
    clip = make_clip(folder / "in.mp4", Clip(frames=500, audio="aac", options={"preset": "ultrafast"}))
    picture = painted_frame(clip, 0, folder / "edited.png")
    return ["edit", clip, "--edited", picture, "--reference", "0", "--matcher", "classical", "-o"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_with_130_and_a_playable_file(
    long_edit: list[str | Path], tmp_path: Path, number: signal.Signals
) -> None:
    command = [*ENTRY, *map(str, long_edit), str(tmp_path / "out.mp4")]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        wait_for_growth(tmp_path, running)
        assert not (tmp_path / "out.mp4").exists()
        running.send_signal(number)
        _, said = running.communicate(timeout=30)
    assert running.returncode == 130, said
    assert f"holds the first {check_begun(Path(long_edit[1]), tmp_path)} frames" in said
    assert "Traceback" not in said


def test_a_closed_terminal_leaves_a_playable_file(long_edit: list[str | Path], tmp_path: Path) -> None:
    command = [*ENTRY, *map(str, long_edit), str(tmp_path / "out.mp4")]
    command[2] = f"import os; os.open(os.ttyname(2), os.O_RDWR); {command[2]}"  # its controlling terminal
    ours, theirs = os.openpty()
    with subprocess.Popen(
        command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, text=True
    ) as running:
        os.close(theirs)
        wait_for_growth(tmp_path, running)
        os.close(ours)
        assert running.wait(timeout=30) == 130
    check_begun(Path(long_edit[1]), tmp_path)


def check_begun(clip: Path, folder: Path) -> int:
    """Frames of the one file in a folder, which must hold the clip's beginning."""
    assert [path.name for path in folder.iterdir()] == ["out.mp4"]
    before, after = read_back(clip), read_back(folder / "out.mp4")
    assert 0 < len(after.times) < 500
    assert after.times == before.times[: len(after.times)]
    assert after.sound
    return len(after.times)


def wait_for_growth(folder: Path, running: subprocess.Popen[str]) -> None:
    """Until the output under its temporary name holds a few frames."""
    for _ in range(2400):
        if any(path.stat().st_size > 2000 for path in folder.glob(".*.part.*")):
            return
        assert running.poll() is None, "it ended before it could be interrupted"
        time.sleep(0.05)
    pytest.fail("nothing was written within 120 s")


def test_the_second_ctrl_c_raises() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as stop:
        assert not stop()
        signal.raise_signal(signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_may_come_twice(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with interruptible() as stop:
        for _ in range(2):
            signal.raise_signal(number)
        assert stop()
    assert signal.getsignal(number) is before


def test_a_hangup_stays_ignored_under_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_interrupted_verb_leaves_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(args: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.RUNS, "doctor", interrupted)
    assert main(["doctor"]) == 130
    assert "interrupted" in capsys.readouterr().err
