"""Replaces a few names of aiortc at run time, for use with live streams.

`install` replaces these parts of aiortc 1.16. It refuses any other version.

- "jitter": frames leave with their marker bit, holes are skipped at a key frame (`stream.rtc.jitter`)
- "nack": missing packets are asked for several times
- "history": 2048 sent packets can be repeated instead of 128
- "encoders": x264 superfast with a variable bit rate (`stream.rtc.codecs`)
- "receiver": only the newest decoded frame is kept, decoders are bounded and are joined off the event loop
  (`stream.rtc.receivers`)
- "sender": feedback (PLI, REMB) reaches the track, encoding runs in the codecs' threads, sender reports
  state the capture time
- "strangers": packets that cannot be parsed, come from elsewhere or cost too much are dropped
  (`stream.rtc.strangers`)
- "congestion": transport-wide feedback in both directions (`stream.rtc.transport_wide`), and an estimate for
  REMB that recovers within seconds (`stream.congestion.remb`)
- "ciphers": peers with an RSA certificate (as FFmpeg over OpenSSL makes one) pass the DTLS handshake

aiortc's own classes stay unchanged. Peer connections made after `install` use the replacements.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import aiortc
from aiortc import rtcdtlstransport, rtcpeerconnection, rtcrtpreceiver, rtcrtpsender, rtp
from aiortc.codecs import get_encoder
from aiortc.codecs.base import Encoder
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from OpenSSL import SSL

from stream.congestion.feedback import SentLog
from stream.congestion.remb import ReceiveEstimator
from stream.refused import refused
from stream.rtc import codecs, ice, jitter, receivers, strangers, transport_wide

logger = logging.getLogger(__name__)

VERSION = "1.16."
CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-SHA:"
    b"ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305:"
    b"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA"
)
NTP_SECOND = 1 << 32
REPEATS_PER_S = 300  # average rate of packets repeated to one peer: 3 Mb/s
MOST_REPEATS = jitter.HISTORY  # most packets repeated to one peer at once
REPEAT_SHARE, PACKET_BITS = 0.3, 9600  # of what a path is known to take, for repeats
LEAST_REPEATS = 20.0  # repeats that may come at once on any path
CODEC_THREADS = 2
NEAR_S = 0.008  # a quicker round trip at least once: nothing lies between this machine's own addresses


class UnsupportedAiortcError(ImportError):
    """The installed aiortc is not the version that the patch was written for."""


_executor: Executor | None = None
_installed: set[str] = set()
_originals: list[tuple[Any, str, Any]] = []


def codec_executor() -> Executor:
    """The threads in which senders encode. They are made on first use."""
    global _executor
    if _executor is None:
        _executor = ThreadPoolExecutor(CODEC_THREADS, thread_name_prefix="codec")
    return _executor


class _CodecLoop:
    """An event loop for senders that runs default-executor work in the codecs' threads."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def run_in_executor(
        self, executor: Executor | None, function: Callable[..., Any], *arguments: Any
    ) -> asyncio.Future[Any]:
        return self._loop.run_in_executor(executor or codec_executor(), function, *arguments)


class PlainTime(int):
    """An RTP time that stays as it is when aiortc adds a connection's random origin to it.

    So all viewers of a session receive a frame with the same RTP time, which a page can name to the server.
    SRTP encrypts the packets, so the origin need not be random.
    """

    def __radd__(self, origin: int) -> int:
        return int(self)


class Sender(rtcrtpsender.RTCRtpSender):
    """A sender that passes the receiver's feedback to its track and reports capture time.

    A track may have `request_keyframe()`, `set_bandwidth(bitrate_bps, pause_s)` for transport-wide feedback,
    or else `set_remb(bitrate_bps)` and `set_report(loss, round_trip_s)`, `target_bps`, its present rate, and
    `last_delay_s`, the seconds from capture until it gave its last packet, and `plain_time`, whether its
    packets keep their RTP time (see `stream.session.viewer_track.PacketTrack`). Other tracks' encoders are
    told the rate.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._RTCRtpSender__loop = _CodecLoop(asyncio.get_event_loop())
        self._repeats, self._repeated_at_s = float(MOST_REPEATS), time.monotonic()
        self._quickest_s = float("inf")  # shortest round trip
        if "congestion" in _installed:
            self._RTCRtpSender__rtp_header_extensions_map = transport_wide.NumberingMap(self._sent_log)

    async def _next_encoded_frame(self, codec: RTCRtpCodecParameters) -> Any:
        frame = await super()._next_encoded_frame(codec)
        if frame is not None and getattr(self.track, "plain_time", False):
            frame.timestamp = PlainTime(frame.timestamp)
        return frame

    @property
    def _path(self) -> transport_wide.PathState | None:
        return getattr(self.transport, "path", None)

    def _sent_log(self) -> SentLog | None:
        return None if self._path is None else self._path.sent

    @property
    def start_bps(self) -> int:
        """The rate at which the stream begins, bits per second."""
        return getattr(self.track, "target_bps", transport_wide.START_BPS)

    def take_bandwidth(self, bitrate_bps: int, pause_s: float) -> None:
        """Take what the path takes, bits per second, and for how long to send nothing, seconds.

        No network limits a peer on this machine: what looks like a queue is a busy computer.
        """
        if self._quickest_s < NEAR_S and ice.is_this_machine(self.transport.transport):
            bitrate_bps, pause_s = max(bitrate_bps, ice.NEAR_BPS), 0.0
        limit = getattr(self.track, "set_bandwidth", None)
        encoder: Any = getattr(self, "_RTCRtpSender__encoder", None)
        if limit is not None:
            limit(bitrate_bps, pause_s)
        elif hasattr(encoder, "target_bitrate"):
            encoder.target_bitrate = bitrate_bps

    async def _retransmit(self, sequence_number: int) -> None:
        """Repeat a packet, at a limited rate: a NACK may ask for thousands, and a full path gets fuller."""
        now_s, per_s, most = time.monotonic(), float(REPEATS_PER_S), float(MOST_REPEATS)
        if self._path is not None and self._path.bandwidth is not None:
            per_s = min(REPEAT_SHARE * self._path.bandwidth.bps / PACKET_BITS, per_s)
            most = max(per_s, LEAST_REPEATS)
        self._repeats = min(self._repeats + (now_s - self._repeated_at_s) * per_s, most)
        self._repeated_at_s = now_s
        if self._repeats < 1:
            refused.note("repeated_packets")
            return
        self._repeats -= 1
        await super()._retransmit(sequence_number)

    def _send_keyframe(self) -> None:
        super()._send_keyframe()
        request = getattr(self.track, "request_keyframe", None)
        if request is not None:
            request()

    async def _handle_rtcp_packet(self, packet: rtp.AnyRtcpPacket) -> None:
        remb = packet if isinstance(packet, rtp.RtcpPsfbPacket) and packet.fmt == rtp.RTCP_PSFB_APP else None
        if remb is not None and self._path is not None and self._path.bandwidth is not None:
            return  # transport-wide feedback says more
        await super()._handle_rtcp_packet(packet)
        if isinstance(packet, rtp.RtcpRrPacket | rtp.RtcpSrPacket):
            self._pass_report(packet.reports)
        limit = getattr(self.track, "set_remb", None)
        if limit is None or remb is None:
            return
        if self._quickest_s < NEAR_S and ice.is_this_machine(self.transport.transport):
            return
        try:
            bitrate_bps, sources = rtp.unpack_remb_fci(remb.fci)
        except ValueError:
            return  # feedback of another application
        if self._ssrc in sources:
            limit(bitrate_bps)

    def _pass_report(self, reports: list[rtp.RtcpReceiverInfo]) -> None:
        """Tell the track about the loss and the round trip of its packets."""
        take = getattr(self.track, "set_report", None)
        lsr, sent_s = (getattr(self, f"_RTCRtpSender__{name}") for name in ("lsr", "lsr_time"))
        for report in reports:
            if report.ssrc == self._ssrc and report.dlsr and report.lsr == lsr:
                self._quickest_s = min(self._quickest_s, max(time.time() - sent_s - report.dlsr / 65536, 0.0))
            if take is not None and report.ssrc == self._ssrc:
                take(report.fraction_lost / 256, getattr(self, "_RTCRtpSender__rtt", None))

    async def _send_rtcp(self, packets: list[rtp.AnyRtcpPacket]) -> None:
        silent_bps = None if self._path is None else self._path.silent()
        if silent_bps is not None:
            self.take_bandwidth(silent_bps, 0.0)
        delay_s = getattr(self.track, "last_delay_s", None)
        for packet in packets:
            if delay_s and isinstance(packet, rtp.RtcpSrPacket) and packet.sender_info.ntp_timestamp:
                packet.sender_info.ntp_timestamp -= round(delay_s * NTP_SECOND)
                # the receiver echoes this part of the time, from which the round trip is computed
                self._RTCRtpSender__lsr = (packet.sender_info.ntp_timestamp >> 16) & 0xFFFFFFFF
        await super()._send_rtcp(packets)


def make_encoder(codec: RTCRtpCodecParameters) -> Encoder:
    """Make Livery's encoder for H.264 and VP8, and aiortc's for other codecs."""
    name = codec.mimeType.lower()
    if name == "video/h264":
        return codecs.H264Sender()
    if name == "video/vp8":
        return codecs.Vp8Sender()
    return get_encoder(codec)


_create_ssl_context = rtcdtlstransport.RTCCertificate._create_ssl_context


def create_ssl_context(
    self: rtcdtlstransport.RTCCertificate, srtp_profiles: list[rtcdtlstransport.SRTPProtectionProfile]
) -> SSL.Context:
    """Make aiortc's DTLS context, with cipher suites for RSA certificates in addition to ECDSA."""
    context = _create_ssl_context(self, srtp_profiles)
    context.set_cipher_list(CIPHERS)
    return context


PARTS: dict[str, list[tuple[Any, str, Any]]] = {
    "jitter": [(rtcrtpreceiver, "JitterBuffer", jitter.jitter_buffer)],
    "nack": [(rtcrtpreceiver, "NackGenerator", jitter.NackGenerator)],
    "history": [
        (module, "RTP_HISTORY_SIZE", jitter.HISTORY) for module in (rtp, rtcrtpsender, rtcrtpreceiver)
    ],
    "encoders": [(rtcrtpsender, "get_encoder", make_encoder)],
    "receiver": [
        (rtcrtpreceiver, "decoder_worker", receivers.decoder_worker),
        (rtcpeerconnection, "RemoteStreamTrack", receivers.NewestTrack),
        (rtcpeerconnection, "RTCRtpReceiver", receivers.Receiver),
    ],
    "sender": [(rtcpeerconnection, "RTCRtpSender", Sender)],
    "strangers": strangers.PARTS,
    "congestion": [
        (rtcpeerconnection, "HEADER_EXTENSIONS", transport_wide.HEADER_EXTENSIONS),
        (rtcpeerconnection, "CODECS", transport_wide.CODECS),
        (rtcrtpreceiver, "RemoteBitrateEstimator", ReceiveEstimator),
    ],
    "ciphers": [(rtcdtlstransport.RTCCertificate, "_create_ssl_context", create_ssl_context)],
}


def install(parts: Iterable[str] = tuple(PARTS)) -> None:
    """Replace the names in aiortc. A second call does nothing.

    Args:
        parts: names from `PARTS`, by default all. "jitter" includes "receiver", whose decoder takes its
            batches. "congestion" includes "receiver", "sender" and "strangers", which hold its ends.

    Raises:
        UnsupportedAiortcError: aiortc is not version 1.16, or lacks one of the names.
    """
    chosen = set(parts)
    if unknown := chosen - set(PARTS):
        raise ValueError(f"parts must be among {sorted(PARTS)}, got {sorted(unknown)}")
    if "jitter" in chosen:
        chosen.add("receiver")
    if "congestion" in chosen:
        chosen |= {"receiver", "sender", "strangers"}
    check_version(aiortc.__version__)
    replacements = [entry for part in PARTS if part in chosen - _installed for entry in PARTS[part]]
    for owner, name, _ in replacements:
        if not hasattr(owner, name):
            raise UnsupportedAiortcError(f"aiortc {aiortc.__version__} has no {owner.__name__}.{name}")
    for owner, name, replacement in replacements:
        _originals.append((owner, name, getattr(owner, name)))
        setattr(owner, name, replacement)
    _installed.update(chosen)


def installed() -> frozenset[str]:
    """The parts that are installed."""
    return frozenset(_installed)


def stock(owner: Any, name: str) -> Any:
    """Return aiortc's own object for a name that may have been replaced."""
    return next(
        (kept for where, what, kept in _originals if (where, what) == (owner, name)), getattr(owner, name)
    )


def uninstall() -> None:
    """Restore aiortc's own objects, for tests and measurements."""
    while _originals:
        setattr(*_originals.pop())
    _installed.clear()


def check_version(version: str) -> None:
    """Raise UnsupportedAiortcError unless `version` is one the patch was written and tested for."""
    if not version.startswith(VERSION):
        raise UnsupportedAiortcError(
            f"aiortc {version} is not supported: the live edge replaces internals of aiortc {VERSION}x; "
            f"install it with: pip install 'aiortc=={VERSION}*'"
        )
