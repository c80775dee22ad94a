"""One viewer's track of the edited stream, which is encoded once for all viewers."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from stream.congestion.remb import RembFollower
from stream.rtc.codecs import VideoCodec, VideoPacket

if TYPE_CHECKING:
    from stream.session.egress import Broadcast

QUEUE_PACKETS = 15  # a viewer this many frames behind is cut to the next key frame
LOSSY_PAUSE_S = 0.15  # a queue that needs this pause has lost packets: begin anew after it
BUSY_SHARE = 0.8  # a stream below this share of its target is limited by its content


class PacketTrack(MediaStreamTrack):
    """One viewer's track of a broadcast. `recv` returns encoded packets, beginning with a key frame.

    aiortc's patched sender calls `request_keyframe` (for PLI and FIR), and tells what the viewer's network
    takes: `set_bandwidth` from transport-wide feedback, or else `set_remb` and `set_report`. It reads
    `last_delay_s` for its sender reports.
    """

    kind = "video"
    plain_time = True  # RTP times are the broadcast's own, for every viewer

    def __init__(self, broadcast: Broadcast, codec: VideoCodec) -> None:
        super().__init__()
        self.codec = codec
        self.dropped = 0  # packets dropped because this viewer was too slow
        self.limit_bps: int | None = None  # what the viewer's network takes; None if nothing is known
        self.paused_until_s = float("-inf")  # until when its network wants nothing, on the broadcast's clock
        self.last_delay_s = 0.0  # from capture to `recv` of the last packet
        self._broadcast = broadcast
        self._follower = RembFollower()
        self._queue: deque[tuple[VideoPacket, float]] = deque()
        self._arrived = asyncio.Event()
        self._joined = False
        self._wait_keyframe, self._begun = True, False

    async def recv(self) -> VideoPacket:
        """Return the next packet. The first call joins the broadcast.

        Raises:
            MediaStreamError: the track was stopped or the broadcast closed.
        """
        if self.readyState == "live" and not self._joined:
            self._joined = True
            self._broadcast._join(self)
        while not self._queue:
            if self.readyState != "live":
                raise MediaStreamError
            self._arrived.clear()
            await self._arrived.wait()
        packet, captured_s = self._queue.popleft()
        self.last_delay_s = max(self._broadcast._clock() - captured_s, 0.0)
        return packet

    def request_keyframe(self) -> None:
        """Ask for a key frame. Requests are rate-limited for all viewers together."""
        self._broadcast._request_keyframe(self.codec)

    @property
    def target_bps(self) -> int:
        """The rate that is sent at present, bits per second."""
        return self._broadcast.stats().bitrate_bps

    def set_bandwidth(self, bitrate_bps: int, pause_s: float = 0.0) -> None:
        """Take what the viewer's network takes, bits per second.

        Args:
            bitrate_bps: the rate.
            pause_s: for how long to send nothing, so that a queue on the way empties, seconds.
        """
        self.limit_bps = bitrate_bps
        if pause_s > 0:
            self.paused_until_s = self._broadcast._clock() + pause_s
        if pause_s > LOSSY_PAUSE_S:
            self.request_keyframe()
        self._broadcast._update_rate()

    def set_report(self, loss: float, round_trip_s: float | None) -> None:
        """Take the loss, [0, 1], and the round trip, seconds, of a receiver report."""
        self._follower.report(loss, round_trip_s)

    def set_remb(self, bitrate_bps: int) -> None:
        """Take the viewer's own estimate (goog-remb).

        The estimate follows the rate that was sent. If the picture needs less than the target, a low estimate
        says nothing about the network and is not taken as a limit.
        """
        sent_bps, target_bps = self._broadcast._sent_bps(self.codec), self.target_bps
        if sent_bps < bitrate_bps < target_bps and sent_bps < BUSY_SHARE * target_bps:
            return
        self.set_bandwidth(self._follower.take(bitrate_bps, sent_bps, self._broadcast._clock()))

    def stop(self) -> None:
        """Leave the broadcast."""
        super().stop()
        self._broadcast._leave(self)
        self._arrived.set()

    def _offer(self, packets: list[VideoPacket], captured_s: float) -> None:
        """Queue a frame's packets. A viewer that fell behind loses its queue and waits for a key frame."""
        if len(self._queue) >= QUEUE_PACKETS:
            self.dropped += len(self._queue)
            self._queue.clear()
            self._wait_keyframe = True
            self.request_keyframe()
        if self._wait_keyframe:
            if not packets[0].is_keyframe:
                self.dropped += len(packets) if self._begun else 0
                return
            self._wait_keyframe, self._begun = False, True
        self._queue.extend((packet, captured_s) for packet in packets)
        self._arrived.set()
