"""Addresses that stay: rooms with a name, a token for each right, renewed and made void."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from stream.storage.config import StorageConfig
from tests.stream.rig import Client, Json, Server, new_peer, publishing, serving, until, watching

READ, LOOKS, OWN = ("GET", ""), ("POST", "/looks"), ("PUT", "/room")


async def allowed(client: Client, token: str, request: tuple[str, str]) -> int:
    method, path = request
    return (await client.call(method, path, token=token, json={}))[0]


async def tickets(client: Client) -> Json:
    return await client.ok("GET")


async def room_of(server: Server, room: str, token: str) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    async with server.http.get(f"{server.origin}/api/rooms/{room}", headers=headers) as answer:
        return answer.status, await answer.json()


async def test_each_token_does_what_its_right_allows_and_no_more() -> None:
    async with serving() as server:
        client = await server.open()
        own = await tickets(client)
        edit, publish, view = own["edit_token"], own["publish_token"], own["view_token"]
        assert len({client.token, edit, publish, view}) == 4
        for token, expected in (
            (client.token, (200, 201, 400)), (edit, (200, 201, 403)), (view, (200, 403, 403)),
            (publish, (403, 403, 403)),
        ):  # fmt: skip
            seen = [await allowed(client, token, each) for each in (READ, LOOKS)]
            seen.append((await client.call("PUT", "/room", token=token, json={"room": 7}))[0])
            assert tuple(seen) == expected
        for token in (edit, view):
            state = await client.ok("GET", token=token)
            assert not {"token", "edit_token", "publish_token", "viewer"} & set(state)
        peer = new_peer()
        peer.addTransceiver("video", direction="recvonly")
        await peer.setLocalDescription(await peer.createOffer())
        for token, status in ((publish, 403), (view, 201)):
            headers = {"Authorization": f"Bearer {token}"}
            assert (await client.signal("whep", peer.localDescription.sdp, **headers))[0] == status
        await peer.close()
        async with publishing(Client(server, client.id, publish, view)):
            assert (await client.ok("GET"))["publishing"] is True


async def test_a_renewed_token_puts_out_who_had_the_old_one(tmp_path: Path) -> None:
    async with serving(store=StorageConfig(folder=tmp_path)) as server:
        client = await server.open()
        async with publishing(client), watching(client, client.view_token):
            await until(lambda: server.session(client).connections.viewers == 1, 60)
            url = f"{server.origin}/api/sessions/{client.id}/events"
            protocols = ("livery", f"bearer.{client.view_token}")
            async with server.http.ws_connect(url, protocols=protocols) as socket:
                assert socket.protocol == "livery"
                renewed = await client.ok("POST", "/tokens", json={"renew": "view"})
                assert renewed["view_token"] != client.view_token
                while (message := await socket.receive(timeout=10)).type == aiohttp.WSMsgType.TEXT:
                    pass
                assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
            assert await allowed(client, client.view_token, READ) == 401
            assert await allowed(client, renewed["view_token"], READ) == 200
            assert await allowed(client, renewed["publish_token"], READ) == 403, "the others stay"
            assert server.session(client).connections.viewers == 0
            assert server.session(client).connections.publishing
        for wrong in ("own", "all", None, 3):
            assert (await client.call("POST", "/tokens", json={"renew": wrong}))[0] == 400
    async with serving(store=StorageConfig(folder=tmp_path)) as server:
        again = Client(server, client.id, client.token, client.view_token)
        assert await allowed(again, client.view_token, READ) == 401
        assert (await tickets(again))["view_token"] == renewed["view_token"]


async def test_a_room_has_one_session_and_survives_a_restart(tmp_path: Path) -> None:
    async with serving(store=StorageConfig(folder=tmp_path)) as server:
        first, second = await server.open(), await server.open()
        named = await first.ok("PUT", "/room", json={"room": "main-stage"})
        assert named["viewer"] == f"/watch/main-stage#token={first.view_token}"
        assert await room_of(server, "main-stage", first.view_token) == (200, {"id": first.id})
        assert (await room_of(server, "main-stage", second.view_token))[0] == 401
        assert (await room_of(server, "elsewhere", first.view_token))[0] == 404
        assert (await second.call("PUT", "/room", json={"room": "main-stage"}))[0] == 409
        async with server.http.get(f"{server.origin}/watch/main-stage") as page:
            assert page.status == 200
            assert "video" in await page.text()
    async with serving(store=StorageConfig(folder=tmp_path)) as server:
        assert await room_of(server, "main-stage", first.view_token) == (200, {"id": first.id})
        other = Client(server, second.id, second.token, second.view_token)
        assert (await other.call("PUT", "/room", json={"room": "main-stage"}))[0] == 409
        owner = Client(server, first.id, first.token, first.view_token)
        assert (await owner.ok("PUT", "/room", json={"room": None}))["viewer"].startswith("/view/")
        assert (await other.ok("PUT", "/room", json={"room": "main-stage"}))["viewer"].startswith("/watch/")
        assert await room_of(server, "main-stage", second.view_token) == (200, {"id": second.id})


@pytest.mark.parametrize("room", ["", "-x", "a b", "ä", "x" * 41, "../x", 7, ["a"]])
async def test_a_name_that_no_address_can_have_is_refused(room: object) -> None:
    async with serving() as server:
        client = await server.open()
        status, body = await client.call("PUT", "/room", json={"room": room})
        assert status == 400
        assert "1 to 40 letters" in body["error"]
