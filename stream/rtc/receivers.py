"""The receiving side of a connection. It keeps the newest frame and bounds backlog and picture size.

`stream.rtc.aiortc_patch` puts these classes in the place of aiortc's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from typing import Any

import aiortc
import av
from aiortc import rtcrtpreceiver, rtp
from aiortc.codecs import get_decoder
from aiortc.codecs.base import Decoder
from aiortc.mediastreams import VIDEO_CLOCK_RATE
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from stream.refused import refused
from stream.rtc import jitter
from stream.rtc.transport_wide import PathState

logger = logging.getLogger(__name__)

BACKLOG = (
    30  # encoded frames that may wait for a decoder; beyond it, frames are dropped up to the next key frame
)
AUDIO_QUEUE = 50  # decoded audio frames that may wait for their reader: one second
MAX_PIXELS = 4096 * 2304  # largest number of pixels of a frame
NTP_TO_UNIX_S = 2_208_988_800  # from 1900, where NTP's time begins, to 1970


class NewestQueue(asyncio.Queue[Any]):
    """When full, a new item replaces the oldest. None, which ends a track, is never replaced."""

    def __init__(self, maxsize: int) -> None:
        super().__init__(maxsize)
        self.dropped = 0
        self.encoded = False  # whether audio packets are handed on undecoded, see `pass_through`
        self.ended_for = ""  # why the decoder gave up the stream, if it did

    def put_newest(self, item: Any) -> None:
        """Queue an item, on the event loop."""
        if self.full():
            oldest = self.get_nowait()
            if oldest is None:
                item = None
            else:
                self.dropped += 1
        self.put_nowait(item)


class NewestTrack(rtcrtpreceiver.RemoteStreamTrack):
    """A remote track that keeps the newest video frame, or one second of audio, for its reader."""

    def __init__(self, kind: str, id: str | None = None) -> None:
        super().__init__(kind, id)
        self._queue = NewestQueue(AUDIO_QUEUE if kind == "audio" else 1)
        self.report: tuple[int, float] | None = None  # the sender's last: ticks of `pts`, seconds since 1970


def taken_s(track: aiortc.MediaStreamTrack, pts: int | None) -> float | None:
    """When the sender took a video frame, by its own clock and its sender reports (RFC 3550, section 6.4.1).

    Args:
        track: the remote track that returned the frame.
        pts: the frame's `pts`, 1/90000 s.

    Returns:
        Seconds since 1970 on the sender's clock. None until its first report, or for other tracks.
    """
    if pts is None or not isinstance(track, NewestTrack) or track.report is None:
        return None
    ticks, time_s = track.report
    since = (pts - ticks + (1 << 31)) % (1 << 32) - (1 << 31)  # RTP time wraps at 32 bits
    return time_s + since / VIDEO_CLOCK_RATE


def pass_through(track: aiortc.MediaStreamTrack) -> bool:
    """Make a remote Opus track return undecoded `av.Packet`s as they arrived.

    Returns:
        Whether the track supports this: it must be a remote track of a patched connection.
    """
    queued = getattr(track, "_queue", None)
    if not isinstance(queued, NewestQueue):
        return False
    queued.encoded = True
    return True


def end_reason(track: aiortc.MediaStreamTrack) -> str:
    """Why this server ended a remote track. Empty if the peer ended it."""
    return getattr(getattr(track, "_queue", None), "ended_for", "")


def decoder_worker(
    loop: asyncio.AbstractEventLoop,
    input_q: queue.Queue[Any],
    output_q: asyncio.Queue[Any],
    decode_error: threading.Event,
) -> None:
    """Decode what the receiver queues until it queues None. The signature is aiortc's.

    Args:
        loop: event loop on which frames are delivered.
        input_q: queue of (codec, encoded frame or batch of frames).
        output_q: queue of the track.
        decode_error: set to make the receiver ask for a key frame.
    """
    decoder, name, behind, given_up = None, "", False, False
    while (task := input_q.get()) is not None:
        codec, encoded = task
        if given_up:
            continue
        if codec.name != name:
            decoder, name = bounded_decoder(codec), codec.name
        for frame in encoded.frames() if isinstance(encoded, jitter.FrameBatch) else [encoded]:
            if codec.mimeType.lower().startswith("video/"):
                behind = behind or input_q.qsize() > BACKLOG
                if behind and not jitter.is_keyframe(frame.data):
                    decode_error.set()
                    continue
                behind = False
            try:
                items = _decode(decoder, codec, frame, output_q, decode_error)
            except TooLargeError as exc:
                refused.note("large_video", exc)
                given_up = True
                if isinstance(output_q, NewestQueue):
                    output_q.ended_for = str(exc)
                _deliver(loop, output_q, None)
                break
            for item in items:
                _deliver(loop, output_q, item)
    if not given_up:
        _deliver(loop, output_q, None)


class TooLargeError(Exception):
    """The pictures of a video stream are larger than allowed. The message says their size and the limit."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(
            f"its video has {width}x{height} pixels; at most {MAX_PIXELS / 1e6:.4g} million are taken: "
            "send smaller pictures"
        )


def bounded_decoder(codec: RTCRtpCodecParameters) -> Decoder:
    """Make aiortc's decoder of a codec, limited to pictures of at most `MAX_PIXELS` pixels."""
    decoder = get_decoder(codec)
    context = getattr(decoder, "codec", None)
    if isinstance(context, av.VideoCodecContext):
        context.options = {"max_pixels": str(MAX_PIXELS)}
    return decoder


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise TooLargeError(width, height)


def _decode(
    decoder: Any,
    codec: RTCRtpCodecParameters,
    frame: Any,
    output_q: asyncio.Queue[Any],
    decode_error: threading.Event,
) -> list[Any]:
    if getattr(output_q, "encoded", False) and codec.name.lower() == "opus":
        packet = av.Packet(frame.data)
        packet.pts, packet.time_base = frame.timestamp, aiortc.codecs.opus.TIME_BASE
        return [packet]
    if codec.name.upper() == "VP8" and frame.data[3:6] == jitter.VP8_START:  # libvpx ignores FFmpeg's limit
        _check_size(*(int.from_bytes(frame.data[at : at + 2], "little") & 0x3FFF for at in (6, 8)))
    try:
        return list(decoder.decode(frame))
    except av.FFmpegError as exc:
        context = getattr(decoder, "codec", None)
        if isinstance(context, av.VideoCodecContext):
            _check_size(context.width, context.height)
        logger.debug("a %s frame does not decode: %s", codec.name, exc)
    except Exception as exc:
        # The thread must go on reading its queue, which would otherwise grow without bound.
        refused.note("undecodable_frame", repr(exc))
    decode_error.set()
    return []


def _deliver(loop: asyncio.AbstractEventLoop, output_q: asyncio.Queue[Any], item: Any) -> None:
    put = output_q.put_newest if isinstance(output_q, NewestQueue) else output_q.put_nowait
    try:
        loop.call_soon_threadsafe(put, item)
    except RuntimeError:
        logger.debug("the loop has closed before its decoder")


class DecoderQueue(queue.Queue[Any]):
    """A queue of encoded frames for the decoder. It is bounded, in case the decoder hangs."""

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Queue a frame. None ends the decoder and always fits."""
        if item is not None and self.qsize() >= 2 * BACKLOG:
            refused.note("decoder_backlog")
        else:
            super().put(item, block, timeout)


class Receiver(rtcrtpreceiver.RTCRtpReceiver):
    """A receiver that reports arrivals, and whose decoder thread is joined off the event loop."""

    _ending: threading.Thread | None = None

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._RTCRtpReceiver__decoder_queue = DecoderQueue()

    async def _handle_rtp_packet(self, packet: rtp.RtpPacket, arrival_time_ms: int) -> None:
        path: PathState | None = getattr(self.transport, "path", None)
        sequence = packet.extensions.transport_sequence_number
        if path is None or sequence is None:
            await super()._handle_rtp_packet(packet, arrival_time_ms)
            return
        path.arrivals.add(sequence, arrival_time_ms / 1000)
        packet.extensions.abs_send_time = None  # the sender estimates, so no REMB is due
        await super()._handle_rtp_packet(packet, arrival_time_ms)
        source = getattr(self, "_RTCRtpReceiver__rtcp_ssrc", None)
        for report in path.arrivals.reports(arrival_time_ms / 1000, source or 0, packet.ssrc):
            with contextlib.suppress(ConnectionError):
                await self.transport._send_rtp(report)

    async def _handle_rtcp_packet(self, packet: rtp.AnyRtcpPacket) -> None:
        await super()._handle_rtcp_packet(packet)
        origin = getattr(self, "_RTCRtpReceiver__timestamp_mapper")._origin  # noqa: B009 - mypy cannot see it
        repeats = getattr(self, "_RTCRtpReceiver__rtx_ssrc", {})
        if not isinstance(packet, rtp.RtcpSrPacket) or packet.ssrc in repeats or origin is None:
            return
        if isinstance(self._track, NewestTrack):
            said = packet.sender_info
            self._track.report = said.rtp_timestamp - origin, said.ntp_timestamp / (1 << 32) - NTP_TO_UNIX_S

    async def _send_rtcp(self, packet: rtp.AnyRtcpPacket) -> None:
        try:
            await super()._send_rtcp(packet)
        except Exception as exc:
            # A report that cannot be packed would end the task that sends all reports, and `stop` would hang.
            refused.note("rtcp_report", repr(exc))

    def _RTCRtpReceiver__stop_decoder(self) -> None:  # noqa: N802 - the name aiortc calls
        thread: threading.Thread | None = getattr(self, "_RTCRtpReceiver__decoder_thread")  # noqa: B009
        if thread is not None:
            getattr(self, "_RTCRtpReceiver__decoder_queue").put(None)  # noqa: B009 - mypy cannot see it
            self._RTCRtpReceiver__decoder_thread = None
            self._ending = thread

    async def stop(self) -> None:
        """Stop the receiver and wait for its decoder without blocking the event loop."""
        await super().stop()
        ending, self._ending = self._ending, None
        if ending is not None:
            await asyncio.to_thread(ending.join)
