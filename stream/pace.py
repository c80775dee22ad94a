"""Says, soon after long work on frames began, how long all of it will take."""

from __future__ import annotations

import time
from collections.abc import Callable

TRIED = (4, 16)  # frames before the first estimate of the time left out, and measured for it


class Pace:
    """Counts frames as they are made, and says once how long all of them will take.

    Args:
        expected: number of frames that there are, roughly.
        progress: called after each frame.
        say: called once, with the estimate.
        clock: returns the time in seconds.
    """

    def __init__(
        self,
        expected: int,
        progress: Callable[[str, int, int], None],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._expected, self._progress, self._say, self._clock = expected, progress, say, clock
        self._done = self._worked = 0
        self._from_s = 0.0

    def __call__(self, worked: bool = True) -> None:
        """Count a frame.

        Args:
            worked: whether it was edited. Others take no time that is worth counting.
        """
        self._done += 1
        self._worked += worked
        self._progress("edit", self._done, max(self._expected, self._done))
        skipped, measured = TRIED
        if worked and self._worked == skipped:  # the first ones load models
            self._from_s = self._clock()
        if worked and self._worked == skipped + measured and self._expected > self._done:
            each_s = (self._clock() - self._from_s) / measured
            left_s = each_s * (self._expected - self._done)
            left = f"{left_s:.0f} s" if left_s < 100 else f"{left_s / 60:.0f} minutes"
            self._say(f"{self._expected} frames at {1000 * each_s:.0f} ms each: about {left}")
