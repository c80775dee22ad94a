"""Ports from a range, a public address, and no server asked."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
from aiortc import RTCPeerConnection

from stream.errors import CapacityError
from stream.rtc import ice


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    ice.configure()


async def candidates() -> list[tuple[str, int]]:
    """(address, port) of the host candidates in an offer."""
    peer = RTCPeerConnection(ice.peer_configuration())
    peer.createDataChannel("x")
    try:
        await peer.setLocalDescription(await peer.createOffer())
        lines = [line.split() for line in peer.localDescription.sdp.splitlines() if "a=candidate" in line]
    finally:
        await peer.close()
    return [(line[4], int(line[5])) for line in lines]


def free_range(count: int) -> tuple[int, int]:
    """A range of UDP ports that are free now."""
    for first in range(42_000, 60_000, count):
        opened = []
        try:
            for port in range(first, first + count):
                opened.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                opened[-1].bind(("0.0.0.0", port))
        except OSError:
            continue
        finally:
            for item in opened:
                item.close()
        return first, first + count - 1
    raise AssertionError("no free range of UDP ports")


async def test_media_ports_come_from_the_range() -> None:
    first, last = free_range(20)
    ice.configure(udp_ports=(first, last))
    found = await candidates()
    assert found
    assert all(first <= port <= last for _, port in found)


async def test_a_full_range_says_so_and_frees_again() -> None:
    first, _ = free_range(1)
    ice.configure(udp_ports=(first, first))
    one = RTCPeerConnection(ice.peer_configuration())
    one.createDataChannel("x")
    await one.setLocalDescription(await one.createOffer())
    two = RTCPeerConnection(ice.peer_configuration())
    two.createDataChannel("x")
    with pytest.raises(CapacityError, match=f"{first}-{first}"):
        await two.setLocalDescription(await two.createOffer())
    await one.close()
    await two.close()
    assert {port for _, port in await candidates()} == {first}


async def test_a_public_address_is_announced_in_place_of_our_own() -> None:
    own = await candidates()
    ice.configure(public_address="203.0.113.7")
    announced = [address for address, _ in await candidates()]
    assert announced.count("203.0.113.7") == sum(":" not in address for address, _ in own)
    assert [a for a in announced if ":" in a] == [address for address, _ in own if ":" in address]


async def test_peers_behind_the_range_connect() -> None:
    ice.configure(udp_ports=free_range(30))
    near, far = (RTCPeerConnection(ice.peer_configuration()) for _ in range(2))
    opened = asyncio.Event()
    near.createDataChannel("x").on("open", opened.set)
    try:
        await near.setLocalDescription(await near.createOffer())
        await far.setRemoteDescription(near.localDescription)
        await far.setLocalDescription(await far.createAnswer())
        await near.setRemoteDescription(far.localDescription)
        await asyncio.wait_for(opened.wait(), 10)
    finally:
        await near.close()
        await far.close()


def test_no_server_is_asked_by_default() -> None:
    assert ice.peer_configuration().iceServers == []
    servers = ice.peer_configuration(["stun:stun.example:3478"]).iceServers
    assert servers is not None
    assert [server.urls for server in servers] == ["stun:stun.example:3478"]


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="9000-8000"):
        ice.configure(udp_ports=(9000, 8000))
    with pytest.raises(ValueError, match="home"):
        ice.configure(public_address="home")
