"""Sends the present publisher's sound to any number of viewers.

Opus packets pass through without being decoded. aiortc's sender takes packets in place of frames
(`OpusEncoder.pack`), numbers them itself and uses their time stamps. Sound in another codec (G.711, G.722) is
encoded once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import TypeAlias

import av
from aiortc import MediaStreamTrack
from aiortc.codecs.opus import SAMPLE_RATE, SAMPLES_PER_FRAME, TIME_BASE, OpusEncoder
from aiortc.mediastreams import MediaStreamError
from av.stream import Stream

from stream.rtc.aiortc_patch import codec_executor
from stream.rtc.receivers import pass_through

logger = logging.getLogger(__name__)

HELD_PACKETS = 50  # one second of 20 ms packets; a slow viewer loses the oldest
SoundPacket: TypeAlias = "av.Packet[Stream]"


def opus_samples(data: bytes) -> int:
    """Read the length of an Opus packet from its first bytes (RFC 6716, section 3.1).

    Returns:
        The length in samples at 48 kHz. 0 if the packet is too short to tell.
    """
    if not data:
        return 0
    kind, code = data[0] >> 3, data[0] & 3
    if kind < 12:  # SILK: 10, 20, 40, 60 ms
        frame = (480, 960, 1920, 2880)[kind & 3]
    elif kind < 16:  # hybrid: 10, 20 ms
        frame = (480, 960)[kind & 1]
    else:  # CELT: 2.5, 5, 10, 20 ms
        frame = 120 << (kind & 3)
    if code < 3:
        return frame * (1, 2, 2)[code]
    return frame * (data[1] & 0x3F) if len(data) > 1 else 0


class ViewerSound(MediaStreamTrack):
    """The session's sound for one viewer. During silent gaps there are no packets."""

    kind = "audio"

    def __init__(self, hub: Sound) -> None:
        super().__init__()
        self._hub = hub
        self._queue: asyncio.Queue[SoundPacket | None] = asyncio.Queue()

    def put(self, packet: SoundPacket | None) -> None:
        """Offer a packet. None ends the track."""
        if self._queue.qsize() >= HELD_PACKETS:
            self._queue.get_nowait()
        self._queue.put_nowait(packet)

    async def recv(self) -> SoundPacket:
        """Return the next packet. Other viewers share the same object.

        Raises:
            MediaStreamError: the track has ended.
        """
        if self.readyState != "live":
            raise MediaStreamError
        packet = await self._queue.get()
        if packet is None:
            self.stop()
            raise MediaStreamError
        return packet

    def stop(self) -> None:
        """End the track."""
        super().stop()
        self._hub.leave(self)


class Sound:
    """Reads the publisher's track and hands each packet to every viewer, on one continuous time line."""

    def __init__(self) -> None:
        self._viewers: set[ViewerSound] = set()
        self._start_s = time.monotonic()
        self._next_pts = 0

    def track(self) -> ViewerSound:
        """Make a track for one more viewer."""
        viewer = ViewerSound(self)
        self._viewers.add(viewer)
        return viewer

    def leave(self, viewer: ViewerSound) -> None:
        """Remove a viewer."""
        self._viewers.discard(viewer)

    def close(self) -> None:
        """End every viewer's track."""
        for viewer in list(self._viewers):
            viewer.put(None)

    async def drain(self, track: MediaStreamTrack) -> None:
        """Pass a publisher's track on until it ends.

        A new publisher has time stamps of its own. They are shifted to continue after those of the last
        publisher, including the silence between the two.
        """
        shift: int | None = None
        with contextlib.suppress(MediaStreamError):
            async for data, pts in _opus(track):
                if shift is None:
                    elapsed = int((time.monotonic() - self._start_s) * SAMPLE_RATE)
                    shift = max(elapsed, self._next_pts) - pts
                packet: SoundPacket = av.Packet(data)
                packet.pts, packet.time_base = pts + shift, TIME_BASE
                self._next_pts = max(self._next_pts, pts + shift + opus_samples(data))
                for viewer in list(self._viewers):
                    viewer.put(packet)
        logger.debug("the audio track ended")


async def _opus(track: MediaStreamTrack) -> AsyncIterator[tuple[bytes, int]]:
    """Yield a track's Opus packets and their times in samples at 48 kHz. The times may begin anywhere.

    Raises:
        MediaStreamError: the track has ended.
    """
    pass_through(track)
    encoder: OpusEncoder | None = None
    loop = asyncio.get_running_loop()
    while True:
        item = await track.recv()
        if isinstance(item, av.Packet):
            if item.pts is not None:
                yield bytes(item), item.pts
        elif isinstance(item, av.AudioFrame):
            encoder = encoder or OpusEncoder()
            encoded, first = await loop.run_in_executor(codec_executor(), encoder.encode, item)
            for number, data in enumerate(encoded):
                yield data, first + number * SAMPLES_PER_FRAME
