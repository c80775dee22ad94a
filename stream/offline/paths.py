"""Checks the names of input and output files before any work."""

from __future__ import annotations

from pathlib import Path

from stream.media.opening import is_pattern, named, numbers
from stream.media.untrusted import MediaError, check_exists
from stream.processes import unwritten


def check_paths(inputs: tuple[Path, ...], output: Path, overwrite: bool) -> None:
    """Check that the inputs exist and that the output may be written.

    Raises:
        MediaError: an input is missing, or the output is also an input, is a folder, lies in no folder or
            exists already.
    """
    check_inputs(inputs)
    for path in inputs:
        if output == path or (output.exists() and path.exists() and output.samefile(path)):
            raise MediaError(f"{output}: is also the input; give the output another name")
    check_output(output, overwrite)


def check_inputs(inputs: tuple[Path, ...]) -> None:
    """Check that files, or numbered pictures, exist.

    Raises:
        MediaError: a file is missing.
    """
    for path in inputs:
        if not is_pattern(path):
            check_exists(path)


def check_output(output: Path, overwrite: bool) -> None:
    """Check that a file, or numbered pictures, may be written under a name.

    Raises:
        MediaError: the name is a folder, lies in no folder, or exists already.
    """
    if output.is_dir():
        raise MediaError(f"{output}: is a folder; name a file in it")
    if not output.parent.is_dir():
        raise MediaError(f"{output}: there is no folder {output.parent}; make it first")
    there = output if output.exists() else None
    if is_pattern(output) and (found := numbers(output)):
        there = named(output, found[0])
    if there is not None and not overwrite:
        raise MediaError(f"{there}: exists already; --overwrite replaces it")


def check_writable(output: Path) -> None:
    """Check that a file can be written, by opening it. Its content stays.

    Raises:
        MediaError: the file cannot be written.
    """
    new = not output.exists()
    try:
        output.open("ab").close()
    except OSError as exc:
        raise MediaError(unwritten(output, exc)) from exc
    if new:
        output.unlink()
