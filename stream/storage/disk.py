"""Writes files and folders that only this user may read. A crash leaves the old file or the new one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from stream.processes import replace_file

PART = ".part"  # suffix of a file that is being written


def make_folder(path: Path) -> None:
    """Make a folder with mode 0700, and its parents. An existing folder keeps its mode.

    Raises:
        OSError: it cannot be made.
    """
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)


def write_file(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Write a whole file with mode 0600. After a crash, the old or the new file is there.

    Args:
        path: the file. An existing file of that name is replaced.
        data: its content.
        sync: whether to wait until it is on the disk, so that a power cut does not lose it.

    Raises:
        OSError: it cannot be written. Nothing of it is left then.
    """
    part = path.with_name(f".{path.name}{PART}")
    try:
        part.unlink(missing_ok=True)  # of an earlier process, or a link, which is not followed
        number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(number, "wb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        replace_file(part, path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk. Windows does this by itself."""
    if os.name != "posix":
        return
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
