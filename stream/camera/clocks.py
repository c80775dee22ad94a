"""Keeping time: the pace of a recording, and whether the machine slept."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
LATE_S = 1.0  # a recording later than this goes on from where it is, and does not catch up
SLEPT_S = 5.0  # a gap this long between two frames of a camera: it is opened again


class Pace:
    """Says when each frame of a recording is due.

    Args:
        clock: seconds; it never goes back.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._offset_s: float | None = None

    def wait_s(self, time_s: float) -> float:
        """Seconds until the frame at `time_s` of the recording is due; below 0 by how much it is late.

        After a pause longer than `LATE_S`, of the machine for one, the frame is due now.
        """
        now_s = self._clock()
        if self._offset_s is None:
            self._offset_s = now_s - time_s
        wait_s = self._offset_s + time_s - now_s
        if abs(wait_s) > LATE_S:
            self._offset_s, wait_s = now_s - time_s, 0.0
        return wait_s


class SleepWatch:
    """Notices a suspended machine by its clocks: either jumped by more than `SLEPT_S` between two looks.

    On Linux and macOS the monotonic clock stands still meanwhile and the wall clock does not; on Windows
    both go on.

    Args:
        monotonic, wall: seconds.
    """

    def __init__(self, monotonic: Clock = time.monotonic, wall: Clock = time.time) -> None:
        self._clocks = (monotonic, wall)
        self._last = tuple(clock() for clock in self._clocks)

    def slept(self) -> bool:
        """Whether it slept since the last look."""
        last, self._last = self._last, tuple(clock() for clock in self._clocks)
        return max(now - before for now, before in zip(self._last, last, strict=True)) > SLEPT_S
