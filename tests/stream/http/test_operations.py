"""For who runs a server: request ids, JSON logs, readiness, draining, figures by cause, a dashboard."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import re
import signal
import sys
from typing import Any

import pytest

from stream.http import running
from stream.http.base import STOPPING
from stream.logs import JsonFormatter
from stream.rtc.peer import cause_of
from tests.conftest import ROOT
from tests.stream.rig import Server, publishing, server_process, serving, until, watching

CODE = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "stream").rglob("*.py"))
DASHBOARD = ROOT / "docs/deploy/grafana.json"


async def figures(server: Server) -> str:
    async with server.http.get(f"{server.origin}/metrics") as answer:
        return await answer.text()


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-1.2_3", True), ("", False), ("a b", False), ("x" * 65, False), ("é", False)]
)
async def test_an_answer_carries_the_requests_id_or_a_new_one(given: str, kept: bool) -> None:
    async with serving() as server:
        headers = {"X-Request-Id": given} if given else {}
        async with server.http.get(f"{server.origin}/api/server", headers=headers) as answer:
            name = answer.headers["X-Request-Id"]
    assert (name == given) is kept
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name)


async def test_errors_and_sockets_carry_an_id_too_and_requests_are_counted_by_route() -> None:
    async with serving() as server:
        client = await server.open()
        async with server.http.get(f"{server.origin}/nowhere") as answer:
            assert (answer.status, "X-Request-Id" in answer.headers) == (404, True)
        async with client.events() as socket:
            assert "X-Request-Id" in socket._response.headers
        await client.call("GET", token="wrong")
        await client.ok("GET")
        text = await figures(server)
        assert client.id not in text
    for line in (
        'livery_requests_total{route="other",method="GET",status="404"} 1',
        'livery_requests_total{route="/api/sessions/{id}",method="GET",status="200"} 1',
        'livery_requests_total{route="/api/sessions/{id}",method="GET",status="401"} 1',
        'livery_requests_total{route="/api/sessions",method="POST",status="201"} 1',
    ):
        assert line in text.splitlines()


async def test_log_lines_are_json_and_name_their_request_and_session() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("stream")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        async with serving() as server:
            client = await server.open()
            async with publishing(client):
                await until(lambda: server.session(client).connections.publishing)
            await until(lambda: not server.session(client).connections.expecting)
        try:
            raise ValueError("two\nlines")
        except ValueError:
            logger.exception("failed")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    connected = next(line for line in lines if "connected" in line["message"])
    assert connected["session"] == client.id[:6]
    assert re.fullmatch(r"[0-9a-f]{16}", connected["request"])
    assert connected["level"] == "info"
    assert connected["time"].endswith("+00:00")
    assert "two\nlines" in lines[-1]["error"]
    assert client.token not in stream.getvalue()


async def test_a_server_that_stops_is_not_ready_and_opens_no_sessions() -> None:
    async with serving() as server:
        client = await server.open()
        for path in ("readyz", "healthz"):
            async with server.http.get(f"{server.origin}/{path}", headers={"Host": "10.0.0.7"}) as answer:
                assert answer.status == 200
        assert server.app is not None
        server.app[STOPPING].set()
        async with server.http.get(f"{server.origin}/readyz") as answer:
            assert (answer.status, "Retry-After" in answer.headers) == (503, True)
        async with server.http.post(f"{server.origin}/api/sessions") as answer:
            assert answer.status == 503
        async with server.http.get(f"{server.origin}/healthz") as answer:
            assert answer.status == 200
        await client.ok("GET")
        assert "livery_stopping 1" in await figures(server)


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGTERM")
async def test_draining_lets_those_connected_go_on_and_ends_when_they_have_gone() -> None:
    async with server_process("--drain", "60", "--log-format", "json") as (server, process):
        client = await server.open()
        async with publishing(client), watching(client) as screen:
            await screen.after(3, 30)
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.5)
            async with server.http.get(f"{server.origin}/readyz") as answer:
                assert answer.status == 503
            await screen.after(10, 30)
            assert process.returncode is None
        await client.ok("DELETE", "?recordings=keep")
        assert await asyncio.wait_for(process.wait(), 15) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGHUP")
async def test_a_hangup_loads_the_certificate_again() -> None:
    class Renewed:
        count = 0

        def renew(self) -> bool:
            self.count += 1
            return True

    tls: Any = Renewed()
    before = signal.getsignal(signal.SIGHUP)
    try:
        running._reload_at_hangup(tls)
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: tls.count == 1)
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, before)


async def test_connections_are_counted_by_how_they_ended() -> None:
    async with serving(silence_timeout_s=0.5) as server:
        client = await server.open()
        async with publishing(client), publishing(client):
            await until(lambda: server.session(client).connections.publishing)
        await until(lambda: not server.session(client).connections.expecting)
        text = await figures(server)
    assert 'livery_peers_closed_total{purpose="publish",cause="replaced"} 1' in text
    assert re.search(
        r'livery_peers_closed_total{purpose="publish",cause="(hung_up|silent|stopped_sending)"} 1', text
    )


def test_every_reason_in_the_code_has_its_cause() -> None:
    reasons = re.findall(r'\.close\(f?"([^"]{8,})"\)', CODE)
    assert len(reasons) >= 8
    unknown = [
        reason for reason in reasons if cause_of(reason.replace("{what}", "no picture arrived")) == "other"
    ]
    assert unknown == []
    assert cause_of("something else") == "other"


async def test_the_dashboard_asks_for_figures_that_there_are() -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"livery_\w+", target["expr"])
    }
    assert len(asked) > 15
    async with serving() as server:
        client = await server.open()
        async with publishing(client), watching(client) as screen:
            await screen.after(5, 30)
            async with server.http.get(f"{server.origin}/metrics", headers={"Host": "a b"}) as answer:
                assert answer.status == 400
        await until(lambda: not server.session(client).connections.expecting)
        known = await figures(server)
    for name in asked:
        stem = name.removeprefix("livery_").removesuffix("_total").removesuffix("_bucket")
        assert f"{name}{{" in known or f"{name} " in known or f'"{stem}"' in CODE, name
