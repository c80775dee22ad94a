"""Sends the edited stream. It is encoded once, and every viewer receives the packets."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import numpy as np
from aiortc.mediastreams import VIDEO_TIME_BASE, MediaStreamError, MediaStreamTrack

from correspondence import Image
from stream.colour.frames import to_frame
from stream.rtc.codecs import LiveEncoder, LiveEncoderConfig, VideoCodec, VideoPacket

logger = logging.getLogger(__name__)

INFINITE = 1 << 62  # bits per second, for a viewer that set no limit
QUEUE_PACKETS = 15  # a viewer this many frames behind is cut to the next key frame
RATE_WINDOW_S = 1.0  # window over which the sent bit rate is measured
BUSY_SHARE = 0.8  # a stream below this share of its target is limited by its content
IDLE_S = 0.5  # after this time without a picture, a requested key frame is made from the last picture


@dataclass(frozen=True, slots=True)
class BroadcastStats:
    """Counters and rates of a broadcast.

    Attributes:
        viewers: number of tracks being read.
        bitrate_bps: present target, bits per second.
        sent_bps: rate of the encoder's output in the last second, bits per second, of the codec with the
            highest rate.
        encoded: number of encoded frames.
        keyframes: number of key frames among them.
        replaced: number of pictures replaced by a newer one before they were encoded.
        viewer_drops: number of packets dropped for slow viewers.
        encode_s: CPU time of the last frame's conversion and encoding, seconds.
    """

    viewers: int
    bitrate_bps: int
    sent_bps: int
    encoded: int
    keyframes: int
    replaced: int
    viewer_drops: int
    encode_s: float


class PacketTrack(MediaStreamTrack):
    """One viewer's track of a broadcast. `recv` returns encoded packets, beginning with a key frame.

    aiortc's patched sender calls `request_keyframe` (for PLI and FIR) and `set_remb` when the viewer's
    receiver asks for it. It reads `last_delay_s` for its sender reports.
    """

    kind = "video"

    def __init__(self, broadcast: Broadcast, codec: VideoCodec) -> None:
        super().__init__()
        self.codec = codec
        self.dropped = 0  # packets dropped because this viewer was too slow
        self.remb_bps: int | None = None  # the viewer's limit; None if it set none
        self.last_delay_s = 0.0  # from capture to `recv` of the last packet
        self._broadcast = broadcast
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

    def set_remb(self, bitrate_bps: int) -> None:
        """Take the viewer's bandwidth estimate (goog-remb).

        The estimate follows the rate that was sent. If the picture needs less than the target, a low estimate
        says nothing about the network and is not taken as a limit.
        """
        self._broadcast._set_remb(self, bitrate_bps)

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


class Broadcast:
    """Encodes a session's pictures once per codec in use and fans the packets out.

    Pictures are converted and encoded in `executor`, one at a time and only the newest. Without viewers
    nothing is encoded. RTP timestamps follow the capture time.

    Args:
        executor: runs the codecs. It should have threads of its own.
        config: bit rates and key frame distances.
        loop: event loop of the tracks. Default: the running loop.
        clock: clock of `captured_s`, seconds.
    """

    def __init__(
        self,
        executor: Executor,
        config: LiveEncoderConfig | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._executor = executor
        self._config = config or LiveEncoderConfig()
        self._loop = loop or asyncio.get_running_loop()
        self._clock = clock
        self._lock = threading.Lock()
        self._pending: tuple[Image, float] | None = None
        self._last: tuple[Image, float] | None = None  # for viewers who join while nothing new comes
        self._running = False
        self._closed = False
        self._failing = False
        self._job: Future[None] | None = None
        self._encoders: dict[VideoCodec, LiveEncoder] = {}
        self._tracks: list[PacketTrack] = []
        self._limit_bps: int | None = None  # set by `set_bitrate`
        self._origin_s: float | None = None
        self._last_pts = -1
        self._sent: dict[VideoCodec, deque[tuple[float, int]]] = {}
        self._encoded = self._replaced = self._left_drops = 0
        self._encode_s = 0.0

    def put(self, image: Image, captured_s: float) -> None:
        """Offer the next picture, from any thread. It replaces a picture that still waits to be encoded.

        Args:
            image: RGB uint8 (H, W, 3); it must not be changed afterwards.
            captured_s: when it was captured, on the broadcast's clock (time.monotonic()).
        """
        with self._lock:
            if self._closed:
                return
            self._replaced += self._pending is not None
            self._pending = self._last = (image, captured_s)
            if self._running or not self._tracks:
                if not self._tracks:
                    self._pending = None
                return
            self._running = True
        self._submit()

    def track(self, codec: VideoCodec = "H264") -> PacketTrack:
        """Make a track for one viewer, to be added to its peer connection."""
        return PacketTrack(self, codec)

    def set_bitrate(self, bitrate_bps: int | None) -> None:
        """Set an upper limit in addition to the viewers' own, bits per second. None removes it."""
        self._limit_bps = bitrate_bps
        self._update_rate()

    def stats(self) -> BroadcastStats:
        """Counters and the present rates."""
        encoders = list(self._encoders.values())
        return BroadcastStats(
            viewers=len(self._tracks),
            bitrate_bps=self._target(),
            sent_bps=max((self._sent_bps(codec) for codec in self._sent), default=0),
            encoded=self._encoded,
            keyframes=sum(encoder.keyframes for encoder in encoders),
            replaced=self._replaced,
            viewer_drops=self._left_drops + sum(track.dropped for track in self._tracks),
            encode_s=self._encode_s,
        )

    async def close(self) -> None:
        """Stop all tracks and wait for the frame being encoded."""
        with self._lock:
            self._closed, self._pending, self._last = True, None, None
        for track in list(self._tracks):
            track.stop()
        if self._job is not None:
            await asyncio.wait([asyncio.wrap_future(self._job)])
        self._encoders = {}

    # Called on the event loop.

    def _join(self, track: PacketTrack) -> None:
        if self._closed:
            track.stop()
            return
        with self._lock:
            self._tracks = [*self._tracks, track]
        self._request_keyframe(track.codec)

    def _leave(self, track: PacketTrack) -> None:
        if track not in self._tracks:
            return
        with self._lock:
            self._tracks = [other for other in self._tracks if other is not track]
        self._left_drops += track.dropped
        self._update_rate()

    def _request_keyframe(self, codec: VideoCodec) -> None:
        with self._lock:
            self._encoder(codec).request_keyframe()
            last = self._last
            if last is None or self._running or self._closed or self._clock() - last[1] < IDLE_S:
                return
            self._pending = (last[0], self._clock())  # nothing new comes: show the last picture again
            self._running = True
        self._submit()

    def _set_remb(self, track: PacketTrack, bitrate_bps: int) -> None:
        sent, target = self._sent_bps(track.codec), self._target()
        if sent < bitrate_bps < target and sent < BUSY_SHARE * target:
            return
        track.remb_bps = bitrate_bps
        self._update_rate()

    def _wanted(self) -> int | None:
        """The bit rate that half of the viewers or more can take, at most `set_bitrate`'s limit.

        None without limits. With several viewers one estimate alone never decides, since that viewer may have
        a bad network or send a false value.
        """
        said = sorted(INFINITE if track.remb_bps is None else track.remb_bps for track in self._tracks)
        limits = [said[len(said) // 2] if said else INFINITE, self._limit_bps or INFINITE]
        return None if min(limits) == INFINITE else min(limits)

    def _target(self) -> int:
        """Target bit rate of the encoders, bits per second."""
        size = next((encoder.size for encoder in self._encoders.values() if encoder.size[0]), (720, 1280))
        low, start, high = self._config.rates(size)
        wanted = self._wanted()
        return start if wanted is None else min(max(wanted, low), high)

    def _update_rate(self) -> None:
        with self._lock:
            for encoder in self._encoders.values():
                encoder.bitrate_bps = self._wanted()

    def _sent_bps(self, codec: VideoCodec) -> int:
        sent = self._sent.get(codec)
        if not sent:
            return 0
        after_s = self._clock() - RATE_WINDOW_S
        while sent and sent[0][0] < after_s:
            sent.popleft()
        return round(8 * sum(size for _, size in sent) / RATE_WINDOW_S)

    def _publish(self, codec: VideoCodec, packets: list[VideoPacket], captured_s: float) -> None:
        size = sum(packet.size for packet in packets)
        self._sent.setdefault(codec, deque()).append((self._clock(), size))
        for track in self._tracks:
            if track.codec == codec:
                track._offer(packets, captured_s)

    # Called in the executor, one call at a time.

    def _submit(self) -> None:
        self._job = self._executor.submit(self._drain)

    def _drain(self) -> None:
        """Encode pending pictures until there are none."""
        while (job := self._take()) is not None:
            try:
                self._encode(*job)
                self._failing = False
            except Exception:  # one bad picture must not end the stream
                if not self._failing:
                    logger.exception("encoding failed; trying again with new encoders until it works")
                self._failing = True
                with self._lock:
                    self._encoders = {}

    def _take(self) -> tuple[Image, float] | None:
        with self._lock:
            job, self._pending = self._pending, None
            self._running = job is not None
            return job

    def _encode(self, image: Image, captured_s: float) -> None:
        started_s = time.thread_time()
        height, width = image.shape[0] & ~1, image.shape[1] & ~1  # 4:2:0 wants even sides
        frame = to_frame(np.ascontiguousarray(image[:height, :width]), self._pts(captured_s), VIDEO_TIME_BASE)
        codecs = {track.codec for track in self._tracks}
        self._encoded += 1
        for codec in codecs:
            with self._lock:
                encoder = self._encoder(codec)
            packets = encoder.encode(frame)
            if packets:
                self._loop.call_soon_threadsafe(self._publish, codec, packets, captured_s)
        self._encode_s = time.thread_time() - started_s

    def _pts(self, captured_s: float) -> int:
        """Return a capture time as RTP time: 1/90000 s since the first picture, always increasing."""
        if self._origin_s is None:
            self._origin_s = captured_s
        pts = round((captured_s - self._origin_s) * VIDEO_TIME_BASE.denominator)
        self._last_pts = max(pts, self._last_pts + 1)
        return self._last_pts

    def _encoder(self, codec: VideoCodec) -> LiveEncoder:
        """Return the encoder of `codec`. It is made when it is first needed. The caller holds the lock."""
        if codec not in self._encoders:
            self._encoders[codec] = LiveEncoder(codec, self._config)
            self._encoders[codec].bitrate_bps = self._wanted()
        return self._encoders[codec]
