"""The measurement of any WHIP and WHEP server, against a small one made of plain aiortc."""

from __future__ import annotations

import argparse
import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from aiohttp import web
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay

from benchmarks import latency
from benchmarks.reports import schemas
from benchmarks.streams.anywhere import Endpoints, endpoints


def test_addresses_are_read() -> None:
    assert endpoints("http://here:8000/", None, "t", None) == Endpoints("http://here:8000", None, "t")
    found = endpoints("https://host/cam/whip", None, "a", None)
    assert found == Endpoints("https://host/cam/whip", "https://host/cam/whep", "a", "a")
    found = endpoints("https://host/publish", "https://host/play", "a", "b")
    assert found == Endpoints("https://host/publish", "https://host/play", "a", "b")


@pytest.mark.parametrize(
    ("url", "watch", "why"),
    [
        ("host/whip", None, "must begin with http"),
        ("rtmp://host/whip", None, "must begin with http"),
        ("http://host/whip", "ftp://host/whep", "must begin with http"),
        ("http:///whip", None, "name a host"),
        ("http://host/publish", None, "--watch-url"),
    ],
)
def test_addresses_that_make_no_sense_are_refused(url: str, watch: str | None, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        endpoints(url, watch, "", None)


class Forwarder:
    """A WHIP and WHEP server that hands on what it gets. The viewer comes too early at first."""

    def __init__(self) -> None:
        self.peers: list[RTCPeerConnection] = []
        self.relay = MediaRelay()
        self.deleted: list[str] = []
        self.tracks: list[MediaStreamTrack] = []
        self.early = 0

    async def take(self, request: web.Request) -> web.Response:
        watching = request.path.endswith("whep")
        if request.headers.get("Authorization") != "Bearer secret":
            return web.Response(status=401, text="who are you?")
        if watching and self.early < 2:
            self.early += 1
            return web.Response(status=404, text="nothing is published yet")
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.peers.append(peer)
        if watching:
            peer.addTrack(self.relay.subscribe(self.tracks[0]))
        else:
            peer.on("track", self.tracks.append)
        await peer.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        where = f"/made/{len(self.peers)}"
        return web.Response(status=201, text=peer.localDescription.sdp, headers={"Location": where})

    async def end(self, request: web.Request) -> web.Response:
        self.deleted.append(request.path)
        return web.Response()

    async def close(self, _: web.Application) -> None:
        for peer in self.peers:
            await peer.close()


@contextlib.contextmanager
def forwarding() -> Iterator[tuple[str, Forwarder]]:
    """Serve a forwarder from a thread of its own, since the benchmark runs an event loop itself."""
    import asyncio

    forwarder, loop, ready = Forwarder(), asyncio.new_event_loop(), threading.Event()
    app = web.Application()
    app.router.add_post("/cam/{way:whip|whep}", forwarder.take)
    app.router.add_delete("/made/{number}", forwarder.end)
    app.on_shutdown.append(forwarder.close)
    runner = web.AppRunner(app)

    async def serve() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ready.set()

    def work() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert ready.wait(20)
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/cam/whip", forwarder
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)


def options(url: str, *more: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    latency.configure(parser)
    common = ["--clip", "demo", "--repeat", "1", "--seconds", "1", "--warm-up", "0", "--no-echo"]
    return parser.parse_args([*common, "--url", url, *more])


def test_a_server_of_another_make_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVERY_RESULTS", str(tmp_path))
    monkeypatch.setattr(latency, "LOOP_S", 1.0)
    with forwarding() as (url, forwarder):
        assert latency.run(options(url, "--token", "secret", "--fail-if", "frames<1")) == 0
        held = json.loads((tmp_path / "latency.json").read_text())
        assert forwarder.early == 2
        assert sorted(forwarder.deleted) == ["/made/1", "/made/2"]
        with pytest.raises(RuntimeError, match="answered 401: who are you"):
            latency.run(options(url, "--token", "wrong"))
    jsonschema.validate(held, schemas.SCHEMAS[schemas.LATENCY])
    assert "secret" not in json.dumps(held)
    (row,) = held["results"]["best"]
    assert row["server"] == url
    assert row["frames"] > 0
    assert row["cpu"] is row["rss_bytes"] is None
    assert 0 < row["latency_ms_p50"] < 20_000


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--stall"], "--stall holds a server of its own"),
        (["--pid", "99999999"], "no such process"),
        (["--neighbour", "2"], r"--neighbour must lie in \(0, 1\]"),
        (["--seconds", "0"], "--seconds must be at least 0.5"),
        (["--repeat", "0"], "--repeat must be at least 1"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_the_work(more: list[str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        latency.run(options("http://127.0.0.1:9/whip", *more))
