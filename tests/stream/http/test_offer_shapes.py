"""Offers shaped as encoders send them: OBS's, simulcast, H.264 High alone, audio alone."""

from __future__ import annotations

import re

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription

from stream.media.demo import DemoSource
from tests.stream.rig import BLUE, Pictures, is_blue, new_peer, publishing, serving, until, watching

FINGERPRINT = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32)
ICE = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=ice-options:trickle\r\n"
HEAD = (
    "v=0\r\no=rtc 3767197920 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n"
    "a=group:LS 0 1\r\na=msid-semantic:WMS *\r\na=setup:actpass\r\n" + ICE + FINGERPRINT + "\r\n"
)
AUDIO = (
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\n"
    "a=ssrc:11 cname:obs\r\na=msid:obs audio\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n"
    "a=fmtp:111 minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1\r\n"
)
VIDEO = (
    "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=sendonly\r\n"
    "a=ssrc:12 cname:obs\r\na=msid:obs video\r\na=rtcp-mux\r\na=rtpmap:96 H264/90000\r\n"
    "a=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 goog-remb\r\n"
    "a=fmtp:96 profile-level-id={profile};packetization-mode=1;level-asymmetry-allowed=1\r\n"
)


@pytest.mark.parametrize("profile", ["42e01f", "4d001f", "640c1f", "64001F"])
async def test_obs_offer_is_answered_in_the_profile_it_has(profile: str) -> None:
    async with serving() as server:
        client = await server.open()
        status, answer, headers = await client.signal("whip", HEAD + AUDIO + VIDEO.format(profile=profile))
        assert status == 201, answer
        assert "Location" in headers
        assert re.search(rf"a=fmtp:96 [^\r\n]*profile-level-id={profile}", answer)
        assert re.search(r"a=rtpmap:111 opus/48000/2", answer)
        assert answer.count("a=recvonly") == 2
        assert "a=group:BUNDLE 0 1" in answer


async def test_audio_alone_is_refused_in_words() -> None:
    async with serving() as server:
        client = await server.open()
        status, answer, _ = await client.signal("whip", HEAD.replace("BUNDLE 0 1", "BUNDLE 0") + AUDIO)
        assert status == 422
        assert "no video section" in answer


async def test_of_a_simulcast_offer_one_layer_is_taken() -> None:
    """The answer names no simulcast, so that the client sends one layer (RFC 8853, section 5.3)."""
    layers = "a=rid:h send\r\na=rid:l send\r\na=simulcast:send h;l\r\n"
    async with serving() as server:
        client = await server.open()
        offer = HEAD + AUDIO + VIDEO.format(profile="42e01f") + layers
        status, answer, _ = await client.signal("whip", offer)
        assert status == 201
        assert "simulcast" not in answer
        assert "a=rid" not in answer


async def test_a_publisher_that_offers_high_alone_is_seen() -> None:
    """aiortc sends its usual H.264 here; what is tested is that the hidden profile connects and decodes."""

    def high(sdp: str) -> str:
        for payload in re.findall(r"a=rtpmap:(\d+) VP8/", sdp):
            sdp = re.sub(rf"a=(?:rtpmap|fmtp|rtcp-fb):{payload} [^\r\n]*\r\n", "", sdp)
            sdp = re.sub(rf"(m=video [^\r\n]*?) {payload}\b", r"\1", sdp)
        return re.sub(r"profile-level-id=\w+", "profile-level-id=640c1f", sdp)

    async with serving() as server:
        client = await server.open()
        peer: RTCPeerConnection = new_peer()
        peer.addTrack(Pictures(DemoSource((240, 320)).frame))
        try:
            await peer.setLocalDescription(await peer.createOffer())
            status, answer, _ = await client.signal("whip", high(peer.localDescription.sdp))
            assert status == 201, answer
            assert "profile-level-id=640c1f" in answer
            answer = answer.replace("640c1f", "42e01f")  # aiortc, as publisher, offered this in truth
            await peer.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
            await until(lambda: server.session(client).stills.newest is not None, 20)
        finally:
            await peer.close()


async def test_an_encoder_that_reconnects_takes_its_place_again() -> None:
    """As OBS does after a lost network: a new POST beside the old connection, and a late goodbye to that."""
    async with serving() as server:
        client = await server.open()
        async with publishing(client, DemoSource((240, 320)).frame) as (_, lost):
            await client.ok("POST", "/reference", json={})
            await client.ok("POST", "/preset", json={"name": "lipstick", "colour": BLUE, "strength": 1})
            async with publishing(client, DemoSource((480, 640)).frame) as (_, present):
                await until(lambda: server.session(client).connections.size == (480, 640))
                token = {"Authorization": f"Bearer {client.token}"}
                for _ in range(2):
                    async with server.http.delete(lost, headers=token) as answer:
                        assert answer.status == 200
                state = await client.ok("GET")
                assert present.endswith(f"/{state['publisher']}")
                assert state["note"] is None
                async with watching(client) as screen:
                    await screen.shows(is_blue)
