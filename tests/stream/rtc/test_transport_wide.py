"""Two peers agree on transport-wide feedback, and a sender learns from it what the path takes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import av
import numpy as np
from aioice.ice import get_host_addresses
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import VIDEO_TIME_BASE

from benchmarks.streams.relay import Condition, Relay
from stream.colour.frames import to_frame
from stream.congestion.feedback import URI
from stream.refused import refused
from stream.rtc import aiortc_patch, ice
from tests.stream.rig import new_peer, serving, until

NONSENSE = bytes.fromhex("8fcd0005 0000000000000000 0000ffff00000000 60000000")  # a reserved symbol
AGREED = f"a=extmap:5 {URI}"


class Noise(MediaStreamTrack):
    """Small pictures that take a good deal of rate, and what the sender is told."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self.told: list[int] = []
        self.pauses: list[float] = []
        self.reports: list[float] = []
        self.target_bps = 500_000
        self._number = 0
        self._random = np.random.default_rng(1)

    async def recv(self) -> av.VideoFrame:
        await asyncio.sleep(1 / 30)
        self._number += 1
        picture = self._random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        return to_frame(picture, self._number * 3000, VIDEO_TIME_BASE)

    def set_bandwidth(self, bitrate_bps: int, pause_s: float) -> None:
        self.told.append(bitrate_bps)
        self.pauses.append(pause_s)

    def set_report(self, loss: float, round_trip_s: float | None) -> None:
        self.reports.append(loss)


@contextlib.asynccontextmanager
async def connected(track: Noise, relay: Relay) -> AsyncIterator[tuple[RTCPeerConnection, RTCPeerConnection]]:
    near, far = new_peer(), new_peer()
    await relay.start(get_host_addresses(use_ipv4=True, use_ipv6=False)[0])
    try:
        near.addTrack(track)
        await near.setLocalDescription(await near.createOffer())
        offer = RTCSessionDescription(relay.route(near.localDescription.sdp, 0), "offer")
        await far.setRemoteDescription(offer)
        await far.setLocalDescription(await far.createAnswer())
        answer = RTCSessionDescription(relay.route(far.localDescription.sdp, 1), "answer")
        await near.setRemoteDescription(answer)
        await until(lambda: near.connectionState == far.connectionState == "connected")
        yield near, far
    finally:
        await near.close()
        await far.close()
        relay.close()


async def test_a_sender_is_told_what_the_path_takes_and_nothing_while_it_is_cut() -> None:
    aiortc_patch.install()
    track, relay = Noise(), Relay(Condition(delay_s=0.01))
    async with connected(track, relay) as (near, far):
        for description in (near.localDescription, far.localDescription):
            assert AGREED in description.sdp
            assert "transport-cc" in description.sdp
        await until(lambda: len(track.told) > 5)
        assert min(track.told) >= 500_000, "its first estimate is the track's own rate"
        sender: Any = near.getSenders()[0]
        assert all(fate.size > 0 for fate in sender._path.sent._waiting)
        await until(lambda: bool(track.reports))
        relay.set(Condition(down=True))
        last = track.told[-1]
        await until(lambda: track.told[-1] <= last / 2, 5)
        lowest = track.told[-1]
        relay.set(Condition(delay_s=0.01))
        await until(lambda: track.told[-1] > lowest, 5)


async def test_a_full_path_lowers_the_rate_and_asks_for_a_pause() -> None:
    aiortc_patch.install()
    track, relay = Noise(), Relay(Condition(delay_s=0.01))
    async with connected(track, relay):
        await until(lambda: len(track.told) > 5)
        before = track.told[-1]
        relay.set(Condition(delay_s=0.01, rate_bps=100_000), (0,))
        await until(lambda: track.told[-1] < before / 2 and max(track.pauses) > 0, 15)


async def test_peers_without_the_extension_are_left_alone() -> None:
    aiortc_patch.install()
    near, far = new_peer(), new_peer()
    near.addTransceiver("video")
    await near.setLocalDescription(await near.createOffer())
    lines = near.localDescription.sdp.splitlines()
    plain = [line for line in lines if URI not in line and "transport-cc" not in line]
    assert len(plain) < len(lines)
    await far.setRemoteDescription(RTCSessionDescription("\r\n".join(plain) + "\r\n", "offer"))
    await far.setLocalDescription(await far.createAnswer())
    assert URI not in far.localDescription.sdp
    assert "transport-cc" not in far.localDescription.sdp
    await near.close()
    await far.close()


async def test_viewers_report_arrivals_and_publishers_are_told_a_rate() -> None:
    async with serving() as server:
        client = await server.open()
        for kind, direction, agreed in (("whip", "sendonly", False), ("whep", "recvonly", True)):
            peer = new_peer()
            peer.addTransceiver("video", direction=direction)
            await peer.setLocalDescription(await peer.createOffer())
            assert URI in peer.localDescription.sdp
            status, answer, _ = await client.signal(kind, peer.localDescription.sdp)
            assert status == 201
            assert (URI in answer) is ("transport-cc" in answer) is agreed
            assert "goog-remb" in answer
            await peer.close()


async def test_a_report_that_is_nonsense_is_counted_and_changes_nothing() -> None:
    aiortc_patch.install()
    track, relay = Noise(), Relay()
    async with connected(track, relay) as (near, _):
        await until(lambda: len(track.told) > 2)
        transport: Any = near.getSenders()[0].transport
        before = refused["transport_feedback"]
        await transport._handle_rtcp_data(
            bytes.fromhex("8fcd0005") + bytes(8) + bytes.fromhex("0000ffff00000000") + b"\x60\0\0\0"
        )
        assert refused["transport_feedback"] == before + 1
        count = len(track.told)
        await until(lambda: len(track.told) > count)


async def test_a_peer_on_this_machine_is_never_starved_and_never_paused() -> None:
    aiortc_patch.install()
    track, relay = Noise(), Relay(Condition())
    async with connected(track, relay) as (near, _):
        await until(lambda: bool(track.reports), 15)  # the round trip is known then
        sender: Any = near.getSenders()[0]
        sender._quickest_s = 0.001  # as on an idle machine
        sender.take_bandwidth(60_000, 0.4)
        assert (track.told[-1], track.pauses[-1]) == (ice.NEAR_BPS, 0.0)
        sender._quickest_s = 0.02  # another machine, or a relay
        sender.take_bandwidth(60_000, 0.4)
        assert (track.told[-1], track.pauses[-1]) == (60_000, 0.4)
