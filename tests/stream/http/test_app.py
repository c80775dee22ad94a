"""The server as a process: start, address, port in use, stop; configuration; sessions that come and go."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from stream.config import ServerConfig
from stream.errors import AuthError, CapacityError, ForbiddenError, NotFoundError
from stream.http.app import run_until_stopped
from stream.http.base import STORE
from stream.http.running import exposure
from stream.rtc import dtls
from stream.session.services import load_services
from stream.session.store import SessionStore
from tests.stream.rig import ROOT, new_peer, publishing, server_process, serving, until, until_state, watching

LIVERY = "import sys; from stream.cli.main import main; sys.exit(main())"  # what the installed command runs


async def test_server_starts_serves_and_stops_on_sigterm() -> None:
    async with server_process() as (server, process):
        async with server.http.get(f"{server.origin}/healthz") as answer:
            assert (await answer.json())["status"] == "ok"
        client = await server.open()
        async with publishing(client) as (peer, _):
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 10) == 0
            await until(lambda: peer.connectionState in ("closed", "failed"), 10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_either_signal_ends_it_cleanly_with_peers_connected(number: signal.Signals) -> None:
    async with server_process() as (server, process):
        client = await server.open()
        async with publishing(client) as (peer, _), watching(client) as screen:
            await screen.after(2)
            process.send_signal(number)
            # it leaves by itself: what takes over 5 s is left by force, with exit code 1
            assert await asyncio.wait_for(process.wait(), 20) == 0
            await until(lambda: peer.connectionState in ("closed", "failed"), 10)


async def hanging() -> asyncio.subprocess.Process:
    """A server with a job in its pool that takes a minute, serving."""
    code = (
        "import sys, time; from stream.http import app; load = app.load_services\n"
        "def hang(config):\n    services = load(config)\n"
        "    services.heavy.submit(time.sleep, 60); return services\n"
        "app.load_services = hang\n"
        "from stream.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, "serve", "--port", "0", "--no-store", "--matcher", "classical",
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(120):
        while (await process.stdout.readline()) != b"Stop with Ctrl-C.\n":
            assert process.returncode is None
    return process


async def test_what_hangs_is_left_behind_after_five_seconds() -> None:
    process = await hanging()
    process.terminate()
    _, said = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert b"did not stop within 5 s" in said
    assert b"Traceback" not in said


async def test_a_second_ctrl_c_ends_it_at_once() -> None:
    process = await hanging()
    assert process.stderr is not None
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(4):
        while b"stopping" not in await process.stderr.readline():
            assert process.returncode is None
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 130


async def test_demo_prints_the_address_of_a_ready_session() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LIVERY, "demo", "--port", "0", "--matcher", "classical", "--no-store",
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(120):
            address = URL((await process.stdout.readline()).decode().split()[-1])
        named = URL.build(query_string=address.fragment).query  # a fragment is never sent or logged
        async with aiohttp.ClientSession() as http:
            headers = {"Authorization": f"Bearer {named['token']}"}
            url = address.origin() / "api/sessions" / named["session"]
            async with http.get(url, headers=headers) as answer:
                state = await answer.json()
            async with http.post(f"{url}/reference", headers=headers, json={}) as answer:
                assert (await answer.json())["reference"]["landmarks"], "MediaPipe has run"
        assert (state["demo"], state["publishing"]) == (True, True)
    finally:
        process.send_signal(signal.SIGINT)
        _, said = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    lines = said.decode().splitlines()
    assert any(" INFO stream.session.store: session" in line for line in lines), "our own log is shown"
    assert [line for line in lines if " stream." not in line] == [], "and nobody else's"


def test_port_in_use_is_said_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ran = subprocess.run(
            [sys.executable, "server.py", "--port", port, "--no-store", "--matcher", "classical"],
            cwd=ROOT, capture_output=True, text=True, timeout=240,
        )  # fmt: skip
    assert ran.returncode == 2
    assert f"port {port} on 127.0.0.1 is in use" in ran.stderr
    assert "--port" in ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("livery: port ")
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.5", "livery.example"])
def test_an_open_server_is_warned_of(host: str) -> None:
    said = exposure(ServerConfig(host=host))
    assert said is not None
    assert "--token" in said
    assert exposure(ServerConfig(host=host, token="long enough")) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_loopback_needs_no_warning(host: str) -> None:
    assert exposure(ServerConfig(host=host)) is None


async def test_the_warning_is_shown_at_start(capsys: pytest.CaptureFixture[str]) -> None:
    services = load_services(ServerConfig(matcher="classical", host="0.0.0.0", port=0))
    lines: list[str] = []

    def show(line: str) -> None:
        lines.append(line)
        if "Ctrl-C" in line:
            os.kill(os.getpid(), signal.SIGTERM)

    await asyncio.wait_for(run_until_stopped(services, show), 20)
    assert lines[0].startswith("Livery is at http://localhost:")
    assert "livery: warning: listening on 0.0.0.0 without --token" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"port": 70_000}, "port must lie in"),
        ({"max_sessions": 0}, "max_sessions"),
        ({"bitrate_bps": 5}, "bitrate_bps"),
        ({"token": "short"}, "at least 8"),
        ({"udp_ports": (5000, 4000)}, "udp_ports"),
        ({"public_url": "livery.example"}, "public_url"),
        ({"public_url": "https://livery.example/path"}, "public_url"),
        ({"ice_servers": ("http://x",)}, "stun:"),
        ({"silence_timeout_s": 0.0}, "silence_timeout_s"),
    ],
)
def test_configuration_is_checked(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ServerConfig(**options)  # type: ignore[arg-type]


async def test_store_knows_who_may_do_what() -> None:
    services = load_services(ServerConfig(matcher="classical", max_sessions=2))
    store = SessionStore(services)
    session, owner = await store.open()
    view = session.keys.token(owner, "view")
    assert store.find(session.id, owner) is session
    assert store.find(session.id, view, "view") is session
    with pytest.raises(ForbiddenError):
        store.find(session.id, view)
    for token in (None, "", "wrong", owner[:-1]):
        with pytest.raises(AuthError):
            store.find(session.id, token)
    with pytest.raises(NotFoundError):
        store.find("elsewhere", owner)
    await store.close()
    assert len(store) == 0
    services.shutdown()


async def test_full_store_gives_up_what_nobody_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    services = load_services(ServerConfig(matcher="classical", max_sessions=2))
    store = SessionStore(services)
    (pinned, _), (idle, _) = await store.open(pinned=True), await store.open()
    with pytest.raises(CapacityError, match="all 2 sessions"):
        await store.open()
    monkeypatch.setattr(idle, "_used_s", idle._used_s - 100)
    monkeypatch.setattr(idle.connections, "used_s", idle.connections.used_s - 100)
    monkeypatch.setattr(pinned, "_used_s", pinned._used_s - 200)
    fresh, _ = await store.open()
    assert {session.id for session in store.sessions} == {pinned.id, fresh.id}
    await store.close()
    services.shutdown()


async def test_unused_sessions_end_with_their_lifetime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.session.store.SWEEP_S", 0.1)
    async with serving(lifetime_s=0.5) as server:
        used, unused = await server.open(), await server.open()
        async with used.events() as events:
            await until(lambda: len(server.app[STORE]) == 1)  # type: ignore[index]
            assert (await unused.call("GET"))[0] == 404
            assert (await used.call("GET"))[0] == 200
            await events.close()


async def test_requests_alone_keep_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.session.store.SWEEP_S", 0.05)
    async with serving(lifetime_s=1.5) as server:
        asked, unused = await server.open(), await server.open()
        loop = asyncio.get_running_loop()
        end_s = loop.time() + 4
        while loop.time() < end_s:
            assert (await asked.call("GET"))[0] == 200
            await asyncio.sleep(0.1)
        assert (await unused.call("GET"))[0] == 404


async def test_ended_session_hangs_up_on_its_peers() -> None:
    async with serving() as server:
        client = await server.open()
        async with publishing(client) as (peer, _):
            watcher = new_peer()
            watcher.addTransceiver("video", direction="recvonly")
            await client.connect("whep", watcher)
            await until_state(client, lambda state: state["viewers"] == 1)
            await client.call("DELETE")
            await until(lambda: peer.connectionState == watcher.connectionState == "closed", 10)


def test_openssl_is_left_to_the_users_own_configuration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(dtls.VARIABLE, str(tmp_path / "mine.cnf"))
    monkeypatch.delitem(sys.modules, dtls.LIBRARY, raising=False)
    assert dtls.load_openssl() is False
    assert os.environ[dtls.VARIABLE] == str(tmp_path / "mine.cnf")
