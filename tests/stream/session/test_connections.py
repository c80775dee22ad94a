"""Connections that cannot be answered leave nothing behind: no peer, no port, no reader of the sound."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from aiortc import RTCPeerConnection

from stream.rtc import ice
from stream.rtc.offers import Offer
from stream.rtc.peer import Peer
from stream.session import connections
from tests.stream.rig import new_peer, serving, until
from tests.stream.rtc.test_ice import free_range


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Peer]:
    """The server's connections, as they are made."""
    peers: list[Peer] = []

    def make(*arguments: object) -> Peer:
        peers.append(Peer(*arguments))  # type: ignore[arg-type]
        return peers[-1]

    monkeypatch.setattr(connections, "Peer", make)
    return peers


@pytest.fixture
def stock_ice() -> Iterator[None]:
    yield
    ice.configure()


async def viewer_offer() -> tuple[RTCPeerConnection, str]:
    """A client that wants picture and sound, and its offer."""
    peer = new_peer()
    peer.addTransceiver("video", direction="recvonly")
    peer.addTransceiver("audio", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    return peer, peer.localDescription.sdp


async def test_no_free_port_is_a_503_and_frees_everything(made: list[Peer], stock_ice: None) -> None:
    peer, sdp = await viewer_offer()
    first, _ = free_range(1)
    async with serving(udp_ports=(first, first)) as server:
        client = await server.open()
        session = server.session(client)
        status, _, headers = await client.signal("whep", sdp)
        assert status == 201
        refused = [
            await client.signal("whep", sdp),
            await client.signal("whip", sdp.replace("recvonly", "sendonly")),
        ]
        for code, text, more in refused:
            assert code == 503
            assert f"no free UDP port in {first}-{first}" in text
            assert "Retry-After" in more
        assert [one.closed for one in made] == [False, True, True]
        assert all(one.connection.connectionState == "closed" for one in made[1:])
        assert len(session.connections._sound._viewers) == 1
        async with server.http.delete(
            headers["Location"], headers={"Authorization": f"Bearer {client.token}"}
        ) as answer:
            assert answer.status == 200
        assert (await client.signal("whep", sdp))[0] == 201, "the port is free again"
    await peer.close()


@pytest.mark.parametrize("kind", ["whip", "whep"])
async def test_whatever_fails_while_answering_closes_the_peer(
    made: list[Peer], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(peer: Peer, offer: Offer) -> str:
        raise RuntimeError("the wheel came off")

    monkeypatch.setattr(Peer, "answer", broken)
    peer, sdp = await viewer_offer()
    async with serving() as server:
        client = await server.open()
        session = server.session(client)
        direction = "sendonly" if kind == "whip" else "recvonly"
        status, text, _ = await client.signal(kind, sdp.replace("recvonly", direction))
        assert (status, "the wheel" in text) == (500, False)
        assert [one.closed for one in made] == [True]
        assert made[0].connection.connectionState == "closed"
        assert not session.connections.busy
        assert not session.connections._sound._viewers
    await peer.close()


async def test_a_session_that_ends_meanwhile_keeps_no_peer(
    made: list[Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    held, answer = asyncio.Event(), Peer.answer

    async def late(peer: Peer, offer: Offer) -> str:
        text = await answer(peer, offer)
        await held.wait()
        return text

    monkeypatch.setattr(Peer, "answer", late)
    peer, sdp = await viewer_offer()
    async with serving() as server:
        client = await server.open()
        asking = asyncio.create_task(client.signal("whep", sdp))
        await until(lambda: bool(made))
        assert (await client.call("DELETE"))[0] == 200
        held.set()
        assert (await asking)[0] == 409
        assert made[0].closed
    await peer.close()
