"""Packets of strangers, and a peer's own bad ones: counted, and the stream goes on."""

from __future__ import annotations

import re
import socket
import struct
import time
from types import SimpleNamespace
from typing import Any

import aioice.ice
import pylibsrtp
import pytest
from aioice import Candidate, stun
from aiortc import clock, rate, rtcpeerconnection, rtcrtpreceiver, rtp
from aiortc.rtcdtlstransport import RTCCertificate
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpReceiveParameters

from stream.media.demo import DemoSource
from stream.refused import Refusals, refused
from stream.rtc import receivers
from stream.rtc.sdp_bounds import MAX_CANDIDATES
from stream.rtc.strangers import MAX_DATAGRAMS, MAX_SOURCES, BoundedSession
from tests.stream.aiortc_rig import H264, Transport
from tests.stream.rig import Pictures, new_peer, publishing, serving, until, until_state, watching

STRANGER = ("192.0.2.7", 4000)
PEER = ("192.0.2.1", 5000)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def binding(*attributes: bytes) -> bytes:
    body = b"".join(attributes)
    return struct.pack("!HHI12s", 1, len(body), stun.COOKIE, b"transaction.") + body


BAD_STUN = {
    "a short number": binding(attribute(0x24, b"\0")),
    "a long number": binding(attribute(0x8029, bytes(20))),
    "a name that is no text": binding(attribute(6, b"\xff\xfe")),
    "an address cut short": binding(attribute(0x20, b"\0\1\0")),
    "an unknown method": struct.pack("!HHI12s", 0x000A, 0, stun.COOKIE, b"transaction."),
    "a lying length": struct.pack("!HHI12s", 1, 400, stun.COOKIE, b"transaction."),
}


def listening() -> tuple[Any, Any]:
    """An ICE connection that knows one peer, and its socket; nothing is sent."""
    connection: Any = aioice.ice.Connection(ice_controlling=False)
    protocol = aioice.ice.StunProtocol(connection)
    protocol.transport = SimpleNamespace(sendto=lambda data, to: None)  # type: ignore[assignment]
    protocol.local_candidate = Candidate("1", 1, "udp", 1, "192.0.2.9", 6000, "host")
    connection._remote_candidates.append(Candidate("1", 1, "udp", 1, *PEER, "host"))
    return connection, protocol


# Datagrams.


async def test_datagrams_of_strangers_do_not_end_a_stream() -> None:
    async with serving() as server:
        client = await server.open()
        async with publishing(client) as (peer, _), watching(client) as screen:
            await screen.after(3)
            sdp = peer.remoteDescription.sdp
            places = re.findall(r"udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) typ host", sdp)
            causes = ("empty_datagram", "stranger_datagram", "stun_packet")
            before = {cause: refused[cause] for cause in causes}
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                for host, port in places:
                    for data in (b"", b"\x15\xfe\xfd" + bytes(20), b"\x80" * 40, *BAD_STUN.values()):
                        stranger.sendto(data, (host, int(port)))
            await until(lambda: all(refused[cause] > count for cause, count in before.items()))
            await screen.after(10)
            state = await client.ok("GET")
            assert state["publishing"]
            assert state["note"] is None
            async with server.http.get(f"{server.origin}/metrics") as answer:
                assert 'livery_refused_total{cause="empty_datagram"}' in await answer.text()


async def test_only_datagrams_of_the_peer_are_queued_and_not_without_end(patched: None) -> None:
    connection, protocol = listening()
    protocol.datagram_received(b"\x16" + bytes(30), STRANGER)
    protocol.datagram_received(b"\x80" + bytes(30), STRANGER)
    assert connection._queue.qsize() == 0
    for _ in range(MAX_DATAGRAMS + 50):
        protocol.datagram_received(b"\x80" + bytes(30), PEER)
    assert connection._queue.qsize() == MAX_DATAGRAMS


@pytest.mark.parametrize("data", [b"", *BAD_STUN.values()], ids=["empty", *BAD_STUN])
async def test_bad_datagrams_are_dropped_whoever_sends_them(patched: None, data: bytes) -> None:
    connection, protocol = listening()
    for address in (STRANGER, PEER):
        protocol.datagram_received(data, address)
    assert connection._queue.qsize() == 0


async def test_a_peer_makes_known_so_many_addresses_and_no_more(patched: None) -> None:
    connection, protocol = listening()
    connection._early_checks_done, connection.remote_password = True, "p" * 22
    connection.check_start_task = lambda pair: None
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes={"PRIORITY": 1})
    for port in range(1, 400):
        connection.check_incoming(message, ("192.0.2.1", port), protocol)
    assert len(connection.remote_candidates) == MAX_CANDIDATES
    assert len(connection._check_list) <= MAX_CANDIDATES
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    connection.check_incoming(message, PEER, protocol)  # without PRIORITY


# RTP and RTCP of the peer itself.


@pytest.fixture
def dtls(patched: None) -> Any:
    made: Any = rtcpeerconnection
    transport = SimpleNamespace(role="controlled", _recv=None, _send=None)
    return made.RTCDtlsTransport(transport, [RTCCertificate.generateCertificate()])


def extended(values: bytes) -> bytes:
    body = values + bytes(-len(values) % 4)
    return rtp.RtpPacket(payload_type=101).serialize()[:0] + (
        struct.pack("!BBHLL", 0x90, 101, 1, 2, 3) + struct.pack("!HH", 0xBEDE, len(body) // 4) + body + b"x"
    )


async def test_extensions_of_a_wrong_length_are_counted(dtls: Any) -> None:
    for number, uri in enumerate(("abs-send-time", "transport-wide-cc-extensions-01"), 1):
        home = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
        if number == 2:
            home = f"http://www.ietf.org/id/draft-holmer-rmcat-{uri}"
        parameters = RTCRtpReceiveParameters(
            codecs=[H264], headerExtensions=[RTCRtpHeaderExtensionParameters(id=number, uri=home)]
        )
        dtls._rtp_header_extensions_map.configure(parameters)
    before = refused["rtp_packet"]
    for number in (1, 2):
        await dtls._handle_rtp_data(extended(bytes([number << 4 | 8]) + bytes(9)), 0)
    assert refused["rtp_packet"] == before + 2


async def test_feedback_that_is_cut_short_is_counted(dtls: Any) -> None:
    before = refused["rtcp_packet"]
    fci = b"REMB" + bytes([200, 0, 0, 9]) + bytes(4)  # says 200 sources, holds one
    packet = rtp.RtcpPsfbPacket(fmt=rtp.RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=fci)
    await dtls._handle_rtcp_data(bytes(packet))
    assert refused["rtcp_packet"] == before + 1


async def test_a_transport_that_has_closed_says_so(dtls: Any) -> None:
    class Gone:
        async def _handle_rtp_packet(self, packet: object, arrival_time_ms: int) -> None:
            raise ConnectionError

    dtls._rtp_router.register_receiver(Gone(), ssrcs=[3], payload_types=[101])
    with pytest.raises(ConnectionError):
        await dtls._handle_rtp_data(rtp.RtpPacket(payload_type=101, ssrc=3, payload=b"x").serialize(), 0)


def test_a_peer_sends_from_so_many_sources_and_no_more() -> None:
    key = bytes(range(30))
    sender = pylibsrtp.Session(pylibsrtp.Policy(key=key, ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND))
    reader = BoundedSession(
        pylibsrtp.Session(pylibsrtp.Policy(key=key, ssrc_type=pylibsrtp.Policy.SSRC_ANY_INBOUND))
    )

    def packet(source: int, number: int = 1) -> bytes:
        made = rtp.RtpPacket(payload_type=101, ssrc=source, sequence_number=number, payload=b"x" * 20)
        return sender.protect(made.serialize())

    for source in range(1000, 1200):  # forged ones count for nothing
        with pytest.raises(pylibsrtp.Error):
            reader.unprotect(packet(source)[:-1] + b"?")
    for source in range(MAX_SOURCES):
        reader.unprotect(packet(source))
    with pytest.raises(pylibsrtp.Error, match="sources"):
        reader.unprotect(packet(999))
    assert reader.unprotect(packet(0, 2)).endswith(b"x")


async def test_a_nack_for_everything_is_answered_within_reason(patched: None) -> None:
    made: Any = rtcpeerconnection
    sender = made.RTCRtpSender("video", Transport())
    asked: list[int] = []
    sender._RTCRtpSender__rtp_history = SimpleNamespace(get=lambda number: asked.append(number))
    for _ in range(20):
        await sender._handle_rtcp_packet(
            rtp.RtcpRtpfbPacket(fmt=rtp.RTCP_RTPFB_NACK, ssrc=1, media_ssrc=2, lost=list(range(6000)))
        )
    assert 1000 < len(asked) < 4000


# Clocks and figures.


async def test_reports_can_be_sent_whatever_the_figures(patched: None) -> None:
    made: Any = rtcrtpreceiver
    statistics = made.StreamStatistics(90000)
    for number in range(200):
        stamp = 0xFFFFFFFF if number % 2 else 0
        statistics.add(rtp.RtpPacket(sequence_number=number, timestamp=stamp))
        statistics._last_arrival -= 400 * 86_400 * 90_000  # a clock set forward by 400 days
    info = rtp.RtcpReceiverInfo(1, statistics.fraction_lost, 0, 0, statistics.jitter, 0, 0)
    assert len(bytes(info)) == 24
    made = rtcpeerconnection
    receiver = made.RTCRtpReceiver("video", Transport())
    await receiver._send_rtcp(SimpleNamespace())  # nothing that could be packed
    assert made.RTCRtpReceiver is receivers.Receiver


@pytest.mark.parametrize("away_s", [8 * 3600, 400 * 86_400, -3600])
def test_a_long_pause_or_a_clock_that_was_set_costs_no_time(patched: None, away_s: int) -> None:
    counter: Any = rate.RateCounter(1000, 8000)
    for now_ms in range(5000):
        counter.add(100, now_ms)
    assert counter.rate(4999) == 800_000
    before_s = time.process_time()
    counter.add(100, 5000 + 1000 * away_s)
    assert time.process_time() - before_s < 0.5
    for now_ms in range(1, 3000):
        counter.add(100, 5000 + 1000 * away_s + now_ms)
    assert counter.rate(5000 + 1000 * away_s + 2999) == 800_000


def test_arrival_times_do_not_follow_the_wall_clock(patched: None, monkeypatch: pytest.MonkeyPatch) -> None:
    before_ms = clock.current_ms()
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert 0 <= clock.current_ms() - before_ms < 10_000
    made: Any = rtcrtpreceiver
    assert made.time.time() == pytest.approx(time.monotonic(), abs=5)


# Video that is too large.


async def test_a_publisher_of_huge_pictures_is_closed_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers, "MAX_PIXELS", 320 * 200)
    async with serving() as server:
        client = await server.open()
        peer = new_peer()  # it may be closed before it knows that it is connected
        try:
            peer.addTrack(Pictures(DemoSource((480, 640), 15).frame, 15))
            await client.connect("whip", peer)
            state = await until_state(client, lambda state: not state["publishing"] and state["note"], 30)
            assert "its video has 640x480 pixels; at most 0.064 million are taken" in state["note"]
        finally:
            await peer.close()


# Counting.


def test_each_cause_is_logged_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    causes = Refusals()
    for _ in range(3):
        causes.note("empty_datagram", "from\nsomebody")
    causes.note("stun_packet")
    assert causes["empty_datagram"] == 3
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "\n" not in caplog.records[0].getMessage()
    assert 'livery_refused_total{cause="empty_datagram"} 3' in causes.render()
    for number in range(300):
        causes.note(f"cause{number}")
    assert len(causes.render().splitlines()) < 110
