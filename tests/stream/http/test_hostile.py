"""What holders of a token, strangers and files can make a server hold, reveal and leave behind."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import socket
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest

from stream import events
from stream.errors import AuthError
from stream.events import EventHub
from stream.http import connections, look_files
from stream.http.api import PageControl
from stream.http.base import STORE
from stream.looks import exchange
from stream.media.pictures import encode_png
from stream.refused import refused
from stream.rtc.offers import Offer
from stream.rtc.peer import Peer
from stream.session import session as sessions
from stream.session import store
from stream.storage.config import StorageConfig
from tests.stream.rig import Client, Server, new_peer, raw, serving, until

PNG = {"Content-Type": "image/png"}
GREY = encode_png(np.full((64, 64, 3), 90, np.uint8))


async def answered(server: Server, head: str, body: bytes = b"") -> bytes:
    """The first line of the answer to a request that is written by hand."""
    async with raw(server) as (reader, writer), asyncio.timeout(10):
        writer.write(head.encode("latin-1") + b"\r\n" + body)
        return await reader.readline()


# What waits counts.


async def test_a_picture_counts_until_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoded pictures used to wait for their turn uncounted, up to 160 MB each."""
    monkeypatch.setattr(sessions, "MAX_UPLOADS", 2)
    async with serving() as server:
        client = await server.open()
        await client.ok("POST", "/reference", data=GREY, headers=PNG)
        session = server.session(client)
        async with session.wardrobe.changing:  # an edit that takes long
            waiting = [
                asyncio.create_task(client.call("POST", f"/layers?kind={kind}", data=GREY, headers=PNG))
                for kind in ("paint", "picture")
            ]
            await until(lambda: session.uploads.taken == 2)
            await asyncio.sleep(0.5)  # they are decoded now
            for method, path in (("PUT", "/edit"), ("POST", "/layers?kind=paint"), ("POST", "/reference")):
                assert (await client.call(method, path, data=GREY, headers=PNG))[0] == 503
        assert [status for status, _ in await asyncio.gather(*waiting)] == [201, 201]
        assert session.uploads.taken == 0


async def test_a_look_file_counts_until_it_is_received(monkeypatch: pytest.MonkeyPatch) -> None:
    """It used to count while it was made only; the slowest readers hold up to 64 MB each."""
    monkeypatch.setattr(connections, "WRITE_S", 1.0)
    monkeypatch.setattr(look_files, "exported", lambda look: bytes(30_000_000))
    async with serving() as server:
        client = await server.open()
        session = server.session(client)
        with deaf(server, f"/api/sessions/{client.id}/looks/1/file", client.token):
            await until(lambda: session.downloads.taken == 1)
            await asyncio.sleep(0.3)
            assert session.downloads.taken == 1
            await until(lambda: session.downloads.taken == 0)


@contextlib.contextmanager
def deaf(server: Server, path: str, token: str) -> Iterator[None]:
    """A client that asks for a file and reads nothing."""
    host, port = server.origin.removeprefix("http://").split(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((host, int(port)))
    client.sendall(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    try:
        yield
    finally:
        client.close()


async def test_who_never_reads_a_film_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system sends files by itself, such a client used to be waited for without end."""
    monkeypatch.setattr(connections, "WRITE_S", 0.4)
    film = tmp_path / "live.mp4"
    film.write_bytes(bytes(30_000_000))
    before = refused["slow_reader"]
    async with serving() as server:
        client = await server.open()
        monkeypatch.setattr(server.session(client).shelf, "lent", lambda ticket: film)
        with deaf(server, "/recordings/x/live.mp4", client.token):
            await until(lambda: refused["slow_reader"] > before)


async def test_a_crowd_opens_no_more_sessions_than_there_are_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each used to give up the same idle session, and to take its place."""
    monkeypatch.setattr(store, "SPARED_S", 0.0)
    async with serving(max_sessions=2) as server:
        for client in (await server.open(), await server.open()):
            await server.session(client).live.stages.ready()  # what takes a moment to close

        async def one() -> int:
            async with server.http.post(f"{server.origin}/api/sessions") as answer:
                return answer.status

        assert set(await asyncio.gather(*(one() for _ in range(8)))) <= {201, 503}
        assert server.app is not None
        assert len(server.app[STORE]) <= 2


def look_file(side: int, stills: int) -> bytes:
    """A look file of a few kB whose stills are large and plain."""
    plain = encode_png(np.zeros((side, side, 3), np.uint8))
    entries = [{"picture": f"pictures/{n}.png", "layers": []} for n in range(1, stills + 1)]
    manifest = {
        "format": "livery-look", "version": 1, "name": "x", "mode": "auto", "strength": 1, "stills": entries,
    }  # fmt: skip
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        for entry in entries:
            archive.writestr(str(entry["picture"]), plain)
    return packed.getvalue()


@pytest.mark.parametrize("own", ["true", "false"])
async def test_a_look_that_has_no_room_is_refused_before_the_work(
    own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It used to be found out after edits of 100 megapixels had been made, some 5 GB."""

    def work(*arguments: object) -> None:
        raise AssertionError("there was work on it")

    for name in ("examine", "carry", "_keyframe"):
        monkeypatch.setattr(exchange, name, work)
    async with serving(looks_mib=8) as server:
        client = await server.open()
        status, answer = await client.call(
            "POST", f"/looks/import?own={own}", data=look_file(400, 2 if own == "true" else 1)
        )
        assert (status, "MiB are allowed" in answer["error"]) == (409, own == "true")
        status, answer = await client.call("POST", f"/looks/import?own={own}", data=look_file(500, 1))
        assert (status, "MiB are allowed" in answer["error"]) == (409, True)


# What was made void stays so.


async def test_an_offer_with_a_token_that_is_made_void_meanwhile_watches_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go_on, answer = asyncio.Event(), Peer.answer

    async def slow(peer: Peer, offer: Offer) -> str:
        said = await answer(peer, offer)
        await go_on.wait()
        return said

    monkeypatch.setattr(Peer, "answer", slow)
    peer = new_peer()
    peer.addTransceiver("video", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    async with serving() as server:
        client = await server.open()
        token = {"Authorization": f"Bearer {client.view_token}"}
        offer = asyncio.create_task(client.signal("whep", peer.localDescription.sdp, **token))
        await until(lambda: server.session(client).connections._answering == 1)
        await client.ok("POST", "/tokens", json={"renew": "view"})
        go_on.set()
        assert (await offer)[0] == 401
        assert not server.session(client).connections.busy
    await peer.close()


@pytest.mark.parametrize("end", ["renew", "delete"])
@pytest.mark.parametrize("path", ["/reference", "/looks/import?own=true"])
async def test_what_arrives_after_its_token_or_session_has_ended_changes_nothing(
    end: str, path: str, tmp_path: Path
) -> None:
    async with serving(store=StorageConfig(folder=tmp_path)) as server:
        client = await server.open()
        session, go_on = server.session(client), asyncio.Event()
        edit_token = (await client.ok("GET"))["edit_token"]
        data = GREY if path == "/reference" else look_file(64, 1)

        async def slow() -> AsyncIterator[bytes]:
            yield data[:20]
            await go_on.wait()
            yield data[20:]

        sent = client.call("POST", path, data=slow(), headers=PNG, token=edit_token)
        upload = asyncio.create_task(sent)
        await until(lambda: session.uploads.taken == 1)
        if end == "renew":
            await client.ok("POST", "/tokens", json={"renew": "edit"})
        else:
            await client.ok("DELETE", "")
        go_on.set()
        assert (await upload)[0] == (401 if end == "renew" else 409)
        assert session.wardrobe.active.reference is None
        assert len(session.wardrobe.looks) == 1
        if end == "delete":
            assert await asyncio.to_thread(lambda: not list(tmp_path.rglob("*.png")))


async def test_a_socket_whose_token_was_made_void_controls_nothing() -> None:
    async with serving() as server:
        client = await server.open()
        state = await client.ok("GET")
        session = server.session(client)
        control = PageControl(session, state["edit_token"])
        await control("settings", {"strength": 0.5})
        await client.ok("POST", "/tokens", json={"renew": "edit"})
        with pytest.raises(AuthError):
            await control("settings", {"strength": 0.1})
        assert session.wardrobe.settings.strength == 0.5


def test_a_page_that_reads_slowly_does_not_miss_that_it_was_dismissed() -> None:
    """What was said later used to push the goodbye out of a full queue, and the page listened on."""
    hub = EventHub()
    with hub.listen() as queue:
        hub.dismiss()
        for number in range(events.HELD_MESSAGES + 3):
            hub.publish({"type": "state", "number": number})
        assert queue.get_nowait() is events.GOODBYE
        assert queue.empty()


# What strangers can write into the log, and other answers.


async def test_bytes_that_are_no_text_are_no_token() -> None:
    async with serving(token="a long secret") as server:
        for token in ("\xff\xfe", "\xed\xa0\x80"):
            head = f"POST /api/sessions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            assert b" 401 " in await answered(server, head)
            head = f"GET /metrics HTTP/1.1\r\nHost: x.localhost\r\nSec-WebSocket-Protocol: bearer.{token}\r\n"
            assert b" 401 " in await answered(server, head)


async def test_a_name_that_no_file_can_have_is_not_found() -> None:
    async with serving() as server:
        head = f"GET /static/{'a' * 3000} HTTP/1.1\r\nHost: localhost\r\n"
        assert b" 404 " in await answered(server, head)


async def test_what_is_no_request_is_counted_and_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    before = refused["malformed_request"]
    async with serving() as server:
        for line in ("GET * HTTP/1.1\r\n", "GET / HTTP/9.9\r\n", "GET / HTTP/1.1\r\nNo colon\r\n"):
            assert b" 400 " in await answered(server, line)
    assert refused["malformed_request"] == before + 3
    assert "Traceback" not in caplog.text


async def test_a_session_that_is_looked_at_by_others_shows_no_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving() as server:
        client = await server.open()
        tokens = [value for name, value in (await client.ok("GET")).items() if name.endswith("token")]
        viewer = Client(server, client.id, client.view_token, client.view_token)
        seen = json.dumps(await viewer.ok("GET"))
        async with viewer.events() as page:
            seen += json.dumps([await page.receive_json(timeout=5) for _ in range(3)])
    assert len(tokens) == 4
    assert not [token for token in tokens if token in seen or token in caplog.text]
