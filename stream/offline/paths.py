"""Names of files that are read and written, checked before any work."""

from __future__ import annotations

from pathlib import Path

from stream.media.probe import MediaError


def check_paths(inputs: tuple[Path, ...], output: Path, overwrite: bool) -> None:
    """See that the inputs are there and that the output may be written.

    Raises:
        MediaError: a missing input, or an output that is also an input, a folder, nowhere or there already.
    """
    for path in inputs:
        if not path.exists():
            raise MediaError(f"{path}: no such file")
        if output.exists() and output.samefile(path):
            raise MediaError(f"{output}: is also the input; give the output another name")
    check_output(output, overwrite)


def check_output(output: Path, overwrite: bool) -> None:
    """See that a file may be written under a name.

    Raises:
        MediaError: a folder, in no folder, or there already.
    """
    if output.is_dir():
        raise MediaError(f"{output}: is a folder")
    if not output.parent.is_dir():
        raise MediaError(f"{output}: there is no folder {output.parent}")
    if output.exists() and not overwrite:
        raise MediaError(f"{output}: exists already; --overwrite replaces it")


def check_writable(output: Path) -> None:
    """See that a file can be written, by opening it; what is in it stays.

    Raises:
        MediaError: it cannot.
    """
    new = not output.exists()
    try:
        output.open("ab").close()
    except OSError as exc:
        raise MediaError(f"{output}: cannot be written ({exc.strerror})") from exc
    if new:
        output.unlink()
