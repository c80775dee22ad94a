"""Peers that never connect, fall silent or vanish; the session and its neighbours live on."""

from __future__ import annotations

import time

import pytest
from aiortc import RTCPeerConnection

from stream.media.demo import DemoSource
from tests.stream.rig import Pictures, new_peer, publishing, serving, until, watching


async def test_offer_that_never_connects_is_closed() -> None:
    async with serving(connect_timeout_s=0.5) as server:
        client = await server.open()
        session = server.session(client)
        peer = new_peer()
        peer.addTrack(Pictures(DemoSource((240, 320)).frame))
        await peer.setLocalDescription(await peer.createOffer())
        status, _, _ = await client.signal("whip", peer.localDescription.sdp)
        await peer.close()  # the answer is never applied
        assert status == 201
        assert session.connections.busy
        assert not session.connections.publishing
        await until(lambda: not session.connections.busy)
        state = await client.ok("GET")
        assert "within 0.5 s" in state["note"]


async def test_silent_camera_is_closed_and_the_session_resumes() -> None:
    async with serving(silence_timeout_s=1.0) as server:
        client = await server.open()
        session = server.session(client)
        async with publishing(client) as (peer, _), watching(client) as screen:
            await screen.after(3)
            sender = peer.getSenders()[0]
            sender._enabled = False  # connected, but no picture any more
            await until(lambda: not session.connections.publishing)
            assert "no picture arrived for 1 s" in str((await client.ok("GET"))["note"])
            async with publishing(client):
                await screen.after(3)
                assert (await client.ok("GET"))["note"] is None


def cut(peer: RTCPeerConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut a peer's wire: from now on it sends nothing and says nothing."""

    async def nowhere(data: bytes) -> None:
        return

    monkeypatch.setattr(peer.getTransceivers()[0].sender.transport.transport, "_send", nowhere)


async def test_vanishing_peers_harm_no_other_session(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(silence_timeout_s=1.5) as server:
        here, there = await server.open(), await server.open()
        session = server.session(here)
        async with (
            publishing(there),
            watching(there) as other,
            publishing(here) as (peer, _),
            watching(here) as screen,
        ):
            await screen.after(3)
            cut(screen.peer, monkeypatch)
            await until(lambda: session.connections.viewers == 0, 20)
            assert session.connections.publishing
            cut(peer, monkeypatch)
            await until(lambda: not session.connections.publishing)
            assert "no picture arrived for 1.5 s" in str(session.connections.note)
            assert server.session(there).connections.note is None
            await other.after(5)
            assert (await there.ok("GET"))["viewers"] == 1


async def test_waiting_viewer_is_not_taken_for_dead() -> None:
    async with serving(silence_timeout_s=1.5) as server:
        client = await server.open()
        async with watching(client) as screen:
            await until(lambda: server.session(client).connections.viewers == 1)
            started_s = time.monotonic()
            await until(lambda: time.monotonic() - started_s > 4.0)
            assert server.session(client).connections.viewers == 1
            async with publishing(client):
                await screen.after(3)


async def test_a_held_up_server_does_not_blame_its_peers() -> None:
    async with serving(silence_timeout_s=1.5) as server:
        client = await server.open()
        session = server.session(client)
        async with publishing(client), watching(client) as screen:
            await screen.after(3)
            time.sleep(3)  # noqa: ASYNC251  # the loop itself stands still, as when the machine slept
            await screen.after(5)
            assert session.connections.publishing
            assert session.connections.note is None
