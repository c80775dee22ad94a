"""Whether the pictures of a session's looks have room in its memory."""

from __future__ import annotations

from collections.abc import Iterable

from stream.errors import ConflictError
from stream.looks.history import History
from stream.looks.look import EDIT_BYTES, REFERENCE_BYTES, Pictures, memory


def make_room(held: Iterable[Pictures], history: History, most_bytes: int) -> None:
    """Forget the oldest undo steps until the pictures fit.

    Raises:
        ConflictError: the pictures do not fit without any step either.
    """
    held = list(held)
    while memory([*held, *history.pictures()]) > most_bytes and history.forget_oldest():
        pass
    _refuse_beyond(memory(held), most_bytes)


def check_pixels(pixels: int, held: Iterable[Pictures], most_bytes: int) -> None:
    """Check that further edits of so many pixels would fit, before any work on them.

    Raises:
        ConflictError: they would not.
    """
    _refuse_beyond(memory(held) + pixels * (EDIT_BYTES + REFERENCE_BYTES), most_bytes)


def _refuse_beyond(needed: int, most_bytes: int) -> None:
    if needed > most_bytes:
        raise ConflictError(
            f"this session's pictures would take {needed / 2**20:.0f} MiB, "
            f"{most_bytes / 2**20:.0f} MiB are allowed",
            "remove a look or a keyframe, or use smaller pictures",
        )
