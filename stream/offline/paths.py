"""Names of files that are read and written, checked before any work."""

from __future__ import annotations

from pathlib import Path

from stream.media.opening import is_pattern, named, numbers
from stream.media.untrusted import MediaError


def check_paths(inputs: tuple[Path, ...], output: Path, overwrite: bool) -> None:
    """See that the inputs are there and that the output may be written.

    Raises:
        MediaError: a missing input, or an output that is also an input, a folder, nowhere or there already.
    """
    check_inputs(inputs)
    for path in inputs:
        if output == path or (output.exists() and path.exists() and output.samefile(path)):
            raise MediaError(f"{output}: is also the input; give the output another name")
    check_output(output, overwrite)


def check_inputs(inputs: tuple[Path, ...]) -> None:
    """See that files, or numbered pictures, are there.

    Raises:
        MediaError: one is missing.
    """
    for path in inputs:
        if not path.exists() and not is_pattern(path):
            raise MediaError(f"{path}: no such file")


def check_output(output: Path, overwrite: bool) -> None:
    """See that a file, or numbered pictures, may be written under a name.

    Raises:
        MediaError: a folder, in no folder, or there already.
    """
    if output.is_dir():
        raise MediaError(f"{output}: is a folder")
    if not output.parent.is_dir():
        raise MediaError(f"{output}: there is no folder {output.parent}")
    there = output if output.exists() else None
    if is_pattern(output) and (found := numbers(output)):
        there = named(output, found[0])
    if there is not None and not overwrite:
        raise MediaError(f"{there}: exists already; --overwrite replaces it")


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
