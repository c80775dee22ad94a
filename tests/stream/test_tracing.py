"""Traces of frames: what is in them, that they arrive, and that a collector that is gone holds nobody up."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest
from aiohttp import web

from stream.config import ServerConfig
from stream.errors import StartError
from stream.live.pipeline import LiveFrame, Pipeline
from stream.metrics import Registry, SessionMetrics
from stream.tracing import Tracer
from tests.stream.live.test_pipeline import Brighter, Sink
from tests.stream.rig import publishing, serving, until

memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")


def test_a_frame_is_told_with_its_stages() -> None:
    spans = memory.InMemorySpanExporter()
    tracer, sink, brighter = Tracer("", every=2, exporter=spans), Sink(), Brighter()
    pipeline = Pipeline(brighter, sink, SessionMetrics(Registry()), trace=tracer.of("0123456789"))
    pipeline.start()
    before_ns = time.time_ns()
    for number in range(4):
        if number == 2:
            brighter.error = RuntimeError("broken")
        pipeline.submit(LiveFrame(np.zeros((8, 8, 3), np.uint8), time.monotonic()))
        sink.wait(number + 1)
    pipeline.close()
    tracer.close()
    found = spans.get_finished_spans()
    assert [span.name for span in found] == ["wait", "edit", "frame"] * 2
    for wait, edit, frame in (found[:3], found[3:]):
        assert {wait.parent.span_id, edit.parent.span_id} == {frame.context.span_id}
        assert before_ns - 1e6 < frame.start_time == wait.start_time
        assert wait.end_time == edit.start_time <= edit.end_time == frame.end_time < time.time_ns() + 1e6
        assert frame.attributes["livery.session"] == "012345"
    assert dict(found[1].attributes) == {"livery.stage.match_ms": 1.0}
    assert [found[2].attributes["livery.edited"], found[5].attributes["livery.edited"]] == [True, False]
    assert dict(found[4].attributes) == {}, "a failed frame has no stages"
    assert found[0].resource.attributes["service.name"] == "livery"


@contextlib.asynccontextmanager
async def collecting() -> AsyncIterator[tuple[str, list[tuple[str, bytes]]]]:
    """A collector's address, and the content type and body of all that it gets."""
    got: list[tuple[str, bytes]] = []

    async def take(request: web.Request) -> web.Response:
        got.append((request.content_type, await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces", got
    finally:
        await runner.cleanup()


async def test_a_collector_gets_them() -> None:
    async with collecting() as (address, got):
        tracer = Tracer(address)
        tracer.of("a session")(1.0, 1.1, 1.2, {"match": 0.05}, True)
        await asyncio.to_thread(tracer.close)
    assert got[0][0] == "application/x-protobuf"
    assert b"livery.stage.match_ms" in got[0][1]


async def test_a_servers_sessions_are_traced() -> None:
    async with collecting() as (address, got):
        async with serving(traces=address) as server:
            client = await server.open()
            async with publishing(client):
                await until(lambda: server.session(client).live.metrics.load()[2] > 0)
        await until(lambda: bool(got))
        assert client.id[:6].encode() in got[0][1]
        assert client.id.encode() not in got[0][1]


def test_without_a_collector_the_server_still_ends() -> None:
    tracer = Tracer("http://127.0.0.1:1/v1/traces")
    tracer.of("a session")(1.0, 1.1, 1.2, {}, False)
    began_s = time.monotonic()
    tracer.close()
    assert time.monotonic() - began_s < 3


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(StartError, match=r"livery\[traces\]"):
        Tracer("http://127.0.0.1:1/v1/traces")
    with pytest.raises(ValueError, match="traces must be an address"):
        ServerConfig(traces="collector:4318")
