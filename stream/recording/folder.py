"""Safe access to a recording's folder, which may come from anybody.

Files in it are whole or not there at all.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from stream.media.probe import MediaError
from stream.processes import replace_file, unwritten

BARE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,80}(\.[A-Za-z0-9]{1,10}){1,3}")


def inside(folder: Path, name: object, what: str) -> Path:
    """Return the path of a file in a folder. The file need not exist.

    Args:
        folder: folder of the recording.
        name: the file's name, as it was read from a description.
        what: what the error calls the file, for example "source".

    Raises:
        MediaError: `name` holds more than a file name, or the file is a link, which may lead elsewhere.
    """
    if not isinstance(name, str) or not BARE.fullmatch(name):
        raise MediaError(f"{what} must be the bare name of a file in {folder}, got {str(name)[:100]!r}")
    path = folder / name
    if path.is_symlink():
        raise MediaError(f"{path}: is a link; only files of the folder itself are used")
    return path


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """Return the content of a file.

    Raises:
        MediaError: the file is a link or no regular file, too large or unreadable.
    """
    if path.is_symlink():
        raise MediaError(f"{path}: is a link; only files of the folder itself are used")
    if path.exists() and not path.is_file():  # opening a pipe would wait without end
        raise MediaError(f"{path}: is a folder, a pipe or a device, not a file")
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as exc:
        raise MediaError(f"{path}: cannot be read ({exc.strerror or exc})") from exc
    if len(data) > most_bytes:
        raise MediaError(f"{path}: is larger than {most_bytes / 1e6:g} MB, which it never is by itself")
    return data


def begin(path: Path) -> Path:
    """Create an empty file to write to, beside `path` and with its suffix. Only its owner can read it.

    An older file of that name is removed first, so that a link leads nowhere. Move the result to `path` with
    `replace_file`.

    Raises:
        MediaError: the file cannot be created.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        temporary.unlink(missing_ok=True)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as exc:
        raise MediaError(unwritten(path, exc)) from exc
    return temporary


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file so that it is there whole or not at all, even if the process is killed.

    Raises:
        MediaError: the file cannot be written, for example on a full disk. An earlier file stays.
    """
    temporary = begin(path)
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        replace_file(temporary, path)
    except OSError as exc:
        temporary.unlink(missing_ok=True)
        raise MediaError(unwritten(path, exc)) from exc
