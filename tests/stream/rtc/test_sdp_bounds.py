"""Offers and fragments made to cost: refused before they are parsed, and no name in them is looked up."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import pytest

from stream.errors import SignalingError
from stream.rtc.offers import parse_fragment, parse_offer
from stream.rtc.sdp_bounds import MAX_CANDIDATES, MAX_LINES, MAX_OF
from tests.stream.http.test_signaling import FRAGMENT, resource
from tests.stream.rig import Client, new_peer, publishing, serving

SECTION = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 H264/90000\r\n"


@pytest.fixture
async def sdp() -> AsyncIterator[str]:
    """A viewer's offer."""
    peer = new_peer()
    peer.addTransceiver("video", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    yield peer.localDescription.sdp
    await peer.close()


def lines(kind: str, count: int) -> str:
    return "".join(f"{kind}{LINE[kind].format(n=n)}\r\n" for n in range(count))


LINE = {
    "m=": "video 9 UDP/TLS/RTP/SAVPF 96",
    "a=rtpmap:": "200{n} x/90000",
    "a=fmtp:": "96 a={n}",
    "a=rtcp-fb:": "96 x{n}",
    "a=rtcp-fb:*": " x{n}",
    "a=extmap:": "{n} urn:x",
    "a=ssrc:": "{n} cname:x",
    "a=ssrc-group:": "FID {n}",
    "a=fingerprint:": "sha-256 {n}",
    "a=group:": "BUNDLE {n}",
    "a=candidate:": "{n} 1 udp 1 192.0.2.1 {n} typ host",
}


@pytest.mark.parametrize("kind", MAX_OF)
def test_lines_of_a_kind_are_counted_before_parsing(sdp: str, kind: str) -> None:
    with pytest.raises(SignalingError, match=rf"lines; at most {MAX_OF[kind]} are read"):
        parse_offer(sdp + lines(kind, MAX_OF[kind] + 1), "view")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("a=x\r\n" * MAX_LINES, r"lines; at most 1000"),
        ("a=x:" + "y" * 3000 + "\r\n", "characters in a line"),
        ("a=x:" + "y" * 1900 + "\r\n" + ("a=x:" + "y" * 1900 + "\r\n") * 40, "bytes; at most 64000"),
        ("a=rtpmap:99 x/90000\r\na=rtpmap:099 y/90000\r\n", "payload type 99 has two"),
        ("a=mid\r\n", r"name \(a=mid\) is not 1 to 64 printable characters"),
        ("a=mid:" + "x" * 65 + "\r\n", r"name \(a=mid\) is not 1 to 64 printable characters"),
        ("a=ice-pwd:" + "x" * 300 + "\r\n", "at most 256"),
    ],
)
def test_other_costs_are_bounded(sdp: str, more: str, said: str) -> None:
    with pytest.raises(SignalingError, match=said):
        parse_offer(sdp + more, "view")


@pytest.mark.parametrize("ending", ["\r\n", "\n", "\x0b", "\u2028"])
async def test_the_worst_offer_is_refused_at_once(sdp: str, ending: str) -> None:
    """As a viewer's link could send it: 1,100 codecs times 2,000 lines of feedback for all of them."""
    worst = sdp + ending.join([f"a=rtpmap:{n} x/90000" for n in range(1100)] + ["a=rtcp-fb:* x"] * 2000)
    async with serving() as server:
        client = await server.open()
        viewer = {"Authorization": f"Bearer {client.view_token}"}
        before_s = time.process_time()
        status, text, _ = await client.signal("whep", worst[:63_000], **viewer)
        assert time.process_time() - before_s < 1.0
        assert status == 400, text


def test_the_largest_offer_that_is_read_takes_little() -> None:
    head = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
    section = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=ice-ufrag:abcd\r\na=ice-pwd:" + "p" * 22 + "\r\n"
    section += "a=setup:actpass\r\na=fingerprint:sha-256 AA\r\na=rtcp-mux\r\na=recvonly\r\n"
    body = lines("a=rtpmap:", 380) + lines("a=rtcp-fb:*", 16) + lines("a=rtcp-fb:", 500)
    before_s = time.process_time()
    with pytest.raises(SignalingError, match="no video codec in common"):
        parse_offer(head + section + body, "view")
    assert time.process_time() - before_s < 0.5


# Candidates.


def fragment(*hosts: str, port: int = 5000) -> str:
    return "".join(f"a=candidate:1 1 udp 1 {host} {port} typ host\r\n" for host in hosts)


@pytest.mark.parametrize(
    "host",
    [
        *("example.com", "localhost", "a.local", "A.LOCAL", "127.0.0.1", "::1", "224.0.0.251", "0.0.0.0"),
        *("255.255.255.255", "fe80::1%eth0", "2130706433", "0x7f.1", "ff02::1", "::"),
    ],
)
def test_names_and_odd_addresses_are_left_out(host: str) -> None:
    assert parse_fragment(fragment(host), "0").candidates == ()


@pytest.mark.parametrize("text", [fragment("192.0.2.1", port=0), fragment("192.0.2.1", port=70_000)])
def test_ports_that_are_none_are_left_out(text: str) -> None:
    assert parse_fragment(text, "0").candidates == ()


def test_usual_candidates_are_taken() -> None:
    found = parse_fragment(fragment("192.0.2.1", "10.0.0.7", "2001:db8::7"), "0").candidates
    assert [candidate.ip for candidate in found] == ["192.0.2.1", "10.0.0.7", "2001:db8::7"]


async def test_no_name_of_a_candidate_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[object] = []
    stock = socket.getaddrinfo

    def look(host: object, *more: object, **named: object) -> object:
        looked.append(host)
        return stock(host, *more, **named)  # type: ignore[arg-type]

    async with serving() as server:
        client = await server.open()
        async with publishing(client) as (_, location):
            monkeypatch.setattr(socket, "getaddrinfo", look)
            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look)
            body = fragment("slow.example", "livery.invalid", "localhost")
            assert await patched(client, location, body) == 204
            await asyncio.sleep(0.3)
    assert not {"slow.example", "livery.invalid"} & set(looked)


async def patched(client: Client, location: str, body: str) -> int:
    return await resource(client, "PATCH", location, data=body, headers={"Content-Type": FRAGMENT})


async def test_a_connection_takes_so_many_candidates_in_all(sdp: str) -> None:
    async with serving() as server:
        client = await server.open()
        async with publishing(client) as (_, location):
            body = "".join(fragment("192.0.2.1", port=port) for port in range(1, 61))
            statuses = [await patched(client, location, body) for _ in range(3)]
            assert statuses == [204, 422, 422]
            many = "".join(fragment("192.0.2.1", port=port) for port in range(1, MAX_CANDIDATES + 2))
            assert await patched(client, location, many) == 400
            assert await patched(client, location, "a=x\r\n" * 5000) == 413
