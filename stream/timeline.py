"""When each frame was taken and sent, so that a page can measure the delay of what it shows.

A page that shows the edited picture reads the RTP time of the frame on its screen. The timeline tells for
that RTP time when the frame was taken and how long the server held it.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

KEPT = 128  # frames that are remembered
TOLD_S = 1.2  # frames sent within this time are told


@dataclass(slots=True)
class _Passage:
    taken_s: float | None
    edited: bool | None = None
    rtp: int | None = None
    sent_s: float = 0.0


class Timeline:
    """Remembers the newest frames of one session, by arrival time. It may be used from any thread.

    Args:
        clock: clock of the arrival times, seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._frames: OrderedDict[float, _Passage] = OrderedDict()

    def arrived(self, captured_s: float, taken_s: float | None) -> None:
        """Note an arriving frame.

        Args:
            captured_s: its arrival; later calls name the frame by it.
            taken_s: when the publisher took it, on the publisher's own clock: seconds since 1970. None if
                the publisher has not said it.
        """
        with self._lock:
            self._frames[captured_s] = _Passage(taken_s)
            while len(self._frames) > KEPT:
                self._frames.popitem(last=False)

    def stepped(self, captured_s: float, edited: bool) -> None:
        """Note that a frame left the pipeline, edited or not."""
        with self._lock:
            if (frame := self._frames.get(captured_s)) is not None:
                frame.edited = edited

    def sent(self, captured_s: float, rtp: int) -> None:
        """Note that a frame was handed to the viewers' connections with the RTP time `rtp`."""
        with self._lock:
            if (frame := self._frames.get(captured_s)) is not None:
                frame.rtp, frame.sent_s = rtp, self._clock()

    def recent(self) -> list[list[object]]:
        """Describe the frames that were sent lately, oldest first.

        Returns:
            For each frame: RTP time, 32 bits; when it was taken, milliseconds since 1970 on the publisher's
            clock, or None; milliseconds from its arrival until it was sent; whether it was edited.
        """
        after_s = self._clock() - TOLD_S
        with self._lock:
            return [
                [
                    frame.rtp & 0xFFFFFFFF,
                    None if frame.taken_s is None else round(1000 * frame.taken_s, 1),
                    round(1000 * (frame.sent_s - captured_s), 1),
                    frame.edited,
                ]
                for captured_s, frame in self._frames.items()
                if frame.rtp is not None and frame.edited is not None and frame.sent_s > after_s
            ]
