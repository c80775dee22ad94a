"""WHIP and WHEP as RFC 9725 and their clients want them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiortc import AudioStreamTrack, RTCPeerConnection, RTCSessionDescription

from stream.errors import OfferError, SignalingError
from stream.media.demo import DemoSource
from stream.rtc.offers import parse_fragment, parse_offer, with_start_bitrate
from stream.rtc.peer import Peer
from tests.stream.rig import Client, Pictures, new_peer, publishing, serving, until

FRAGMENT = "application/trickle-ice-sdpfrag"


@pytest.fixture
async def offer() -> AsyncIterator[tuple[RTCPeerConnection, str]]:
    """A publisher's connection and its offer."""
    peer = new_peer()
    peer.addTrack(Pictures(DemoSource((240, 320)).frame))
    await peer.setLocalDescription(await peer.createOffer())
    yield peer, peer.localDescription.sdp
    await peer.close()


def bare(sdp: str) -> str:
    """The offer as OBS sends it: no candidates, no end of them."""
    return re.sub(r"a=(candidate:[^\r\n]*|end-of-candidates)\r\n", "", sdp)


async def resource(client: Client, method: str, url: str, **more: object) -> int:
    headers = {"Authorization": f"Bearer {client.token}", **more.pop("headers", {})}  # type: ignore[dict-item]
    async with client.server.http.request(method, url, headers=headers, **more) as answer:  # type: ignore[arg-type]
        return answer.status


async def test_offer_without_candidates_is_answered_in_full(offer: tuple[RTCPeerConnection, str]) -> None:
    peer, sdp = offer
    async with serving() as server:
        client = await server.open()
        started_s = time.monotonic()
        status, answer, headers = await client.signal("whip", bare(sdp))
        assert time.monotonic() - started_s < 6.0, "OBS gives up after 8 s"
        assert status == 201
        assert headers["Content-Type"].startswith("application/sdp")
        assert "a=recvonly" in answer
        assert "a=candidate:" in answer
        assert "a=end-of-candidates" in answer
        assert re.search(r"a=fmtp:\d+ .*x-google-start-bitrate=2500", answer)
        location = headers["Location"]
        assert location.startswith(f"{server.origin}/whip/{client.id}/")
        assert "?" not in location
        assert len(location.rsplit("/", 1)[1]) >= 20
        assert client.token not in location
        assert "ETag" not in headers
        await peer.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
        await until(lambda: peer.connectionState == "connected")
        await until(lambda: server.session(client).connections.publishing)


async def test_delete_is_200_each_time() -> None:
    async with serving() as server:
        client = await server.open()
        async with publishing(client) as (_, location):
            assert await resource(client, "DELETE", location) == 200
            assert await resource(client, "DELETE", location) == 200
            assert not server.session(client).connections.publishing
            assert await resource(client, "DELETE", location + "_") == 404
            assert await resource(client, "DELETE", location, headers={"Authorization": "Bearer no"}) == 401
            assert (
                await resource(client, "PATCH", location, data="", headers={"Content-Type": FRAGMENT}) == 404
            )


async def test_trickle_is_204_and_restart_422() -> None:
    async with serving() as server:
        client = await server.open()
        async with publishing(client) as (peer, location):
            sdp = peer.localDescription.sdp
            ufrag = re.search(r"a=ice-ufrag:(\S+)", sdp)
            assert ufrag is not None
            candidates = re.findall(r"a=candidate:[^\r\n]+", sdp)
            good = "\r\n".join(
                [f"a=ice-ufrag:{ufrag[1]}", "m=video 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0", *candidates]
            )
            kind = {"Content-Type": FRAGMENT}
            assert await resource(client, "PATCH", location, data=good + "\r\n", headers=kind) == 204
            restart = "a=ice-ufrag:fresh\r\na=ice-pwd:freshfreshfreshfreshfresh\r\n"
            assert await resource(client, "PATCH", location, data=restart, headers=kind) == 422
            always = {**kind, "If-Match": "*"}
            assert await resource(client, "PATCH", location, data=restart, headers=always) == 422
            stale = {**kind, "If-Match": '"of another server"'}
            assert await resource(client, "PATCH", location, data=good + "\r\n", headers=stale) == 412
            assert await resource(client, "PATCH", location, data="a=candidate:x\r\n", headers=kind) == 400
            assert await resource(client, "PATCH", location, data=good) == 415
            assert peer.connectionState == "connected"


async def test_options_say_what_is_taken() -> None:
    async with serving() as server:
        client = await server.open()
        for kind in ("whip", "whep"):
            async with server.http.options(f"{server.origin}/{kind}/{client.id}") as answer:
                assert answer.status == 204
                assert answer.headers["Accept-Post"] == "application/sdp"
                assert answer.headers["Allow"] == "POST, OPTIONS"
            async with server.http.options(f"{server.origin}/{kind}/{client.id}/any") as answer:
                assert answer.status == 204
                assert answer.headers["Accept-Patch"] == FRAGMENT
                assert answer.headers["Allow"] == "PATCH, DELETE, OPTIONS"


async def test_tokens_guard_both_endpoints(offer: tuple[RTCPeerConnection, str]) -> None:
    _, sdp = offer
    async with serving() as server:
        client = await server.open()
        wrong = {"Authorization": "Bearer wrong"}
        viewer = {"Authorization": f"Bearer {client.view_token}"}
        assert (await client.signal("whip", sdp, **wrong))[0] == 401
        assert (await client.signal("whep", sdp, **wrong))[0] == 401
        assert (await client.signal("whip", sdp, **viewer))[0] == 403
        sending = sdp.replace("a=sendrecv", "a=sendonly")
        assert (await client.signal("whep", sending, **viewer))[0] == 422, "let in, but it only sends"
        stranger = Client(server, "nobody", client.token, "")
        assert (await stranger.signal("whip", sdp))[0] == 404


async def test_public_url_goes_into_location(offer: tuple[RTCPeerConnection, str]) -> None:
    async with serving(public_url="https://livery.example") as server:
        client = await server.open()
        _, _, headers = await client.signal("whip", offer[1])
        assert headers["Location"].startswith(f"https://livery.example/whip/{client.id}/")


async def test_malformed_and_unsuitable_offers(offer: tuple[RTCPeerConnection, str]) -> None:
    _, sdp = offer
    viewing = sdp.replace("a=sendrecv", "a=recvonly")
    cases = [
        ("", 400),
        ("hello", 400),
        ("v=0\r\n", 400),
        ("v=0\r\nm=video x\r\n", 400),
        (sdp[: len(sdp) // 3], 400),
        (re.sub(r"a=ice-pwd:[^\r\n]*\r\n", "", sdp), 400),
        (re.sub(r"a=fingerprint:[^\r\n]*\r\n", "", sdp), 400),
        (viewing, 422),
        (re.sub(r"a=rtpmap:(\d+) (H264|VP8)/", r"a=rtpmap:\1 AV1/", sdp), 422),
        (sdp.replace("m=video", "m=text"), 422),
        ("v=0\r\n" + "a=x\r\n" * 20_000, 413),
    ]
    async with serving() as server:
        client = await server.open()
        for body, expected in cases:
            status, text, _ = await client.signal("whip", body)
            assert (status, '"error"' in text) == (expected, True), (body[:60], status, text)
        assert (await client.signal("whip", sdp, **{"Content-Type": "text/plain"}))[0] == 415
        assert not server.session(client).connections.busy


@pytest.fixture
async def sounding() -> AsyncIterator[str]:
    """A publisher's offer of picture and sound."""
    peer = new_peer()
    peer.addTrack(Pictures(DemoSource((240, 320)).frame))
    peer.addTrack(AudioStreamTrack())
    await peer.setLocalDescription(await peer.createOffer())
    yield peer.localDescription.sdp
    await peer.close()


async def test_sections_without_a_common_bundle_are_refused(sounding: str) -> None:
    assert parse_offer(sounding, "publish").audio
    cases = [
        (re.sub(r"a=mid:0\r\n", "", sounding), 400, "needs a name of its own (a=mid), these have '', '1'"),
        (sounding.replace("a=mid:1", "a=mid:0"), 400, "these have '0', '0'"),
        (re.sub(r"m=audio[^\r\n]*\r\n", "", sounding), 400, "the m-sections, '1', it names '0', '1'"),
        (sounding.replace("BUNDLE 0 1", "BUNDLE 999 1"), 400, "it names '999', '1'"),
        (sounding.replace("BUNDLE 0 1", "BUNDLE 0 0 1"), 400, "it names '0', '0', '1'"),
        (re.sub(r"a=group:[^\r\n]*\r\n", "", sounding), 422, "wants a connection for each of its sections"),
    ]
    async with serving() as server:
        client = await server.open()
        for body, expected, said in cases:
            for kind in ("whip", "whep"):
                status, text, _ = await client.signal(kind, body)
                assert (status, said in json.loads(text)["error"]) == (expected, True), (kind, status, text)
        assert not server.session(client).connections.busy


def test_a_lone_section_needs_no_name(offer: tuple[RTCPeerConnection, str]) -> None:
    plain = re.sub(r"a=(mid|group):[^\r\n]*\r\n", "", offer[1])
    assert parse_offer(plain, "publish").mid == ""


async def test_a_half_built_connection_still_leaves_its_session(sounding: str) -> None:
    left: list[str] = []

    async def closed(peer: Peer, reason: str) -> None:
        left.append(reason)

    peer = Peer("publish", (), closed)
    broken = replace(parse_offer(sounding, "publish"), sdp=sounding.replace("BUNDLE 0 1", "BUNDLE 9 1"))
    with pytest.raises(OfferError, match="does not take a part of it"):
        await peer.answer(broken)
    await peer.close("it could not be answered")
    assert left == ["it could not be answered"]


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("a=mid:0", "a=fingerprint:sha-256", "the line 'a=fingerprint:sha-256' could not be read"),
        ("a=rtcp-mux", "a=rtcp", "the line 'a=rtcp' could not be read"),
        ("a=rtpmap:97 VP8/90000", "a=rtpmap:97 VP8", "the line 'a=rtpmap:97 VP8' could not be read"),
        ("a=rtcp-fb:97 nack pli", "a=rtcp-fb:97", "the line 'a=rtcp-fb:97' could not be read"),
        ("a=rtpmap:98 rtx/90000\r\n", "", "an a=fmtp line names a payload type without"),
        ("m=video", "m=video x", "the line 'm=video x"),
        ("t=0 0", "c=IN", "the line 'c=IN' could not be read"),
    ],
)
async def test_what_cannot_be_read_is_shown(
    offer: tuple[RTCPeerConnection, str], good: str, bad: str, said: str
) -> None:
    assert good in offer[1]
    with pytest.raises(SignalingError) as refused:
        parse_offer(offer[1].replace(good, bad, 1), "publish")
    assert said in refused.value.text


async def test_offer_is_read_without_its_candidates(offer: tuple[RTCPeerConnection, str]) -> None:
    _, sdp = offer
    local = "a=candidate:1 1 udp 2113937151 0f5d6a3c-aaaa.local 50000 typ host\r\na=end-of-candidates"
    read = parse_offer(sdp.replace("a=end-of-candidates", local), "publish")
    assert "a=candidate" not in read.sdp
    assert "a=end-of-candidates" not in read.sdp
    assert read.candidates
    assert all(not candidate.ip.endswith(".local") for candidate in read.candidates)
    assert read.codecs == ("VP8", "H264")
    assert read.codec == "H264"
    with pytest.raises(OfferError, match="receives no video: its video section is sendonly"):
        parse_offer(sdp.replace("a=sendrecv", "a=sendonly"), "view")


def test_fragment_lines_that_cannot_be_read() -> None:
    assert parse_fragment("", "0").candidates == ()
    with pytest.raises(SignalingError, match="hello"):
        parse_fragment("hello", "0")


def test_start_bitrate_goes_onto_video_codecs_only() -> None:
    answer = (
        "v=0\r\nm=audio 9 X 96\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\n"
        "m=video 9 X 97 98 99\r\na=rtpmap:97 VP8/90000\r\na=rtpmap:98 rtx/90000\r\na=fmtp:98 apt=97\r\n"
        "a=rtpmap:99 H264/90000\r\na=fmtp:99 packetization-mode=1\r\n"
    )
    assert with_start_bitrate(answer, 1_800_000).splitlines() == [
        "v=0", "m=audio 9 X 96", "a=rtpmap:96 opus/48000/2", "a=fmtp:96 useinbandfec=1",
        "m=video 9 X 97 98 99", "a=rtpmap:97 VP8/90000", "a=fmtp:97 x-google-start-bitrate=1800",
        "a=rtpmap:98 rtx/90000", "a=fmtp:98 apt=97",
        "a=rtpmap:99 H264/90000", "a=fmtp:99 packetization-mode=1;x-google-start-bitrate=1800",
    ]  # fmt: skip
    near = with_start_bitrate(answer, 1_800_000, 1_500_000)
    assert near.count(";x-google-min-bitrate=1500") == near.count("start-bitrate") == 2
