"""What clients may hold of the server: time, connections, places; and under which names they reach it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import time
from collections.abc import AsyncIterator

import aiohttp
import numpy as np
import pytest
from aiohttp.test_utils import make_mocked_request

from stream import events
from stream.config import ServerConfig
from stream.errors import CapacityError
from stream.http import base, connections, limits
from stream.media.pictures import encode_png
from stream.refused import refused
from stream.session import connections as peers
from stream.session import session as sessions
from stream.session import store
from stream.session.room import Room
from tests.stream.rig import new_peer, raw, serving, until

PNG = {"Content-Type": "image/png"}


async def ended(reader: asyncio.StreamReader, limit_s: float = 5.0) -> bool:
    """Whether the server ends a connection within some time."""
    try:
        async with asyncio.timeout(limit_s):
            while await reader.read(65_536):
                pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


# Time.


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
async def test_half_a_request_does_not_hold_a_connection(
    begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEADERS_S", 0.3)
    before = refused["slow_request"]
    async with serving() as server, raw(server) as (reader, writer):
        writer.write(begun)
        assert await ended(reader)
        assert refused["slow_request"] == before + 1


async def test_an_idle_connection_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE_S", 0.3)
    async with serving() as server, raw(server) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await reader.readuntil(b"}")).endswith(b"}")
        assert await ended(reader)


async def test_headers_that_trickle_have_so_much_time_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADERS_S", 0.5)
    async with serving() as server, raw(server) as (reader, writer):
        whole = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for _ in range(2):  # a whole request starts it anew
            writer.write(whole)
            assert (await reader.readuntil(b"}")).endswith(b"}")
        trickling = asyncio.create_task(trickle(writer))
        assert await ended(reader)
        trickling.cancel()


async def trickle(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        for part in [b"GET / HTTP/1.1\r\n", *(b"X-A: b\r\n" for _ in range(100))]:
            writer.write(part)
            await asyncio.sleep(0.1)


async def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "BODY_IDLE_S", 0.3)
    async with serving() as server, raw(server) as (reader, writer):
        client = await server.open()
        head = f"PATCH /api/sessions/{client.id}/settings HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Authorization: Bearer {client.token}\r\nContent-Length: 50\r\n\r\n{{"
        writer.write(head.encode())
        async with asyncio.timeout(5):
            assert b" 408 " in await reader.readline()


async def test_a_body_has_so_much_time_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "BODY_S", 0.0)
    monkeypatch.setattr(base, "BODY_BYTES_PER_S", 64_000 / 0.5)
    async with serving() as server:
        client = await server.open()

        async def slowly() -> AsyncIterator[bytes]:
            for _ in range(50):
                yield b" "
                await asyncio.sleep(0.1)

        with contextlib.suppress(aiohttp.ClientError):  # the answer may come while it is still sending
            status, _ = await client.call("PATCH", "/settings", data=slowly())
            assert status == 408
        assert refused["slow_body"] > 0


async def test_who_never_reads_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "WRITE_S", 0.4)
    noise = np.random.default_rng(1).integers(0, 256, (1500, 1500, 3), np.uint8)
    before = refused["slow_reader"]
    async with serving() as server:
        client = await server.open()
        await client.ok("POST", "/reference", data=io.BytesIO(encode_png(noise)), headers=PNG)
        host, port = server.origin.removeprefix("http://").split(":")
        request = f"GET /api/sessions/{client.id}/reference.png HTTP/1.1\r\nHost: localhost\r\n"
        request += f"Authorization: Bearer {client.token}\r\n\r\n"
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect((host, int(port)))
        try:
            deaf.sendall(request.encode() * 3)
            await until(lambda: refused["slow_reader"] > before)
            session = server.session(client)
            await until(lambda: session.downloads.taken == 0)
        finally:
            deaf.close()


# Number.


async def test_an_address_holds_so_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_OF_ADDRESS", 3)
    async with serving() as server, contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(raw(server))
        async with raw(server) as (reader, _):
            assert await ended(reader)
        assert refused["connections_of_address"] > 0
        await stack.aclose()
        await asyncio.sleep(0.1)
        async with raw(server) as (reader, writer):  # their places are free again
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b" 200 " in await reader.readline()


async def test_a_proxy_that_is_named_holds_as_many_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_OF_ADDRESS", 1)
    async with serving(trusted_proxies=("127.0.0.0/8",)) as server, contextlib.AsyncExitStack() as stack:
        pairs = [await stack.enter_async_context(raw(server)) for _ in range(4)]
        for reader, writer in pairs:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 200 " in await reader.readline()


async def test_a_crowd_of_viewers_is_counted_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "MAX_VIEWERS", 3)
    peer = new_peer()
    peer.addTransceiver("video", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    sdp = peer.localDescription.sdp
    async with serving() as server:
        client = await server.open()
        answers = await asyncio.gather(*(client.signal("whep", sdp) for _ in range(12)))
        assert sorted(status for status, _, _ in answers) == [201] * 3 + [409] * 9
        assert len(server.session(client).connections._viewers) == 3
    await peer.close()


async def test_so_many_pages_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_LISTENERS", 2)
    async with serving() as server:
        client = await server.open()
        async with client.events(client.view_token), client.events():
            with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                await client.events()
        await until(lambda: server.session(client).events.listeners == 0)
        async with client.events() as page:
            assert (await page.receive_json(timeout=5))["type"] == "state"


async def test_so_many_uploads_are_taken_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_UPLOADS", 1)
    async with serving() as server:
        client = await server.open()
        go_on = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"\x89PNG"
            await go_on.wait()

        first = asyncio.create_task(client.call("POST", "/reference", data=slow(), headers=PNG))
        await until(lambda: server.session(client).uploads.taken == 1)
        status, answer = await client.call("POST", "/reference", data=b"x", headers=PNG)
        assert (status, "try again" in answer["hint"]) == (503, True)
        go_on.set()
        assert (await first)[0] in (415, 422)
        assert (await client.call("POST", "/reference", data=b"x", headers=PNG))[0] == 415


def test_a_room_gives_its_places_back() -> None:
    room = Room(1, "things", "things")
    with pytest.raises(KeyError), room.place():
        raise KeyError
    with room.place(), pytest.raises(CapacityError, match="1 things are under way"), room.place():
        pass
    assert room.taken == 0


async def test_work_of_others_is_not_given_up_for_a_new_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "SPARED_S", 0.0)
    async with serving(max_sessions=1) as server:
        client = await server.open()
        picture = np.full((64, 64, 3), 90, np.uint8)
        await client.ok("POST", "/reference", data=encode_png(picture), headers=PNG)
        async with server.http.post(f"{server.origin}/api/sessions") as answer:
            assert answer.status == 503
        assert (await client.call("GET"))[0] == 200
        monkeypatch.setattr(store, "KEPT_S", 0.0)
        await server.open()
        assert (await client.call("GET"))[0] == 404


# Bodies.


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "gzip, gzip", "nonsense"])
async def test_compressed_bodies_are_refused(coding: str) -> None:
    async with serving() as server:
        client = await server.open()
        headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
        status, answer = await client.call("PATCH", "/settings", data=b"not that", headers=headers)
        assert (status, "compressed" in answer["error"]) == (415, True)


# Who asks.


async def test_wrong_tokens_do_not_lock_out_the_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUESS_S", 0.2)
    async with serving(token="a long secret", failures_per_minute=3) as server:
        url = f"{server.origin}/api/sessions"
        wrong, right = ({"Authorization": f"Bearer {token}"} for token in ("wrong", "a long secret"))
        statuses = []
        for _ in range(6):
            async with server.http.post(url, headers=wrong) as answer:
                statuses.append(answer.status)
        assert statuses == [401] * 3 + [429] * 3
        started_s = time.monotonic()
        async with server.http.post(url, headers=wrong) as answer:
            assert answer.status == 429
        assert time.monotonic() - started_s >= 0.2, "guesses are answered slowly"
        async with server.http.post(url, headers=right) as answer:
            assert answer.status == 201


async def test_figures_are_for_who_has_the_servers_token() -> None:
    async with serving(token="a long secret") as server:
        url = f"{server.origin}/metrics"
        async with server.http.get(url) as answer:
            assert answer.status == 401
        async with server.http.get(url, headers={"Authorization": "Bearer a long secret"}) as answer:
            assert "livery_refused_total" in await answer.text()
        async with server.http.get(f"{server.origin}/healthz") as answer:
            assert answer.status == 200


def test_a_mocked_request_without_an_address_is_counted_as_none() -> None:
    request = make_mocked_request("POST", "/api/sessions").clone(remote="")
    assert limits.Limits(ServerConfig()).address(request) == "None"
