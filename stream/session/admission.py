"""Decides from the measured processor load whether one more live session fits on this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable

from stream.errors import CapacityError
from stream.refused import refused

STEADY = 3  # a session's share is trusted after this many samples without a change of the live sessions
FRESH = 0.5  # weight of the newest sample


def cores() -> int:
    """Number of processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


class Admission:
    """Refuses a live session that would slow the others down.

    The load of a session is measured: it is this process's processor time per second, divided by the number
    of live sessions. The first live session is never refused, and nothing is refused before a measurement.

    Args:
        most: share of the processors that all live sessions may use together, (0, 1]. 0 refuses nobody.
        processors: number of processors. None counts those that this process may use.
        clock: wall clock, seconds.
        cpu_clock: processor time of this process, seconds.
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
        self._each: float | None = None  # processors that one session uses

    def sample(self) -> None:
        """Measure the load. Call this about once a second."""
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
        """Check whether a session that is not live yet fits.

        Raises:
            CapacityError: the session does not fit.
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
        """Count a session as live. A second call for the same session does nothing.

        Raises:
            CapacityError: the session does not fit.
        """
        self.check(session)
        if session not in self._live:
            self._live.add(session)
            self._steady = 0

    def leave(self, session: Hashable) -> None:
        """Stop counting a session as live."""
        if session in self._live:
            self._live.discard(session)
            self._steady = 0
            self.used = max(0.0, self.used - (self._each or 0.0))
