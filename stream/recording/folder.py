"""A recording's folder, which may come from anybody: files lie in it, whole or not at all."""

from __future__ import annotations

import os
import re
from pathlib import Path

from stream.media.probe import MediaError

BARE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,80}(\.[A-Za-z0-9]{1,10}){1,3}")


def inside(folder: Path, name: object, what: str) -> Path:
    """The file of a bare name in a folder, which need not be there.

    Args:
        folder: of the recording.
        name: as it was read from a file.
        what: names it for the error, "source".

    Raises:
        MediaError: no bare name, or it is a link, which may lead elsewhere.
    """
    if not isinstance(name, str) or not BARE.fullmatch(name):
        raise MediaError(f"{what} must be the bare name of a file in {folder}, got {str(name)[:100]!r}")
    path = folder / name
    if path.is_symlink():
        raise MediaError(f"{path}: is a link; only files of the folder itself are used")
    return path


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """A file's content.

    Raises:
        MediaError: a link, too large or not readable.
    """
    if path.is_symlink():
        raise MediaError(f"{path}: is a link; only files of the folder itself are used")
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as exc:
        raise MediaError(f"{path}: cannot be read ({exc.strerror or exc})") from exc
    if len(data) > most_bytes:
        raise MediaError(f"{path}: is larger than {most_bytes / 1e6:g} MB, which it never is by itself")
    return data


def begin(path: Path) -> Path:
    """An empty file to write into, beside `path` and with its suffix, readable by its owner only.

    What stood under its name before is removed, so that a link leads nowhere. `path.replace` makes it final.

    Raises:
        MediaError: it cannot be made.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        temporary.unlink(missing_ok=True)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as exc:
        raise MediaError(f"{path}: cannot be written ({exc.strerror or exc})") from exc
    return temporary


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file so that it is there whole or not at all, whatever happens meanwhile.

    Raises:
        MediaError: it cannot be written, as on a full disk; what was there before stays.
    """
    temporary = begin(path)
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as exc:
        temporary.unlink(missing_ok=True)
        raise MediaError(f"{path}: cannot be written ({exc.strerror or exc})") from exc
