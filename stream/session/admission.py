"""Whether one more live session fits on this machine, from what those in place take of its processor."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable

from stream.errors import CapacityError
from stream.refused import refused

STEADY = 3  # samples without a change of who is live, before a session's share is believed
FRESH = 0.5  # weight of the newest sample


def cores() -> int:
    """Processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


class Admission:
    """Refuses a live session that would slow the others down.

    What a session takes is measured: processor time of this process for each second, over the sessions that
    are live. One alone is never refused, nor is one while nothing has been measured.

    Args:
        most: share of the processors that live sessions may take together, (0, 1]; 0 refuses nobody.
        processors: how many there are.
        clock, cpu_clock: seconds; of the day, and of processor time.
    """

    def __init__(
        self,
        most: float = 0.0,
        processors: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self.used = 0.0  # processors in use
        self._most, self._processors = most, processors or cores()
        self._clock, self._cpu_clock = clock, cpu_clock
        self._at_s, self._cpu_s = clock(), cpu_clock()
        self._live: set[Hashable] = set()
        self._steady = 0
        self._each: float | None = None  # processors that one session takes

    def sample(self) -> None:
        """Measure; call it about once a second."""
        now_s, cpu_s = self._clock(), self._cpu_clock()
        if now_s <= self._at_s:
            return
        used = (cpu_s - self._cpu_s) / (now_s - self._at_s)
        self._at_s, self._cpu_s = now_s, cpu_s
        self.used += FRESH * (used - self.used)
        self._steady += 1
        if self._live and self._steady >= STEADY:
            self._each = self.used / len(self._live)

    def check(self, session: Hashable) -> None:
        """See whether a session fits that is not live yet.

        Raises:
            CapacityError: it does not.
        """
        if session in self._live:
            return
        live, each = len(self._live), self._each
        if self._most > 0 and live and each is not None:
            expected = max(self.used, live * each) + each
            if expected > self._most * self._processors:
                refused.note("admission")
                raise CapacityError(
                    f"this machine has no room for another live session: {live} take {live * each:.1f} of "
                    f"its {self._processors} processors, and one more would slow them all down",
                    "try again when another one has ended, or raise --max-load",
                )

    def enter(self, session: Hashable) -> None:
        """Count a session that is about to be live; again does nothing.

        Raises:
            CapacityError: it does not fit.
        """
        self.check(session)
        if session not in self._live:
            self._live.add(session)
            self._steady = 0

    def leave(self, session: Hashable) -> None:
        """Forget a session that is no longer live."""
        if session in self._live:
            self._live.discard(session)
            self._steady = 0
            self.used = max(0.0, self.used - (self._each or 0.0))
