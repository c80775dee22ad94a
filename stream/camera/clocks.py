"""The pace of a recording, and a check whether the machine was suspended."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
LATE_S = 1.0  # a recording that is later than this does not catch up
SLEPT_S = 5.0  # a camera is opened again after a gap of this length between two frames


class Pace:
    """Tells when each frame of a recording is due.

    Args:
        clock: returns the time, seconds. It never goes back.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._offset_s: float | None = None

    def wait_s(self, time_s: float) -> float:
        """Seconds until the frame at `time_s` of the recording is due. Negative if it is late.

        After a pause of more than `LATE_S`, for example of the machine, the frame is due at once.
        """
        now_s = self._clock()
        if self._offset_s is None:
            self._offset_s = now_s - time_s
        wait_s = self._offset_s + time_s - now_s
        if abs(wait_s) > LATE_S:
            self._offset_s, wait_s = now_s - time_s, 0.0
        return wait_s


class SleepWatch:
    """Notices that the machine was suspended: a clock jumped by more than `SLEPT_S` between two calls.

    On Linux and macOS the monotonic clock stops while the machine is suspended, and the wall clock does not.
    On Windows both go on.

    Args:
        monotonic, wall: return the time of the two clocks, seconds.
    """

    def __init__(self, monotonic: Clock = time.monotonic, wall: Clock = time.time) -> None:
        self._clocks = (monotonic, wall)
        self._last = tuple(clock() for clock in self._clocks)

    def slept(self) -> bool:
        """Whether the machine was suspended since the last call."""
        last, self._last = self._last, tuple(clock() for clock in self._clocks)
        return max(now - before for now, before in zip(self._last, last, strict=True)) > SLEPT_S
