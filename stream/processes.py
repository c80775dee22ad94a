"""What each system does in its own way: priority and memory of a process, locks, files put in place."""

from __future__ import annotations

import contextlib
import errno
import getpass
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO

import psutil

FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
BARRED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT)  # the last one: no new files in /proc
CHANGED = (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST)  # of a removal, while another process writes there
BUSY_S = 2.0  # longest wait for a file that another program has open (Windows), or a folder that it changes
TRY_EVERY_S = 0.05
SIDE_PRIORITY = "LIVERY_SIDE_PRIORITY"  # variable: "lowest" (as without it) or "ordinary"


def lower_priority() -> None:
    """Give this process the lowest priority that its system has: it works when nothing else does.

    Where other programs never leave the processor to it, `LIVERY_SIDE_PRIORITY=ordinary` leaves its priority
    as it is.

    Raises:
        ValueError: the variable says something else.
    """
    asked = os.environ.get(SIDE_PRIORITY, "lowest")
    if asked not in ("lowest", "ordinary"):
        raise ValueError(f"{SIDE_PRIORITY} must be lowest or ordinary, got {asked!r}")
    if asked == "ordinary":
        return
    with contextlib.suppress(OSError, psutil.Error):
        if sys.platform == "win32":
            psutil.Process().nice(psutil.IDLE_PRIORITY_CLASS)
        else:
            os.nice(19)
    with contextlib.suppress(AttributeError, OSError):  # only Linux has the idle class
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def resident_mb() -> float:
    """Resident memory of this process in megabytes."""
    return float(psutil.Process().memory_info().rss) / 1e6


def processor_s(pid: int) -> float:
    """Processor time that a process has used, seconds. 0 if there is no such process."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def replace_file(source: Path, target: Path) -> None:
    """Give `source` the name `target`, in place of what has it.

    On Windows this fails while another program has `target` open, as a player or a virus scanner does. It is
    then tried again for `BUSY_S` seconds.

    Raises:
        OSError: the file cannot be put there.
    """
    _patiently(lambda: source.replace(target))


def unwritten(path: Path, failure: Exception) -> str:
    """Say that a file cannot be written, why, and what may help.

    Args:
        path: the file.
        failure: the system's error, or FFmpeg's, which has a number and a text like the system's.
    """
    number = getattr(failure, "errno", None)
    way = "try another name, folder or kind of file"
    if number in FULL:
        way = "make room on this disk, or write to another one"
    elif number in BARRED:
        way = "choose a folder that you may write to"
    return f"{path}: cannot be written ({getattr(failure, 'strerror', None) or failure}); {way}"


def remove_folder(path: Path) -> None:
    """Remove a folder with all that is in it, as patiently as `replace_file`.

    It is also tried again if a file came or went meanwhile, because another process still writes there.

    Raises:
        OSError: something of it cannot be removed.
    """

    def remove() -> None:
        if path.exists():
            shutil.rmtree(path)

    _patiently(remove, CHANGED)


def _patiently(act: Callable[[], object], passing: Collection[int] = ()) -> None:
    """Try again for `BUSY_S` seconds while a file is open on Windows, or errors of these numbers come."""
    end_s = time.monotonic() + BUSY_S
    while True:
        try:
            act()
            return
        except OSError as exc:
            busy = sys.platform == "win32" and isinstance(exc, PermissionError)
            if not (busy or exc.errno in passing) or time.monotonic() > end_s:
                raise
            time.sleep(TRY_EVERY_S)


@contextlib.contextmanager
def turn(name: str, check: Callable[[], None] = lambda: None, wait_s: float = 0.05) -> Iterator[None]:
    """Hold a lock that this user's processes on this machine share. A process that ends gives it up.

    Args:
        name: of the lock; letters and digits of it count.
        check: called while waiting. It raises to give up.
        wait_s: time between two attempts, seconds.

    Raises:
        OSError: the lock's file, in the system's temporary folder, cannot be made or is a link.
    """
    parts = ("livery", str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser(), name)
    path = Path(tempfile.gettempdir()) / f"{'-'.join(re.sub(r'[^A-Za-z0-9]', '', p) for p in parts)}.lock"
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)  # no link that another user made
    with os.fdopen(os.open(path, flags, 0o600), "r+") as file:
        while not _locked(file):
            check()
            time.sleep(wait_s)
        yield  # closing the file gives the lock up


def _locked(file: IO[str]) -> bool:
    """Take the lock of an open file, unless another process holds it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
