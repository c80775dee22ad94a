"""How many of something may be under way at once, counted before anything waits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from stream.errors import CapacityError
from stream.refused import refused


class Room:
    """Places for so many at a time; on the event loop only.

    Args:
        places: how many.
        what: named in the error, "uploads".
        cause: under which refusals are counted.
    """

    def __init__(self, places: int, what: str, cause: str) -> None:
        self.taken = 0
        self._places, self._what, self._cause = places, what, cause

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A place for as long as the block runs.

        Raises:
            CapacityError: all are taken.
        """
        if self.taken >= self._places:
            refused.note(self._cause)
            raise CapacityError(
                f"{self._places} {self._what} are under way, as many as may be at a time",
                "try again in a moment",
                retry_after_s=2,
            )
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
