"""The relay loses and delays as told, and the edge benchmark adds up what arrived."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path

import pytest
from aioice.ice import get_host_addresses

from benchmarks import common, edge
from benchmarks.streams import live
from benchmarks.streams.relay import Condition, Relay

SDP = "\r\n".join(
    [
        "v=0",
        "m=video 9 UDP/TLS/RTP/SAVPF 97",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=candidate:1 1 udp 2130706431 fd00::2 5000 typ host",
        "a=candidate:2 1 udp 2130706431 {} {} typ host",
        "a=end-of-candidates",
        "",
    ]
)


class Peer(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.got: list[tuple[float, bytes]] = []

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.got.append((time.monotonic(), data))


async def through_relay(relay: Relay, count: int) -> tuple[Peer, Peer, float]:
    """Two peers, each sending `count` datagrams to where the other's description leads."""
    address = get_host_addresses(use_ipv4=True, use_ipv6=False)[0]
    await relay.start(address)
    loop = asyncio.get_running_loop()
    peers, transports, leads = [], [], []
    for side in (0, 1):
        transport, peer = await loop.create_datagram_endpoint(Peer, local_addr=(address, 0))
        sdp = relay.route(SDP.format(*transport.get_extra_info("sockname")), side)
        lines = [line.split() for line in sdp.splitlines() if line.startswith("a=candidate")]
        assert len(lines) == 1
        leads.append((lines[0][4], int(lines[0][5])))
        peers.append(peer)
        transports.append(transport)
    start_s = time.monotonic()
    for number in range(count):
        transports[0].sendto(b"a%d" % number, leads[1])
        transports[1].sendto(b"b%d" % number, leads[0])
    await asyncio.sleep(0.3)
    for transport in transports:
        transport.close()
    relay.close()
    return peers[0], peers[1], start_s


async def test_each_peer_reaches_the_other_through_the_relay() -> None:
    near, far, start_s = await through_relay(Relay(Condition(delay_s=0.05)), 20)
    assert [data for _, data in far.got] == [b"a%d" % number for number in range(20)]
    assert [data for _, data in near.got] == [b"b%d" % number for number in range(20)]
    assert min(at_s for at_s, _ in far.got) - start_s >= 0.045


async def test_it_loses_the_share_it_was_told() -> None:
    spared = Relay()
    await through_relay(spared, 100)
    assert spared.lost == 0
    lossy = Relay(Condition(loss=0.2), seed=1)
    near, far, _ = await through_relay(lossy, 200)
    assert lossy.lost == pytest.approx(80, abs=25)
    assert len(near.got) + len(far.got) == lossy.passed == 400 - lossy.lost


async def test_nothing_passes_in_a_black_out_and_one_way_may_be_cut_alone() -> None:
    near, far, _ = await through_relay(Relay(Condition(down=True)), 20)
    assert near.got == far.got == []
    relay = Relay()
    relay.set(Condition(down=True), (0,))
    near, far, _ = await through_relay(relay, 20)
    assert (len(near.got), len(far.got)) == (20, 0)


async def test_a_limited_rate_makes_datagrams_wait_and_drops_those_that_would_wait_too_long() -> None:
    relay = Relay()
    relay.set(Condition(rate_bps=10_000, queue_s=0.1), (0,))
    _, far, start_s = await through_relay(relay, 200)  # 690 bytes, for which the rate needs 0.55 s
    assert relay.lost == pytest.approx(150, abs=25)
    order = [int(data[1:]) for _, data in far.got]
    assert order == sorted(order)
    assert 0.05 < far.got[-1][0] - start_s < 0.3


async def test_jitter_lets_datagrams_overtake() -> None:
    _, far, _ = await through_relay(Relay(Condition(jitter_s=0.05)), 100)
    order = [int(data[1:]) for _, data in far.got]
    assert len(order) == 100
    assert order != sorted(order)


def test_a_description_without_a_way_in_is_refused() -> None:
    with pytest.raises(ValueError, match="IPv4"):
        Relay().route("v=0\r\nm=video 9 x 97\r\n", 0)


async def test_figures_of_a_lossy_connection() -> None:
    source = live.ClipTrack(live.EncodedClip([b""], [0]))
    source.sent = [(index / 30, index) for index in range(60)]
    arrivals = live.Arrivals([(at_s + 0.05, code) for at_s, code in source.sent if not 20 <= code < 35])
    arrivals.seen.append((1.9999, None))
    case = edge.Case("lossy", (), loss=0.01)
    row = edge.figures(case, source, arrivals, 0.0, 2.0)
    assert row["p50 ms"] == pytest.approx(50)
    assert row["longest freeze s"] == pytest.approx(16 / 30)
    assert row["not shown %"] == pytest.approx(25)
    assert row["broken"] == "1"


@pytest.mark.slow
def test_the_benchmark_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVERY_RESULTS", str(tmp_path))
    monkeypatch.setattr(common, "ROOT", tmp_path)
    parser = argparse.ArgumentParser()
    edge.configure(parser)
    assert edge.run(parser.parse_args(["--seconds", "3"])) == 0
    results = json.loads((tmp_path / "edge.json").read_text())["results"]
    assert set(results) == {"latency", "loss", "unread", "encoders", "history"}
    assert results["history"][0]["repeatable"] == "128"
