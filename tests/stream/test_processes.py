"""Processes on each system; Windows and macOS are pretended where what they offer can be stood in for."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import subprocess
import sys
import time
import types
from pathlib import Path

import psutil
import pytest

from stream import processes


@pytest.fixture
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(processes.SIDE_PRIORITY)  # tests/conftest.py sets it


@pytest.mark.usefixtures("nothing_said")
def test_the_lowest_priority_of_this_system_is_taken() -> None:
    code = (
        "import os, psutil; from stream.processes import lower_priority; lower_priority();"
        "print(psutil.Process().nice(), getattr(os, 'sched_getscheduler', lambda pid: -1)(0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    nice, scheduler = map(int, done.stdout.split())
    assert nice in (19, getattr(psutil, "IDLE_PRIORITY_CLASS", 19))
    assert scheduler == getattr(os, "SCHED_IDLE", -1)


@pytest.mark.parametrize("said", ["ordinary", "lowest", "low"])
def test_a_variable_says_whether_to_take_it(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[object] = []
    monkeypatch.setenv(processes.SIDE_PRIORITY, said)
    monkeypatch.setattr(psutil.Process, "nice", lambda self, value=None: taken.append(value))
    monkeypatch.setattr(os, "nice", taken.append, raising=False)
    monkeypatch.setattr(os, "sched_setscheduler", lambda *told: taken.append(told), raising=False)
    if said == "low":
        with pytest.raises(ValueError, match="LIVERY_SIDE_PRIORITY must be lowest or ordinary, got 'low'"):
            processes.lower_priority()
    else:
        processes.lower_priority()
    assert bool(taken) == (said == "lowest")


def test_processor_time_is_that_of_the_process() -> None:
    before_s, own_s = processes.processor_s(os.getpid()), time.process_time()
    while time.process_time() - own_s < 0.1:
        pass
    assert processes.processor_s(os.getpid()) - before_s >= 0.05
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert processes.processor_s(ended.pid) == 0


@pytest.mark.usefixtures("nothing_said")
def test_windows_has_a_priority_class_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(psutil, "IDLE_PRIORITY_CLASS", 64, raising=False)
    monkeypatch.setattr(psutil.Process, "nice", lambda self, value=None: taken.append(value))
    monkeypatch.delattr(os, "nice")
    monkeypatch.delattr(os, "sched_setscheduler", raising=False)
    processes.lower_priority()
    assert taken == [64]


def test_memory_is_told_without_proc() -> None:
    before = processes.resident_mb()
    held = bytearray(os.urandom(1 << 20) * 64)
    assert processes.resident_mb() > before + 50
    assert held


class FakeLocks(types.ModuleType):
    """msvcrt as two processes would see it: the second `locking` fails while the file is open."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        super().__init__("msvcrt")
        self.held: set[tuple[int, int]] = set()
        self.asked: list[int] = []

    def locking(self, number: int, mode: int, size: int) -> None:
        self.asked.append(mode)
        told = os.fstat(number)
        if (told.st_dev, told.st_ino) in self.held:
            raise PermissionError(13, "Permission denied")
        self.held.add((told.st_dev, told.st_ino))


def test_a_lock_on_windows_is_waited_for_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = FakeLocks()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delattr(os, "getuid", raising=False)
    monkeypatch.setenv("USERNAME", "A. Person")
    monkeypatch.delattr(os, "O_NOFOLLOW", raising=False)
    monkeypatch.setitem(sys.modules, "msvcrt", fake)

    def give_up() -> None:
        raise TimeoutError

    with processes.turn("fill cuda:0"):
        with pytest.raises(TimeoutError), processes.turn("fill cuda:0", give_up):
            pass
        with processes.turn("fill cuda:1", give_up):
            pass
        fake.held.clear()  # as the end of the process that holds it does
        with processes.turn("fill cuda:0", give_up):
            pass
    assert set(fake.asked) == {FakeLocks.LK_NBLCK}


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="links need rights on Windows")
def test_a_link_that_another_user_made_is_not_followed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with processes.turn("one"):
        pass
    (made,) = tmp_path.iterdir()
    made.unlink()
    made.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"), processes.turn("one"):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_that_a_player_has_open_is_replaced_when_it_is_let_go(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Windows refuses while it is open."""
    new, old = tmp_path / "new", tmp_path / "old"
    new.write_text("new")
    old.write_text("old")
    replace, tries = Path.replace, itertools.count()

    def held_open(self: Path, target: Path) -> Path:
        if next(tries) < 3:
            raise PermissionError(13, "Access is denied")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", held_open)
    with pytest.raises(PermissionError):
        processes.replace_file(new, old)  # on Linux it means what it says
    monkeypatch.setattr(sys, "platform", "win32")
    processes.replace_file(new, old)
    assert old.read_text() == "new"
    assert not new.exists()


def test_patience_with_an_open_file_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tries: list[Path] = []

    def held_open(path: Path) -> None:
        tries.append(path)
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr("shutil.rmtree", held_open)
    monkeypatch.setattr(processes, "BUSY_S", 0.12)
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(PermissionError):
        processes.remove_folder(tmp_path)
    assert len(tries) > 1


def test_a_folder_that_is_still_written_to_is_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder, rmtree = tmp_path / "film", shutil.rmtree
    (folder / "pieces").mkdir(parents=True)
    errors = [FileNotFoundError(errno.ENOENT, "renamed meanwhile"), OSError(errno.ENOTEMPTY, "a file came")]

    def disturbed(path: Path) -> None:
        if errors:
            raise errors.pop()
        rmtree(path)

    monkeypatch.setattr("shutil.rmtree", disturbed)
    processes.remove_folder(folder)
    assert not folder.exists()
    processes.remove_folder(folder)  # another one was quicker
