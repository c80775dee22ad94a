"""What the patch changes in aiortc beside its receivers, each beside aiortc's own behaviour."""

from __future__ import annotations

import asyncio
import datetime
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiortc
import av
import numpy as np
import pytest
from aiortc import RTCPeerConnection, clock, rtcpeerconnection, rtcrtpreceiver, rtcrtpsender, rtp
from aiortc.codecs.opus import OpusEncoder
from aiortc.jitterbuffer import JitterBuffer
from aiortc.mediastreams import VIDEO_TIME_BASE, MediaStreamTrack
from aiortc.rtcdtlstransport import SRTP_PROFILES, RTCCertificate
from aiortc.rtcrtpparameters import (
    RTCRtcpParameters,
    RTCRtpCodecParameters,
    RTCRtpSendParameters,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL

from stream.colour.frames import to_frame
from stream.rtc import aiortc_patch, codecs, ice, jitter
from stream.rtc.aiortc_patch import UnsupportedAiortcError
from stream.rtc.codecs import LiveEncoderConfig, VideoPacket
from stream.session.egress import Broadcast
from tests.stream.aiortc_rig import H264, OPUS, Transport
from tests.stream.rig import until


class Packets(MediaStreamTrack):
    """Gives encoded packets, and notes what receivers ask for."""

    kind = "video"

    def __init__(self, *packets: VideoPacket) -> None:
        super().__init__()
        self.packets = list(packets)
        self.asked: list[object] = []
        self.last_delay_s = 0.25

    async def recv(self) -> VideoPacket:
        if not self.packets:
            await asyncio.sleep(60)
        return self.packets.pop(0)

    def request_keyframe(self) -> None:
        self.asked.append("key frame")

    def set_remb(self, bitrate_bps: int) -> None:
        self.asked.append(bitrate_bps)


def large_packet(size: int) -> VideoPacket:
    packet: Any = av.Packet(b"\0\0\0\1\x65" + bytes([7]) * size)
    packet.pts, packet.time_base = 0, VIDEO_TIME_BASE
    return packet


async def sending(track: MediaStreamTrack) -> tuple[Any, Transport]:
    """A started sender of the class peer connections use now."""
    transport = Transport()
    made: Any = rtcpeerconnection
    sender = made.RTCRtpSender(track, transport)
    await sender.send(RTCRtpSendParameters(codecs=[H264], rtcp=RTCRtcpParameters(cname="x")))
    await asyncio.sleep(0.05)
    return sender, transport


# Which aiortc, and which names.


@pytest.mark.parametrize("version", ["1.15.0", "1.17.0", "2.0.0", "1.1.6"])
def test_other_versions_are_refused_with_the_way_out(version: str) -> None:
    with pytest.raises(UnsupportedAiortcError, match=rf"{version}.*pip install 'aiortc==1\.16\.\*'"):
        aiortc_patch.check_version(version)


def test_a_missing_name_is_refused_and_nothing_is_changed(
    stock: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(rtcrtpreceiver, "NackGenerator")
    with pytest.raises(UnsupportedAiortcError, match="NackGenerator"):
        aiortc_patch.install()
    assert aiortc_patch.installed() == frozenset()
    assert rtcrtpreceiver.JitterBuffer is JitterBuffer  # type: ignore[attr-defined]


def test_install_is_idempotent_partial_and_undone(stock: None) -> None:
    aiortc_patch.install(["history"])
    assert aiortc_patch.installed() == {"history"}
    assert rtcrtpreceiver.JitterBuffer is JitterBuffer  # type: ignore[attr-defined]
    aiortc_patch.install()
    aiortc_patch.install()
    assert rtcrtpreceiver.JitterBuffer is jitter.jitter_buffer  # type: ignore[attr-defined, comparison-overlap]
    assert rtcrtpreceiver.NackGenerator is jitter.NackGenerator  # type: ignore[comparison-overlap]
    aiortc_patch.uninstall()
    assert rtp.RTP_HISTORY_SIZE == rtcrtpsender.RTP_HISTORY_SIZE == 128  # type: ignore[attr-defined]
    assert rtcpeerconnection.RTCRtpSender is rtcrtpsender.RTCRtpSender  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="jiter"):
        aiortc_patch.install(["jiter"])


# History and feedback.


@pytest.mark.parametrize(("setting", "repaired"), [("stock", False), ("patched", True)])
async def test_the_first_packet_of_a_key_frame_can_be_repeated(
    setting: str, repaired: bool, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(setting)
    sender, transport = await sending(Packets(large_packet(200_000)))
    first = rtp.RtpPacket.parse(transport.sent[0])
    assert len(transport.sent) > 150
    transport.sent.clear()
    await sender._retransmit(first.sequence_number)
    await sender.stop()
    assert (
        any(
            rtp.RtpPacket.parse(data).sequence_number == first.sequence_number
            for data in transport.sent
            if not rtp.is_rtcp(data)
        )
        is repaired
    )


async def test_pli_and_remb_reach_the_track(patched: None) -> None:
    track = Packets(large_packet(100))
    sender, _ = await sending(track)
    for kind in (rtp.RTCP_PSFB_PLI, rtp.RTCP_PSFB_FIR):
        await sender._handle_rtcp_packet(rtp.RtcpPsfbPacket(fmt=kind, ssrc=1, media_ssrc=sender._ssrc))
    for sources in ([sender._ssrc], [sender._ssrc + 1]):
        fci = rtp.pack_remb_fci(1_200_000, sources)
        await sender._handle_rtcp_packet(
            rtp.RtcpPsfbPacket(fmt=rtp.RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=fci)
        )
    await sender._handle_rtcp_packet(
        rtp.RtcpPsfbPacket(fmt=rtp.RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=b"else")
    )
    await sender.stop()
    assert track.asked[:2] == ["key frame", "key frame"]
    assert track.asked[2:] == [pytest.approx(1_200_000, rel=0.01)]


@pytest.mark.parametrize(("setting", "delay_s"), [("stock", 0.0), ("patched", 0.25)])
async def test_sender_reports_speak_of_capture_time(
    setting: str, delay_s: float, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(setting)
    begun = clock.current_ntp_time()
    sender, transport = await sending(Packets(large_packet(100)))
    await until(lambda: bool(transport.sent))
    sent = clock.current_ntp_time()
    for _ in range(200):
        await asyncio.sleep(0.05)
        if any(rtp.is_rtcp(data) for data in transport.sent):
            break
    compound = next(data for data in transport.sent if rtp.is_rtcp(data))
    await sender.stop()
    report = rtp.RtcpPacket.parse(compound)[0]
    assert isinstance(report, rtp.RtcpSrPacket)
    captured = report.sender_info.ntp_timestamp + round(delay_s * 2**32)
    assert begun <= captured <= sent
    assert sender._RTCRtpSender__lsr == (report.sender_info.ntp_timestamp >> 16) & 0xFFFFFFFF


async def test_packets_keep_the_rtp_time_of_a_track_that_asks_for_it(patched: None) -> None:
    track = Packets(*[large_packet(100) for _ in range(2)])
    sender, transport = await sending(track)
    other = Packets(large_packet(100))
    other.plain_time = True  # type: ignore[attr-defined]
    plain, carried = await sending(other)
    await until(lambda: bool(transport.sent and carried.sent))
    await sender.stop()
    await plain.stop()
    assert rtp.RtpPacket.parse(carried.sent[0]).timestamp == 0
    assert rtp.RtpPacket.parse(transport.sent[0]).timestamp != 0, "aiortc's random origin"


@pytest.mark.parametrize(("setting", "thread"), [("stock", "asyncio"), ("patched", "codec")])
async def test_frames_are_encoded_in_the_codecs_threads(
    setting: str, thread: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    request.getfixturevalue(setting)
    names: list[str] = []

    class Spy(codecs.H264Sender):
        def encode(self, frame: av.frame.Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
            names.append(threading.current_thread().name)
            return super().encode(frame, force_keyframe)

    class Frames(MediaStreamTrack):
        kind = "video"

        async def recv(self) -> av.VideoFrame:
            await asyncio.sleep(0.01)
            return to_frame(np.zeros((64, 64, 3), np.uint8), len(names) * 3000, VIDEO_TIME_BASE)

    monkeypatch.setattr(rtcrtpsender, "get_encoder", lambda _: Spy())
    sender, _ = await sending(Frames())
    await sender.stop()
    assert names
    assert all(name.startswith(thread) for name in names)


def test_encoders_are_ours_for_video_and_aiortcs_for_sound() -> None:
    assert isinstance(aiortc_patch.make_encoder(H264), codecs.H264Sender)
    vp8 = RTCRtpCodecParameters(mimeType="video/VP8", clockRate=90000, payloadType=97)
    assert isinstance(aiortc_patch.make_encoder(vp8), codecs.Vp8Sender)
    assert isinstance(aiortc_patch.make_encoder(OPUS), OpusEncoder)


# DTLS.


def rsa_context() -> SSL.Context:
    """A DTLS server with a self-signed RSA certificate, as FFmpeg over OpenSSL makes one."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "peer")])
    now = datetime.datetime.now(tz=datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return RTCCertificate._create_ssl_context(RTCCertificate(key, certificate), SRTP_PROFILES)  # type: ignore[arg-type]


def shake_hands(client: SSL.Connection, server: SSL.Connection) -> bool:
    for _ in range(20):
        for near, far in ((client, server), (server, client)):
            try:
                near.do_handshake()
            except SSL.WantReadError:
                pass
            except SSL.Error:
                return False
            try:
                far.bio_write(near.bio_read(65_536))
            except SSL.WantReadError:
                continue
        if client.get_cipher_name() and server.get_cipher_name() and client.get_finished():
            return True
    return False


@pytest.mark.parametrize(("setting", "passes"), [("stock", False), ("patched", True)])
def test_a_peer_with_an_rsa_certificate_passes_the_handshake(
    setting: str, passes: bool, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("patched")
    server = SSL.Connection(rsa_context())
    server.set_accept_state()
    if setting == "stock":
        aiortc_patch.uninstall()
    client = SSL.Connection(RTCCertificate.generateCertificate()._create_ssl_context(SRTP_PROFILES))
    client.set_connect_state()
    assert shake_hands(client, server) is passes


# All together.

FIRST_GREY, GREY_STEP = 30, 5  # brightness of the first picture, and how much brighter each later one is


async def connected(track: MediaStreamTrack) -> tuple[RTCPeerConnection, RTCPeerConnection, MediaStreamTrack]:
    near, far = (RTCPeerConnection(ice.peer_configuration()) for _ in range(2))
    arrived: asyncio.Future[MediaStreamTrack] = asyncio.get_running_loop().create_future()
    far.on("track", arrived.set_result)
    transceiver = near.addTransceiver(track, direction="sendonly")
    capabilities = aiortc.RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([codec for codec in capabilities if codec.name == "H264"])
    await near.setLocalDescription(await near.createOffer())
    await far.setRemoteDescription(near.localDescription)
    await far.setLocalDescription(await far.createAnswer())
    await near.setRemoteDescription(far.localDescription)
    return near, far, await arrived


async def pictures_behind(count: int, fps: float) -> list[int]:
    """How many pictures were put after each one by the time it is decoded at the other peer."""
    with ThreadPoolExecutor(1) as executor:
        broadcast = Broadcast(executor, LiveEncoderConfig())
        near, far, track = await connected(broadcast.track("H264"))
        put = 0
        behind: list[int] = []

        async def feed() -> None:
            nonlocal put
            for put in range(count + 30):
                grey = FIRST_GREY + GREY_STEP * put
                broadcast.put(np.full((64, 64, 3), grey, np.uint8), time.monotonic())
                await asyncio.sleep(1 / fps)

        feeding = asyncio.create_task(feed())
        try:
            while len(behind) < count:
                frame = await asyncio.wait_for(track.recv(), 10)
                assert isinstance(frame, av.VideoFrame)
                luma = np.frombuffer(bytes(frame.planes[0]), np.uint8)[0]
                grey = round((float(luma) - 16) * 255 / 219)
                behind.append(put - round((grey - FIRST_GREY) / GREY_STEP))
        finally:
            feeding.cancel()
            await broadcast.close()
            await near.close()
            await far.close()
        return behind


async def test_a_frame_arrives_before_the_next_one_is_sent(patched: None) -> None:
    assert np.median(await pictures_behind(9, fps=5)) == 0


async def test_aiortc_waits_for_the_next_one(stock: None) -> None:
    assert np.median(await pictures_behind(9, fps=5)) == 1
