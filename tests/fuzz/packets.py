"""Targets that take datagrams: STUN of anybody, RTP and RTCP of a peer, encoded frames."""

from __future__ import annotations

import asyncio
import struct
from functools import cache
from random import Random
from types import SimpleNamespace
from typing import Any

import aioice.ice
import av
import numpy as np
from aioice import Candidate, stun
from aiortc import rtcpeerconnection, rtp
from aiortc.jitterbuffer import JitterFrame
from aiortc.mediastreams import VIDEO_TIME_BASE
from aiortc.rtcdtlstransport import RTCCertificate
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpReceiveParameters

from stream.colour.frames import to_frame
from stream.rtc import aiortc_patch, receivers
from stream.rtc.codecs import LiveEncoder, LiveEncoderConfig
from stream.rtc.sdp_bounds import MAX_CANDIDATES
from stream.rtc.strangers import MAX_DATAGRAMS
from tests.fuzz.mutate import Cases
from tests.stream.aiortc_rig import H264, OPUS, VP8, Transport

PEER, PASSWORD = ("192.0.2.1", 5000), "p" * 22
EXTENSIONS = (
    *("urn:ietf:params:rtp-hdrext:sdes:mid", "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"),
    *("urn:ietf:params:rtp-hdrext:ssrc-audio-level", "urn:ietf:params:rtp-hdrext:toffset"),
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
)


@cache
def loop() -> asyncio.AbstractEventLoop:
    """The loop all cases share."""
    aiortc_patch.install()
    return asyncio.new_event_loop()


async def _connection() -> tuple[Any, Any]:
    connection: Any = aioice.ice.Connection(ice_controlling=False, local_password=PASSWORD)
    connection._early_checks_done = True
    connection.remote_username, connection.remote_password = "peer", PASSWORD
    connection.check_start_task = lambda pair: None
    protocol = aioice.ice.StunProtocol(connection)
    protocol.transport = SimpleNamespace(sendto=lambda data, to: None)  # type: ignore[assignment]
    protocol.local_candidate = Candidate("1", 1, "udp", 1, "192.0.2.9", 6000, "host")
    connection._remote_candidates.append(Candidate("1", 1, "udp", 1, *PEER, "host"))
    return connection, protocol


@cache
def socket() -> tuple[Any, Any]:
    """An ICE connection and its socket."""
    return loop().run_until_complete(_connection())


def stun_corpus() -> list[bytes]:
    """Requests as a peer sends them, signed and not, and an answer."""
    connection, _ = socket()
    found = []
    for signed in (True, False):
        message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, b"transaction.")
        message.attributes |= {
            "USERNAME": f"{connection.local_username}:peer", "PRIORITY": 1, "ICE-CONTROLLING": 5,
            "USE-CANDIDATE": None,
        }  # fmt: skip
        if signed:
            message.add_message_integrity(PASSWORD.encode())
        found.append(bytes(message))
    answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, b"transaction.")
    answer.attributes["XOR-MAPPED-ADDRESS"] = PEER
    return [*found, bytes(answer), b"\x16\xfe\xfd" + bytes(40), b"\x80" * 40]


def sized(cases: Cases) -> Cases:
    """Most cases with the length that STUN's header must name, without which nothing else is read."""

    def case(random: Random) -> bytes:
        data = cases(random)
        if len(data) < 20 or random.random() < 0.2:
            return data
        body = data[20 : len(data) - len(data) % 4]  # attributes fill up to four bytes
        return data[:2] + struct.pack("!H", len(body)) + data[4:20] + body

    return case


def run_stun(data: bytes) -> None:
    """A datagram from the peer and from a stranger; nothing is raised, little is kept."""
    connection, protocol = socket()
    for address in (PEER, ("198.51.100.1", 1024 + len(data) % 60_000)):
        protocol.datagram_received(data, address)
    assert connection._queue.qsize() <= MAX_DATAGRAMS
    assert len(connection._remote_candidates) <= MAX_CANDIDATES
    while not connection._queue.empty():
        connection._queue.get_nowait()


async def _transport() -> Any:
    made: Any = rtcpeerconnection
    below = SimpleNamespace(role="controlled", _recv=None, _send=None)
    dtls = made.RTCDtlsTransport(below, [RTCCertificate.generateCertificate()])
    parameters = RTCRtpReceiveParameters(
        codecs=[H264, VP8, OPUS],
        headerExtensions=[RTCRtpHeaderExtensionParameters(id=n, uri=u) for n, u in enumerate(EXTENSIONS, 1)],
    )
    dtls._rtp_header_extensions_map.configure(parameters)
    receiver = made.RTCRtpReceiver("video", Transport())
    receiver._track = made.RemoteStreamTrack(kind="video")
    for codec in parameters.codecs:
        receiver._RTCRtpReceiver__codecs[codec.payloadType] = codec
    receiver._set_rtcp_ssrc(9)
    dtls._rtp_router.register_receiver(
        receiver, ssrcs=[3], payload_types=[c.payloadType for c in parameters.codecs]
    )
    sender = made.RTCRtpSender("video", Transport())
    sender._ssrc = 7
    dtls._rtp_router.register_sender(sender, ssrc=7)
    return dtls


@cache
def transport() -> Any:
    """A transport with a receiver and a sender."""
    return loop().run_until_complete(_transport())


def rtp_corpus() -> list[bytes]:
    """Packets of each codec, with extensions of each kind."""
    found = []
    for codec, payload in (
        (H264, b"\x65" + bytes(60)),
        (H264, b"\x7c\x85" + bytes(60)),
        (VP8, b"\x90\x80\x81\x01" + bytes(50)),
        (OPUS, b"\xfc\xff\xfe"),
    ):
        packet = rtp.RtpPacket(
            payload_type=codec.payloadType or 0,
            ssrc=3,
            sequence_number=5,
            timestamp=9,
            payload=payload,
            marker=1,
        )
        packet.extensions.mid, packet.extensions.abs_send_time = "0", 77
        packet.extensions.transport_sequence_number, packet.extensions.audio_level = 4, (True, 3)
        found += [packet.serialize(), packet.serialize(transport()._rtp_header_extensions_map)]
    return found


def run_rtp(data: bytes) -> None:
    """A packet behind SRTP."""
    loop().run_until_complete(transport()._handle_rtp_data(data, 5))


def rtcp_corpus() -> list[bytes]:
    """Reports and feedback."""
    info = rtp.RtcpReceiverInfo(7, 1, 2, 3, 4, 5, 6)
    sender = rtp.RtcpSenderInfo(1 << 40, 5, 6, 7)
    packets: list[Any] = [
        rtp.RtcpRrPacket(ssrc=1, reports=[info]),
        rtp.RtcpSrPacket(ssrc=3, sender_info=sender, reports=[info]),
        rtp.RtcpByePacket(sources=[3]),
        rtp.RtcpSdesPacket(chunks=[rtp.RtcpSourceInfo(ssrc=3, items=[(1, b"name")])]),
        rtp.RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=7, lost=[1, 2, 40]),
        rtp.RtcpPsfbPacket(fmt=1, ssrc=1, media_ssrc=7),
        rtp.RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=rtp.pack_remb_fci(900_000, [7])),
    ]
    return [*map(bytes, packets), bytes(packets[0]) + bytes(packets[3])]


def run_rtcp(data: bytes) -> None:
    """A report behind SRTP."""
    loop().run_until_complete(transport()._handle_rtcp_data(data))


def frames_corpus() -> list[bytes]:
    """Encoded pictures: a byte that says which codec, then the picture."""
    found = []
    for kind, codec in ((b"H", "H264"), (b"V", "VP8")):
        encoder = LiveEncoder(codec, LiveEncoderConfig())  # type: ignore[arg-type]
        for n in range(2):
            image = np.full((48, 64, 3), 40 * n, np.uint8)
            found += [kind + bytes(p) for p in encoder.encode(to_frame(image, 3000 * n, VIDEO_TIME_BASE))]
    return found


@cache
def decoders() -> dict[bytes, tuple[Any, Any]]:
    """A decoder of each kind, kept, as a connection keeps its own."""
    return {kind: (codec, receivers.bounded_decoder(codec)) for kind, codec in ((b"H", H264), (b"V", VP8))}


def run_frames(data: bytes) -> None:
    """A frame through a live decoder; pictures that come out are within the limit."""
    import threading

    codec, decoder = decoders().get(data[:1]) or decoders()[b"H"]
    queue: asyncio.Queue[Any] = asyncio.Queue()
    try:
        items = receivers._decode(decoder, codec, JitterFrame(data[1:], 0), queue, threading.Event())
    except receivers.TooLargeError:
        return
    for item in items:
        assert isinstance(item, av.VideoFrame)
        assert item.width * item.height <= receivers.MAX_PIXELS


def control_corpus() -> list[bytes]:
    """What pages send over their socket."""
    return [
        b'{"type": "settings", "strength": 0.5, "mode": "auto", "enabled": true, "overlay": "none"}',
        b'{"type": "wear", "look": 1}', b'{"type": "compare", "on": true}', b"[]", b"{}",
    ]  # fmt: skip
