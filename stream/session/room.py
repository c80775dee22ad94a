"""A limit on how many operations of one kind run at once. Operations are counted before they wait."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from stream.errors import CapacityError
from stream.refused import refused


class Room:
    """Limits how many operations run at once. Use it on the event loop only.

    Args:
        places: how many operations may run at once.
        what: what the error calls the operations, for example "uploads".
        cause: the name under which refusals are counted.
    """

    def __init__(self, places: int, what: str, cause: str) -> None:
        self.taken = 0
        self._places, self._what, self._cause = places, what, cause

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Hold one place while the block runs.

        Raises:
            CapacityError: all places are taken.
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
