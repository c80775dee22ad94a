"""Closes connections that never open or fall silent. ICE would notice only after 33 s."""

from __future__ import annotations

import asyncio
import time

from aiortc.stats import RTCOutboundRtpStreamStats, RTCRemoteInboundRtpStreamStats

from stream.rtc.peer import Peer

CHECK_S = 0.25


async def watch(peer: Peer, *, connect_timeout_s: float, silence_timeout_s: float) -> None:
    """Close `peer` if it does not connect in time, or if it falls silent after it has connected.

    A publisher shows life by its pictures (`Peer.touch` from ingest). A viewer shows life by its receiver
    reports. These are due only about once a second while packets flow, so a viewer is given twice the time.

    Args:
        peer: a publisher or viewer that has been answered.
        connect_timeout_s: longest time to connect.
        silence_timeout_s: longest silence of a publisher.
    """
    try:
        async with asyncio.timeout(connect_timeout_s):
            await peer.connected.wait()
    except TimeoutError:
        reason = (
            f"no media connection within {connect_timeout_s:g} s: UDP may be blocked on the way; open the "
            "server's UDP ports, or use a TURN server"
        )
        await peer.close(reason)
        return
    if peer.purpose == "publish":
        await _watch_silence(peer, silence_timeout_s, "no picture arrived")
    else:
        peer.spawn(_listen(peer))
        await _watch_silence(peer, 2 * silence_timeout_s, "the viewer sent no sign of life")


async def _watch_silence(peer: Peer, limit_s: float, what: str) -> None:
    """Close the peer after `limit_s` seconds without a sign of life.

    Only time in which this loop ran counts. Data that arrived while the server was held up, or while the
    machine slept, still waits to be read.
    """
    step_s = min(CHECK_S, limit_s / 4)
    silent_s, heard_s, checked_s = 0.0, peer.media_at_s, time.monotonic()
    while not peer.closed:
        await asyncio.sleep(step_s)
        now_s = time.monotonic()
        silent_s = 0.0 if peer.media_at_s != heard_s else silent_s + min(now_s - checked_s, 2 * step_s)
        heard_s, checked_s = peer.media_at_s, now_s
        if silent_s > limit_s:
            await peer.close(f"{what} for {limit_s:g} s")


async def _listen(peer: Peer) -> None:
    """Touch the peer at each new receiver report, and while no packets are sent to it."""
    packets: list[int] = []
    reports: list[object] = []
    while not peer.closed:
        stats = (await peer.connection.getStats()).values()
        now_packets = [s.packetsSent for s in stats if isinstance(s, RTCOutboundRtpStreamStats)]
        now_reports: list[object] = [
            s.timestamp for s in stats if isinstance(s, RTCRemoteInboundRtpStreamStats)
        ]
        if now_packets == packets or now_reports != reports:
            peer.touch()
        packets, reports = now_packets, now_reports
        await asyncio.sleep(1.0)
