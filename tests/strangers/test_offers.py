"""Offers as encoders and browsers make them: H.264 profiles, second tracks, rejected sections."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from aiortc.sdp import SessionDescription

from correspondence import Image
from stream.errors import OfferError
from stream.rtc.offers import parse_offer
from tests.stream.http.test_whip_ffmpeg import ffmpeg
from tests.stream.rig import Pictures, new_peer, server_process, serving, until_state

ICE = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"
DTLS = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\na=setup:actpass\r\n"
VP8 = "a=rtpmap:96 VP8/90000\r\n"


def video(mid: str, maps: str, direction: str = "sendonly", port: int = 9, more: str = "") -> str:
    """A video section."""
    payloads = " ".join(re.findall(r"a=rtpmap:(\d+)", maps))
    return (
        f"m=video {port} UDP/TLS/RTP/SAVPF {payloads}\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\n"
        f"a={direction}\r\na=rtcp-mux\r\n{ICE}{DTLS}{maps}{more}"
    )


def sound(mid: str, port: int = 9) -> str:
    """A sound section."""
    return (
        f"m=audio {port} UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na=sendonly\r\n"
        f"a=rtcp-mux\r\n{ICE}{DTLS}a=rtpmap:111 opus/48000/2\r\n"
    )


def channel(mid: str, port: int = 9) -> str:
    """A data channel's section."""
    return (
        f"m=application {port} UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\n"
        f"{ICE}{DTLS}a=sctp-port:5000\r\n"
    )


def offer(*parts: str) -> str:
    """An offer of sections, bundled."""
    mids = [re.search(r"a=mid:(\S+)", part) for part in parts]
    bundle = " ".join(found[1] for found in mids if found)
    return f"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {bundle}\r\n" + "".join(parts)


def h264(payload: int, fmtp: str | None) -> str:
    """The lines of an H.264 payload type."""
    mapped = f"a=rtpmap:{payload} H264/90000\r\n"
    return mapped if fmtp is None else f"{mapped}a=fmtp:{payload} {fmtp}\r\n"


async def answer_to(text: str, kind: str = "whip") -> tuple[int, str]:
    async with serving() as server:
        client = await server.open()
        status, body, _ = await client.signal(kind, text)
        return status, body


def m_lines(answer: str) -> list[str]:
    return re.findall(r"(?m)^m=(\w+ \d+)", answer)


@pytest.mark.parametrize(
    ("fmtp", "said"),
    [
        ("profile-level-id=4d001f;packetization-mode=1", "packetization-mode=1;profile-level-id=4d001f"),
        ("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f",
         "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f"),
        ("packetization-mode=0;profile-level-id=42e01f", "packetization-mode=0;profile-level-id=42e01f"),
        ("profile-level-id=640c33", "packetization-mode=0;profile-level-id=640c33"),
        ("packetization-mode=1;profile-level-id=420000", "packetization-mode=1;profile-level-id=420000"),
        ("packetization-mode=1; profile-level-id=6e0028", "packetization-mode=1;profile-level-id=6e0028"),
        (None, None),
    ],
)  # fmt: skip
async def test_h264_is_answered_as_it_was_offered(fmtp: str | None, said: str | None) -> None:
    status, answer = await answer_to(offer(video("0", h264(106, fmtp))))
    assert status == 201, answer
    assert "a=rtpmap:106 H264/90000" in answer
    found = re.search(r"a=fmtp:106 ([^\r\n]*)", answer)
    answered = re.sub(";?x-google-start-bitrate=[0-9]+", "", found[1] if found else "")
    assert answered == (said or "")


@pytest.mark.parametrize(
    ("fmtp", "taken"),
    [
        ("packetization-mode=1;profile-level-id=640028", True),
        ("packetization-mode=1;profile-level-id=4d0028", True),
        ("packetization-mode=0;profile-level-id=42e01f", False),
        ("packetization-mode=1;profile-level-id=6e0028", False),
        (None, False),
    ],
)
def test_viewers_get_h264_only_where_it_can_be_sent(fmtp: str | None, taken: bool) -> None:
    text = offer(video("0", h264(106, fmtp), "recvonly"))
    if taken:
        assert parse_offer(text, "view").codec == "H264"
        return
    with pytest.raises(OfferError, match=r"no video codec in common: offered H\.264 .*packetization-mode"):
        parse_offer(text, "view")
    with_vp8 = offer(video("0", h264(106, fmtp) + VP8, "recvonly"))
    assert parse_offer(with_vp8, "view").codecs == ("VP8",)


@pytest.mark.parametrize(
    ("maps", "named"),
    [
        ("a=rtpmap:98 H265/90000\r\n", r"H\.265 \(HEVC\)"),
        ("a=rtpmap:98 AV1/90000\r\na=rtpmap:99 rtx/90000\r\na=fmtp:99 apt=98\r\n", "offered AV1;"),
        ("a=rtpmap:98 VP9/90000\r\na=rtpmap:100 H265/90000\r\n", r"VP9, H\.265 \(HEVC\)"),
        (
            h264(98, "packetization-mode=1;profile-level-id=58001e"),
            r"H\.264 profile .*-id 58001e",
        ),
        (h264(98, "packetization-mode=1;profile-level-id=zzz"), r"profile-level-id zzz"),
        (h264(98, "packetization-mode=2;profile-level-id=42e01f"), "packetization-mode 2"),
    ],
)
def test_other_codecs_are_refused_by_name(maps: str, named: str) -> None:
    with pytest.raises(OfferError, match=named) as refused:
        parse_offer(offer(video("0", maps)), "publish")
    assert "H.264 (any profile up to High) or VP8" in refused.value.hint


@pytest.mark.parametrize(
    ("parts", "lines", "taken"),
    [
        ((video("a", VP8), video("b", VP8)), ["video 9", "video 0"], (0,)),
        ((video("a", VP8, "inactive"), video("b", VP8)), ["video 0", "video 9"], (1,)),
        ((sound("s"), video("a", VP8), video("b", VP8), sound("t")), None, (0, 1)),
        ((video("a", VP8, port=0), video("b", VP8)), ["video 0", "video 9"], (1,)),
        ((channel("d"), video("a", VP8), sound("s", port=0)), ["application 0", "video 9", "audio 0"], (1,)),
        ((video("a", VP8), video("b", VP8, port=0, more="a=bundle-only\r\n")), ["video 9", "video 0"], (0,)),
        ((video("a", VP8, port=0, more="a=bundle-only\r\n"), channel("d")), None, (0,)),
    ],
)
async def test_one_video_is_taken_and_the_rest_denied(
    parts: tuple[str, ...], lines: list[str] | None, taken: tuple[int, ...]
) -> None:
    text = offer(*parts)
    assert parse_offer(text, "publish").taken == taken
    status, answer = await answer_to(text)
    assert status == 201, answer
    given = [re.sub(r" [1-9]\d*$", " 9", line) for line in m_lines(answer)]
    wanted = lines or [f"{part[2:7]} {9 if number in taken else 0}" for number, part in enumerate(parts)]
    assert [line.replace("application", "appli") if lines is None else line for line in given] == [
        line.replace("application", "appli") if lines is None else line for line in wanted
    ]
    bundle = re.search(r"a=group:BUNDLE ([^\r\n]*)", answer)
    mids = [match[1] for part in parts if (match := re.search(r"a=mid:(\S+)", part))]
    assert bundle is not None
    assert bundle[1].split() == [mids[number] for number in taken]


@pytest.mark.parametrize("codec", ["mpeg4-generic/48000/2", "speex/16000", "G723/8000"])
async def test_sound_that_nothing_reads_is_denied_and_the_picture_taken(codec: str) -> None:
    text = offer(sound("s").replace("opus/48000/2", codec), video("v", VP8))
    status, answer = await answer_to(text)
    assert status == 201, answer
    assert [line.split()[1] == "0" for line in m_lines(answer)] == [True, False]
    assert "a=group:BUNDLE v\r\n" in answer


@pytest.mark.parametrize(
    ("change", "bundled"),
    [
        (lambda text: re.sub("a=group.*\r\n", "", text), False),
        (lambda text: re.sub("a=(group|mid).*\r\n", "", text), False),
        (lambda text: "\ufeff" + text, True),
        (lambda text: f"{text}a=extmap:4 urn:ietf:params:rtp-hdrext:encrypt urn:x:y\r\n", True),
        (lambda text: text.replace("\r\n", "\n"), True),
    ],
    ids=["no bundle", "no name either", "byte order mark", "encrypted extension", "line feeds only"],
)
async def test_offers_of_plain_clients_are_answered_as_they_are(
    change: Callable[[str], str], bundled: bool
) -> None:
    status, answer = await answer_to(change(offer(video("0", VP8))))
    assert status == 201, answer
    assert ("a=group:BUNDLE" in answer) == bundled


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (offer(video("0", VP8)).replace("a=rtcp-mux\r\n", ""), "let the client offer a=rtcp-mux"),
        ('{"type": "offer", "sdp": "v=0"}', "send the SDP itself as the body, not JSON"),
    ],
    ids=["two ports", "JSON"],
)
async def test_what_cannot_be_answered_says_the_way_out(text: str, hint: str) -> None:
    status, answer = await answer_to(text)
    assert status in (400, 422)
    assert hint in answer


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((channel("d"),), "it holds a data channel only"),
        ((sound("s"), channel("d")), "it holds a data channel and sound only"),
        ((video("a", VP8, port=0),), r"all its sections are rejected \(port 0\)"),
        ((sound("s"),), "it holds sound only"),
    ],
)
def test_offers_without_video_say_what_they_hold(parts: tuple[str, ...], said: str) -> None:
    with pytest.raises(OfferError, match=said) as refused:
        parse_offer(offer(*parts), "publish")
    assert refused.value.hint == "offer one video track, H.264 or VP8"


def grey(number: int) -> Image:
    """A picture."""
    return np.full((120, 160, 3), 90, np.uint8)


async def test_the_second_of_two_tracks_is_denied() -> None:
    peer = new_peer()
    try:
        for _ in range(2):
            peer.addTrack(Pictures(grey))
        await peer.setLocalDescription(await peer.createOffer())
        status, answer = await answer_to(peer.localDescription.sdp)
    finally:
        await peer.close()
    assert status == 201
    assert [line.split()[1] == "0" for line in m_lines(answer)] == [False, True]
    assert len(parse_offer(peer.localDescription.sdp, "publish").sections) == 2


@pytest.mark.parametrize("profile", ["main", "high"])
async def test_ffmpeg_publishes_other_profiles(profile: str) -> None:
    async with server_process() as (server, _):
        client = await server.open()
        async with ffmpeg(client, profile) as process:
            state = await until_state(
                client, lambda state: process.returncode is not None or state["source"] is not None, 30
            )
            assert process.returncode is None, (await process.communicate())[1].decode()
            assert (state["source"]["width"], state["source"]["height"]) == (640, 480)


@pytest.mark.parametrize("end", ["\r", "\x0b", "\x1c", "\x85", "\u2028"])
def test_a_section_behind_any_end_of_a_line_is_one(end: str) -> None:
    """aiortc ends lines at all of these; found by the fuzzer, as a section that one side only had seen."""
    text = offer(video("0", VP8), f"a=ssrc:1 cname:x{end}" + video("1", VP8))
    found = parse_offer(text, "publish")
    assert len(found.sections) == len(SessionDescription.parse(text).media) == 2
    assert found.taken == (0,)
