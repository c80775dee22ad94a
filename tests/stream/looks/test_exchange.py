"""Look files over HTTP: a look goes out of one session into another, on its own person and on another."""

from __future__ import annotations

import io

import numpy as np

from correspondence import Image
from reference import read_look_file
from reference.looks.file import MOST_BYTES
from tests.stream.looks.test_layers import add, kinds, lipstick, paint
from tests.stream.looks.test_looks import PNG, painted, png, with_reference
from tests.stream.rig import Client, Json, is_blue, serving

GREEN = (10, 200, 10)
FILE = {"Content-Type": "application/vnd.livery+zip"}


async def exported(client: Client, look: int) -> tuple[bytes, str]:
    url = f"{client.server.origin}/api/sessions/{client.id}/looks/{look}/file"
    async with client.server.http.get(url, headers={"Authorization": f"Bearer {client.token}"}) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == FILE["Content-Type"]
        return await answer.read(), answer.headers["Content-Disposition"]


async def taken(client: Client, data: bytes, own: bool) -> Json:
    path = f"/looks/import?own={'true' if own else 'false'}"
    status, state = await client.call("POST", path, data=data, headers=FILE)
    assert status == 201, state
    return dict(state)


async def test_a_look_goes_into_another_session(astronaut: Image) -> None:
    wider = np.ascontiguousarray(
        np.pad(astronaut, ((20, 0), (40, 60), (0, 0)))[:, ::-1]
    )  # the face elsewhere
    async with with_reference(astronaut) as (server, client):
        await add(client, paint(astronaut))  # on the clothes
        state = await lipstick(client)
        await client.ok("PATCH", "/settings", json={"strength": 0.8})
        await client.ok("PATCH", f"/looks/{state['active']}", json={"name": "Évening/../1"})
        edited = await client.picture("edit")
        data, how = await exported(client, state["active"])
        assert how == 'attachment; filename="vening1.livery"'
        assert [layer.kind for layer in read_look_file(data)[0].layers] == ["paint", "preset"]

        other = await server.open()
        state = await taken(other, data, own=True)
        assert [look["name"] for look in state["looks"]] == ["Look 1", "Évening/../1"]
        assert (state["active"], state["settings"]["strength"]) == (state["looks"][1]["id"], 0.8)
        assert np.array_equal(await other.picture("edit"), edited)
        assert kinds(state) == ["paint", "lipstick"]

        other = await server.open()
        await other.ok("POST", "/reference", data=png(wider), headers=PNG)
        state = await taken(other, data, own=False)
        assert kinds(state) == ["lipstick"]
        assert state["left"] == ["Paint was left out: it lies on hair, clothes or backdrop, not on the face."]
        worn = await other.picture("edit")
        assert is_blue(worn)
        assert worn.shape == wider.shape
        state = await other.ok("POST", "/undo")
        assert state["edit"] is None


async def test_what_cannot_be_taken_in_is_refused_and_leaves_nothing(astronaut: Image) -> None:
    async with with_reference(astronaut, max_looks=2) as (server, client):
        state = await lipstick(client)
        data, _ = await exported(client, state["active"])
        other = await server.open()
        for sent, query, status, words in (
            (b"no zip", "?own=true", 422, "no look file"),
            (data[:900], "?own=true", 422, "no look file"),
            (data, "?own=false", 409, "no reference with a face"),
            (data, "", 409, "no reference with a face"),
            (data, "?own=maybe", 400, "own must be true or false"),
            (bytes(MOST_BYTES + 1), "?own=true", 413, "MB"),
        ):
            found, answer = await other.call(
                "POST", f"/looks/import{query}", data=io.BytesIO(sent), headers=FILE
            )
            assert (found, words in answer["error"]) == (status, True), answer
        assert len((await other.ok("GET"))["looks"]) == 1
        found, answer = await other.call("GET", f"/looks/{(await other.ok('GET'))['active']}/file")
        assert (found, "has no edit" in answer["error"]) == (409, True)
        await taken(client, data, own=True)
        found, answer = await client.call("POST", "/looks/import?own=true", data=data, headers=FILE)
        assert (found, "at most 2 looks" in answer["error"]) == (409, True)


async def test_no_room_leaves_no_look_behind(astronaut: Image) -> None:
    async with with_reference(astronaut) as (_, client):
        data, _ = await exported(client, (await lipstick(client))["active"])
    async with serving(looks_mib=4) as server:
        other = await server.open()
        small = np.ascontiguousarray(astronaut[::4, ::4])
        await other.ok("POST", "/reference", data=png(small), headers=PNG)
        await other.ok("PUT", "/edit", data=png(painted(small, GREEN, 20)), headers=PNG)
        before = await other.ok("GET")
        found, answer = await other.call("POST", "/looks/import?own=true", data=data, headers=FILE)
        assert (found, "MiB" in answer["error"]) == (409, True), answer
        after = await other.ok("GET")
        assert after["looks"] == before["looks"]
        assert after["active"] == before["active"]
