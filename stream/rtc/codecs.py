"""Video encoders for live use: x264 with a variable bit rate, and libvpx for peers that want VP8.

aiortc's own encoders rebuild themselves with a key frame at each change of the bit rate, and run x264 at its
`medium` preset. These encoders keep going. x264 takes a new rate between two frames if its VBV was on from
the start. So it is opened for a higher rate and then given the present rate. The higher one bounds the size
of a key frame, which on a slow network holds up the pictures behind it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import Literal, Protocol, TypeAlias

import av
from aiortc.codecs import h264, vpx
from aiortc.mediastreams import VIDEO_TIME_BASE, convert_timebase
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream

VideoCodec = Literal["H264", "VP8"]
VideoPacket: TypeAlias = "av.Packet[VideoStream]"
HD_PIXELS = 1280 * 720
# Half of the usual shift of bits to flat places. At one rate it gives more back than the preset costs beside
# veryfast, which takes nearly twice the time.
FLAT_SHARE = 0.5
ABOVE = 2.0  # x264 is opened for this multiple of the present rate, within its highest
SLOWEST = 3  # frames may come this many times more slowly than nominal and still use the whole rate
VP8_STEP = 1.3  # libvpx is rebuilt if the wanted rate differs by more than this factor
VP8_REBUILD_GAP_S = 5.0  # shortest time between two rebuilds
AHEAD_S = 0.2  # a sender leaves out frames once it has sent what the rate allows in this time too much


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEncoderConfig:
    """How the edited stream is encoded. The ranges are checked.

    Rates are given for 1280 x 720. At other sizes they scale with the number of pixels to the power 0.75.
    """

    bitrate_bps: int = 2_500_000  # start rate, used unless viewers ask for less
    min_bitrate_bps: int = 80_000  # lowest rate that viewers can cause; at most `bitrate_bps` in effect
    max_bitrate_bps: int = 4_000_000  # highest rate that viewers can cause; at least `bitrate_bps` in effect
    fps: float = 30.0  # nominal, at most; frames may come at a third of it
    vbv_s: float = 0.2  # bounds the size of one frame, key frames included, at the rate it was opened for
    keyframe_gap_s: float = 0.5  # shortest time between two requested key frames
    keyframe_every_s: float = 10.0  # longest time without a key frame
    preset: str = "superfast"  # preset of x264
    threads: int | None = None  # threads of one encoder; None: one per 720p of picture, at most four

    def __post_init__(self) -> None:
        positive = ("bitrate_bps", "min_bitrate_bps", "max_bitrate_bps", "fps", "vbv_s", "keyframe_every_s")
        for name in (*positive, *(["threads"] if self.threads is not None else [])):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.keyframe_gap_s < 0:
            raise ValueError(f"keyframe_gap_s must not be negative, got {self.keyframe_gap_s}")

    def threads_for(self, size: tuple[int, int]) -> int:
        """Number of threads for pictures of `size` (H, W). With more than one, frames are cut into slices."""
        if self.threads is not None:
            return self.threads
        return min(max(size[0] * size[1] // HD_PIXELS, 1), os.cpu_count() or 1, 4)

    def rates(self, size: tuple[int, int]) -> tuple[int, int, int]:
        """Lowest, starting and highest bit rate for pictures of `size` (H, W), bits per second."""
        scale = (size[0] * size[1] / HD_PIXELS) ** 0.75
        start = max(round(self.bitrate_bps * scale), 50_000)
        low = min(round(self.min_bitrate_bps * min(scale, 1.0)), start)
        return max(low, 1), start, max(round(self.max_bitrate_bps * scale), start)


class FrameEncoder(Protocol):
    """Encodes frames of one size with one codec context."""

    bitrate_bps: int
    highest_bps: float  # for a higher rate another encoder is needed

    def encode(self, frame: av.VideoFrame) -> list[VideoPacket]:
        """Encode one frame. If `frame.pict_type` is I, it becomes a key frame."""
        ...


class X264:
    """Encodes H.264 Constrained Baseline, which every browser decodes, without delay (zerolatency)."""

    def __init__(self, frame: av.VideoFrame, bitrate_bps: int, config: LiveEncoderConfig) -> None:
        highest = round(min(config.rates((frame.height, frame.width))[2], ABOVE * bitrate_bps))
        context = _context("libx264", frame, config)
        context.bit_rate = SLOWEST * highest  # if VBV and rate agree at opening, x264 follows later changes
        context.options = {
            "profile": "baseline",
            "preset": config.preset,
            "tune": "zerolatency",
            "sc_threshold": "0",  # no key frames at scene cuts; key frames come on request
            "maxrate": str(SLOWEST * highest),
            "bufsize": str(round(highest * config.vbv_s)),
            "x264-params": f"ratetol=0.1:aq-strength={FLAT_SHARE}",
        }
        context.open()
        self._context, self._fps = context, config.fps
        self._interval_s, self._last_s = 1 / config.fps, _time_s(frame)
        self.bitrate_bps, self.highest_bps = bitrate_bps, float(highest)

    def encode(self, frame: av.VideoFrame) -> list[VideoPacket]:
        """Encode one frame. A changed rate begins with it and takes about half a second."""
        interval_s, self._last_s = _time_s(frame) - self._last_s, _time_s(frame)
        if 0 < interval_s < 1:
            self._interval_s += 0.1 * (interval_s - self._interval_s)
        slower = min(max(self._interval_s * self._fps, 1.0), SLOWEST)  # x264 divides by the nominal rate
        self._context.bit_rate = round(min(self.bitrate_bps, self.highest_bps) * slower)
        return self._context.encode(frame)


class Vpx:
    """Encodes VP8 in libvpx's real-time mode. A large change of the rate rebuilds the encoder, seldom."""

    def __init__(self, frame: av.VideoFrame, bitrate_bps: int, config: LiveEncoderConfig) -> None:
        self._config = config
        self.bitrate_bps, self.highest_bps = bitrate_bps, inf
        self._open(frame)

    def _open(self, frame: av.VideoFrame) -> None:
        context = _context("libvpx", frame, self._config)
        context.bit_rate = self.bitrate_bps
        context.qmin, context.qmax = 2, 56
        context.options = {
            "deadline": "realtime",
            "cpu-used": "-6",
            "lag-in-frames": "0",
            "error-resilient": "default",
            "minrate": str(self.bitrate_bps),
            "maxrate": str(self.bitrate_bps),
            "bufsize": str(self.bitrate_bps),
            "max-intra-rate": "300",  # a key frame takes at most the share of three frames
            "undershoot-pct": "100",
            "overshoot-pct": "15",
            "static-thresh": "1",
        }
        self._context, self._opened_at_s = context, _time_s(frame)

    def encode(self, frame: av.VideoFrame) -> list[VideoPacket]:
        """Encode one frame."""
        present = self._context.bit_rate or 1
        far = max(self.bitrate_bps / present, present / self.bitrate_bps) > VP8_STEP
        if far and _time_s(frame) - self._opened_at_s >= VP8_REBUILD_GAP_S:
            self._open(frame)
        return self._context.encode(frame)


class LiveEncoder:
    """Encodes a stream of frames whose size and bit rate may change, with key frames on request.

    It is not thread-safe, except for `request_keyframe` and `bitrate_bps`, which only store a value.

    Args:
        codec: "H264" or "VP8".
        config: rates and key frame distances.
    """

    def __init__(self, codec: VideoCodec, config: LiveEncoderConfig) -> None:
        self.codec = codec
        self.keyframes = 0
        self.bitrate_bps: int | None = None  # wanted rate, limited by the config; None: the config's rate
        self._config = config
        self._encoder: FrameEncoder | None = None
        self._size = (0, 0)
        self._keyframe_wanted = False
        self._keyframe_at_s = float("-inf")

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the last frame."""
        return self._size

    def request_keyframe(self) -> None:
        """Ask for a key frame: the next frame that comes `keyframe_gap_s` or more after the last one."""
        self._keyframe_wanted = True

    def encode(self, frame: av.VideoFrame) -> list[VideoPacket]:
        """Encode a frame.

        Args:
            frame: a frame of any pixel format. Its sides are cut to even lengths. `pts` must increase.

        Returns:
            The frame's packets (usually one), with times in units of 1/90000 s.
        """
        frame = _prepare(frame)
        now_s, size = _time_s(frame), (frame.height, frame.width)
        low, start, high = self._config.rates(size)
        rate = start if self.bitrate_bps is None else min(max(self.bitrate_bps, low), high)
        due = self._keyframe_wanted and now_s - self._keyframe_at_s >= self._config.keyframe_gap_s
        if self._encoder is None or size != self._size or not self._suits(rate, due):
            kind = X264 if self.codec == "H264" else Vpx
            self._encoder, self._size = kind(frame, rate, self._config), size
            due = False  # its first frame is a key frame
        self._encoder.bitrate_bps = rate
        frame.pict_type = PictureType.I if due else PictureType.NONE
        packets = self._encoder.encode(frame)
        if any(packet.is_keyframe for packet in packets):
            self.keyframes += 1
            self._keyframe_at_s, self._keyframe_wanted = now_s, False
        return packets

    def _suits(self, rate: int, keyframe: bool) -> bool:
        """Whether the encoder can have this rate, and make a key frame of a size that suits it."""
        highest = inf if self._encoder is None else self._encoder.highest_bps
        return rate <= highest and not (keyframe and inf > highest > 1.5 * ABOVE * rate)


class _LiveRate:
    """Hands the bit rate that aiortc's sender sets to a `LiveEncoder`.

    An encoder takes half a second to follow a rate that falls. Meanwhile frames are left out, so that no more
    than the rate is sent.
    """

    live: LiveEncoder
    _ahead_bits = 0.0  # sent beyond what the rate had allowed at `_at_s`
    _at_s = -inf  # time of the last frame

    def _encoded(self, frame: av.frame.Frame, force_keyframe: bool) -> tuple[bytes, int]:
        """A frame's data, empty if it is left out, and its RTP time."""
        if not isinstance(frame, av.VideoFrame) or frame.pts is None or frame.time_base is None:
            raise ValueError(f"a video track must give video frames with pts and time_base, got {frame!r}")
        if force_keyframe:
            self.live.request_keyframe()
        timestamp, at_s = (
            convert_timebase(frame.pts, frame.time_base, VIDEO_TIME_BASE),
            float(frame.time or 0),
        )
        rate = self.target_bitrate
        self._ahead_bits = max(self._ahead_bits - max(at_s - self._at_s, 0.0) * rate, 0.0)
        self._at_s = at_s
        if self._ahead_bits > AHEAD_S * rate:
            return b"", timestamp
        data = b"".join(bytes(packet) for packet in self.live.encode(frame))
        self._ahead_bits += 8 * len(data)
        return data, timestamp

    @property
    def target_bitrate(self) -> int:
        """The receiver's limit (REMB), bits per second."""
        return self.live.bitrate_bps or self.live._config.bitrate_bps

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        self.live.bitrate_bps = bitrate


class H264Sender(_LiveRate, h264.H264Encoder):
    """The H.264 encoder for aiortc's sender. It encodes frames with a `LiveEncoder`."""

    def __init__(self, config: LiveEncoderConfig | None = None) -> None:
        super().__init__()
        self.live = LiveEncoder("H264", config or LiveEncoderConfig())

    def encode(self, frame: av.frame.Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        """RTP payloads and timestamp of a frame. There are none if it is left out."""
        data, timestamp = self._encoded(frame, force_keyframe)
        return self._packetize(self._split_bitstream(data)) if data else [], timestamp


class Vp8Sender(_LiveRate, vpx.Vp8Encoder):
    """The VP8 encoder for aiortc's sender. It encodes frames with a `LiveEncoder`."""

    def __init__(self, config: LiveEncoderConfig | None = None) -> None:
        super().__init__()
        self.live = LiveEncoder("VP8", config or LiveEncoderConfig())

    def encode(self, frame: av.frame.Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        """RTP payloads and timestamp of a frame. There are none if it is left out."""
        data, timestamp = self._encoded(frame, force_keyframe)
        if not data:
            return [], timestamp
        payloads = self._packetize(data, self.picture_id)
        self.picture_id = (self.picture_id + 1) % (1 << 15)
        return payloads, timestamp


def _prepare(frame: av.VideoFrame) -> av.VideoFrame:
    """Convert a frame to yuv420p with even sides and times in units of 1/90000 s."""
    if frame.pts is None or frame.time_base is None:
        raise ValueError(f"a frame to encode needs pts and time_base, got {frame!r}")
    pts, time_base = frame.pts, frame.time_base
    even = frame.width & ~1 or 2, frame.height & ~1 or 2
    if frame.format.name != "yuv420p" or even != (frame.width, frame.height):
        frame = frame.reformat(even[0], even[1], "yuv420p", threads=1)
        frame.pts, frame.time_base = pts, time_base
    if time_base != VIDEO_TIME_BASE:
        frame.pts = convert_timebase(pts, time_base, VIDEO_TIME_BASE)
        frame.time_base = VIDEO_TIME_BASE
    return frame


def _context(name: str, frame: av.VideoFrame, config: LiveEncoderConfig) -> VideoCodecContext:
    context = av.CodecContext.create(name, "w")
    if not isinstance(context, VideoCodecContext):
        raise TypeError(f"{name} is no video encoder")
    context.width, context.height, context.pix_fmt = frame.width, frame.height, "yuv420p"
    context.time_base = VIDEO_TIME_BASE
    context.framerate = Fraction(config.fps).limit_denominator(1001)
    context.gop_size = max(round(config.keyframe_every_s * config.fps), 1)
    context.thread_count = config.threads_for((frame.height, frame.width))
    context.colorspace, context.color_range = frame.colorspace, frame.color_range
    context.color_primaries, context.color_trc = frame.color_primaries, frame.color_trc
    return context


def _time_s(frame: av.VideoFrame) -> float:
    return (frame.pts or 0) / VIDEO_TIME_BASE.denominator
