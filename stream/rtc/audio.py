"""Delays sound by the delay of the picture, so that lips and voice stay together."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.audio.stream import AudioStream

MAX_DELAY_S = 1.0  # sound never waits longer than this for the picture
QUEUE_ITEMS = 100  # two seconds of 20 ms packets; the oldest are dropped beyond it
LATE_S = 0.25  # sound that is overdue by more is skipped (for example, the viewer has only now connected)
SLEW = 0.02  # seconds of change per second; the receiver's buffer follows without a click
CATCH_UP_S = 1.0  # a large error shrinks with this time constant

AudioItem: TypeAlias = "av.Packet[AudioStream] | av.AudioFrame"


class Hold:
    """A delay that follows a measured delay smoothly.

    Small errors are corrected by at most 20 ms per second. A large error (the source changed, a stage was
    switched on) is corrected by its own size per second, so that 100 ms of skew fall below 40 ms after one
    second.
    """

    def __init__(self) -> None:
        self.delay_s: float | None = None
        self._at_s = 0.0

    def follow(self, target_s: float, now_s: float) -> float:
        """Return the delay to apply at `now_s`, seconds. The first call takes `target_s` as it is."""
        target_s = min(max(target_s, 0.0), MAX_DELAY_S)
        if self.delay_s is None:
            self.delay_s = target_s
        else:
            error_s, step_s = target_s - self.delay_s, max(now_s - self._at_s, 0.0)
            change_s = min(max(SLEW, abs(error_s) / CATCH_UP_S) * step_s, abs(error_s))
            self.delay_s += change_s if error_s > 0 else -change_s
        self._at_s = now_s
        return self.delay_s


class DelayedAudioTrack(MediaStreamTrack):
    """Repeats the track `source`, delayed by the measured delay of the picture.

    Packets (Opus passed through, see `stream.rtc.receivers.pass_through`) and frames are handed on unchanged,
    with their time stamps. Only the time at which they leave changes. The source is read as soon as this
    track is made, so that no backlog forms before the viewer has connected.

    Args:
        source: an audio track that nobody else reads.
        delay_s: returns the present delay of the picture from arrival to departure, seconds.
        clock: returns the time in seconds.
        sleep: waits for the given number of seconds.
    """

    kind = "audio"

    def __init__(
        self,
        source: MediaStreamTrack,
        delay_s: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__()
        self.last_delay_s = 0.0  # delay of the last item, for the sender reports
        self.dropped = 0
        self._source = source
        self._target = delay_s
        self._clock, self._sleep = clock, sleep
        self._hold = Hold()
        self._queue: deque[tuple[AudioItem, float]] = deque()
        self._arrived = asyncio.Event()
        self._pump = asyncio.ensure_future(self._read())

    async def recv(self) -> AudioItem:
        """Return the next packet or frame when it is due.

        Raises:
            MediaStreamError: the source or this track has ended.
        """
        while True:
            item, arrived_s = await self._oldest()
            now_s = self._clock()
            due_s = arrived_s + self._hold.follow(self._target(), now_s)
            if now_s - due_s <= LATE_S or not self._queue:
                break
            self.dropped += 1
        if due_s > now_s:
            await self._sleep(due_s - now_s)
        self.last_delay_s = self._clock() - arrived_s
        return item

    async def _oldest(self) -> tuple[AudioItem, float]:
        """Return the item that arrived first and its time of arrival."""
        while not self._queue:
            if self.readyState != "live" or self._pump.done():
                self.stop()
                raise MediaStreamError
            self._arrived.clear()
            await self._arrived.wait()
        return self._queue.popleft()

    def stop(self) -> None:
        """Stop reading the source and end the track. The source is stopped too."""
        if self.readyState == "live":
            super().stop()
            self._pump.cancel()
            self._source.stop()
            self._arrived.set()

    async def _read(self) -> None:
        try:
            while True:
                item = await self._source.recv()
                if not isinstance(item, (av.Packet, av.AudioFrame)):
                    raise TypeError(f"an audio track gave {type(item).__name__}")
                if len(self._queue) >= QUEUE_ITEMS:
                    self._queue.popleft()
                    self.dropped += 1
                self._queue.append((item, self._clock()))
                self._arrived.set()
        except MediaStreamError:
            return
        finally:
            self._arrived.set()
