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

import cv2
import numpy as np
from aiortc.mediastreams import VIDEO_TIME_BASE

from correspondence import Image
from stream.colour.frames import to_frame
from stream.congestion.ladder import Ladder, Pace
from stream.rtc.codecs import LiveEncoder, LiveEncoderConfig, VideoCodec, VideoPacket
from stream.session.viewer_track import PacketTrack

logger = logging.getLogger(__name__)

INFINITE = 1 << 62  # bits per second, for a viewer that set no limit
RATE_WINDOW_S = 1.0  # window over which the sent bit rate is measured
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
        shrunk: whether the pictures are sent smaller than they come, at a low bit rate.
        size: (H, W) of the pictures that are sent.
        thinned: number of pictures left out at a low bit rate.
    """

    viewers: int
    bitrate_bps: int
    sent_bps: int
    encoded: int
    keyframes: int
    replaced: int
    viewer_drops: int
    encode_s: float
    shrunk: bool
    size: tuple[int, int]
    thinned: int


class Broadcast:
    """Encodes a session's pictures once per codec in use and fans the packets out.

    Pictures are converted and encoded in `executor`, one at a time and only the newest. Without viewers
    nothing is encoded. At a low bit rate pictures become fewer, then smaller (`stream.congestion.ladder`).
    RTP timestamps follow the capture time.

    Args:
        executor: runs the codecs. It should have threads of its own.
        config: bit rates and key frame distances.
        loop: event loop of the tracks. Default: the running loop.
        clock: clock of `captured_s`, seconds.
        sent: called on the event loop with the capture time and the RTP time of each frame that is sent.
    """

    def __init__(
        self,
        executor: Executor,
        config: LiveEncoderConfig | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        clock: Callable[[], float] = time.monotonic,
        sent: Callable[[float, int], None] | None = None,
    ) -> None:
        self._tell_sent = sent
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
        self._ladder, self._pace, self._size = Ladder(), Pace(), (720, 1280)  # of the pictures that come
        self._encoded = self._replaced = self._left_drops = self._thinned = 0
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
            self._pace.note(captured_s)
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
            shrunk=self._ladder.step.share < 1,
            size=self._ladder.step.size(self._size),
            thinned=self._thinned,
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

    def _wanted(self) -> int | None:
        """The bit rate that half of the viewers or more can take, at most `set_bitrate`'s limit.

        None without limits. With several viewers one estimate alone never decides, since that viewer may have
        a bad network or send a false value.
        """
        said = sorted(INFINITE if track.limit_bps is None else track.limit_bps for track in self._tracks)
        limits = [said[len(said) // 2] if said else INFINITE, self._limit_bps or INFINITE]
        return None if min(limits) == INFINITE else min(limits)

    def _is_paused(self) -> bool:
        """Whether more than half of the viewers' networks want nothing, since a queue has to empty."""
        until = sorted(track.paused_until_s for track in self._tracks)
        return bool(until) and self._clock() < until[(len(until) - 1) // 2]

    def _target(self) -> int:
        """Target bit rate of the encoders, bits per second."""
        low, start, high = self._config.rates(self._size)
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

    def _publish(self, codec: VideoCodec, packets: list[VideoPacket], captured_s: float, pts: int) -> None:
        if self._tell_sent is not None:
            self._tell_sent(captured_s, pts)
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
        self._size = (image.shape[0], image.shape[1])
        step = self._ladder.choose(self._target(), self._size, self._pace.fps, captured_s)
        if self._is_paused() or not self._pace.is_due(captured_s, step.fps):
            self._thinned += 1
            return
        pts = self._pts(captured_s)
        frame = to_frame(_sized(image, step.size(self._size)), pts, VIDEO_TIME_BASE)
        codecs = {track.codec for track in self._tracks}
        self._encoded += 1
        for codec in codecs:
            with self._lock:
                encoder = self._encoder(codec)
            packets = encoder.encode(frame)
            if packets:
                self._loop.call_soon_threadsafe(self._publish, codec, packets, captured_s, pts)
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


def _sized(image: Image, size: tuple[int, int]) -> Image:
    """Return the picture at `size` (H, W). Sides that only have to become even are cut, not scaled."""
    height, width = size
    if (height, width) == (image.shape[0] & ~1, image.shape[1] & ~1):
        return np.ascontiguousarray(image[:height, :width])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
