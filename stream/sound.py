"""The publisher's sound for any number of viewers, whoever publishes at the moment."""

from __future__ import annotations

import asyncio
import contextlib
import fractions
import logging
import time

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

logger = logging.getLogger(__name__)

HELD_FRAMES = 50  # one second of 20 ms frames; a viewer that reads slower loses the oldest
RATE = 48_000


class ViewerSound(MediaStreamTrack):
    """The session's sound for one viewer; silent gaps simply bring no frames."""

    kind = "audio"

    def __init__(self, hub: Sound) -> None:
        super().__init__()
        self._hub = hub
        self._queue: asyncio.Queue[av.AudioFrame | None] = asyncio.Queue()

    def put(self, frame: av.AudioFrame | None) -> None:
        """Offer a frame; None ends the track."""
        if self._queue.qsize() >= HELD_FRAMES:
            self._queue.get_nowait()
        self._queue.put_nowait(frame)

    async def recv(self) -> av.AudioFrame:
        """The next frame.

        Raises:
            MediaStreamError: the track has ended.
        """
        if self.readyState != "live":
            raise MediaStreamError
        frame = await self._queue.get()
        if frame is None:
            self.stop()
            raise MediaStreamError
        return frame

    def stop(self) -> None:
        """End the track."""
        super().stop()
        self._hub.leave(self)


class Sound:
    """Reads the publisher's track and hands each frame to every viewer, in one continuous time."""

    def __init__(self) -> None:
        self._viewers: set[ViewerSound] = set()
        self._start_s = time.monotonic()
        self._next_pts = 0

    def track(self) -> ViewerSound:
        """A track for one more viewer."""
        viewer = ViewerSound(self)
        self._viewers.add(viewer)
        return viewer

    def leave(self, viewer: ViewerSound) -> None:
        """Forget a viewer."""
        self._viewers.discard(viewer)

    def close(self) -> None:
        """End every viewer's track."""
        for viewer in list(self._viewers):
            viewer.put(None)

    async def drain(self, track: MediaStreamTrack) -> None:
        """Pass on a publisher's track until it ends.

        A new publisher begins at its own time stamps; they are shifted to go on where the last one's
        stopped, silence between them included.
        """
        shift: int | None = None
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if not isinstance(frame, av.AudioFrame) or frame.pts is None:
                    continue
                if shift is None:
                    elapsed = int((time.monotonic() - self._start_s) * frame.sample_rate)
                    shift = max(elapsed, self._next_pts) - frame.pts
                frame.pts += shift
                frame.time_base = fractions.Fraction(1, frame.sample_rate)
                self._next_pts = frame.pts + frame.samples
                for viewer in list(self._viewers):
                    viewer.put(frame)
        logger.debug("the audio track ended")
