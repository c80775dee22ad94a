"""A server that stops, or is killed, and starts again: sessions, looks, addresses and tokens are there."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sqlite3
from pathlib import Path

import cv2
import numpy as np
import pytest

from correspondence import Image
from stream.http.base import SERVICES, STORE
from stream.storage.config import StorageConfig
from stream.storage.storage import DATABASE, FOLDER
from tests.stream.rig import Client, Server, server_process, serving, until, until_state


def kept_in(folder: Path) -> contextlib.AbstractAsyncContextManager[Server]:
    return serving(store=StorageConfig(folder=folder))


def moved(client: Client, server: Server) -> Client:
    """The same session at another server."""
    return Client(server, client.id, client.token, client.view_token)


def png(image: Image) -> bytes:
    return bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1])


async def dress(client: Client, astronaut: Image) -> Image:
    """A painted look and a preset look; returns the painted picture."""
    small = cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA)
    painted = small.copy()
    cv2.circle(painted, (120, 120), 12, (20, 40, 220), -1)
    kind = {"Content-Type": "image/png"}
    await client.ok("POST", "/reference", data=png(small), headers=kind)
    await client.ok("PUT", "/edit", data=png(painted), headers=kind)
    await client.ok("PATCH", "/settings", json={"strength": 0.4})
    await client.ok("POST", "/looks", json={"name": "Évening"})
    await client.ok("POST", "/preset", json={"name": "lipstick", "colour": "#c0183a", "strength": 0.8})
    return painted


def worn(state: dict[str, object]) -> object:
    return state["looks"], state["active"], state["settings"], state["edit"], state["reference"]


async def test_a_session_comes_back_with_looks_addresses_and_tokens(tmp_path: Path, astronaut: Image) -> None:
    async with kept_in(tmp_path) as server:
        client = await server.open()
        painted = await dress(client, astronaut)
        before = await client.ok("GET")
        assert before["storage"] == {"keep_days": 30.0, "problem": None, "nearly_full": False}
    async with kept_in(tmp_path) as server:
        assert len(server.app[STORE]) == 0, "it is read when it is asked for"  # type: ignore[index]
        again = moved(client, server)
        assert (await again.call("GET", token="wrong"))[0] == 401
        assert len(server.app[STORE]) == 0  # type: ignore[index]
        after = await again.ok("GET")
        assert worn(after) == worn(before)
        assert (after["viewer"], after["whip"], after["token"]) == (
            before["viewer"], before["whip"], before["token"],
        )  # fmt: skip
        assert (await again.ok("GET", token=client.view_token))["active"] == before["active"]
        await again.ok("POST", f"/looks/{before['looks'][0]['id']}/wear")
        assert np.array_equal(await again.picture("edit"), painted)
        session = server.session(again)
        await until(lambda: all(look.outfit is not None for look in session.wardrobe.looks))
        fresh = await again.ok("POST", "/preset", json={"name": "lipstick", "strength": 0.5})
        assert fresh["edit"]["version"] > max(look["picture"] for look in before["looks"])


async def test_kill_while_two_sessions_edit(tmp_path: Path, astronaut: Image) -> None:
    """What was answered before the kill is there after it, in both."""
    folder = str(tmp_path / "data")
    async with server_process("--data", folder) as (server, process):
        clients = [await server.open() for _ in range(2)]
        for client in clients:
            await dress(client, astronaut)
        answered: list[float] = [0.0, 0.0]

        async def edit(number: int) -> None:
            for step in range(1, 1000):
                strength = step / 1000
                state = await clients[number].ok("PATCH", "/settings", json={"strength": strength})
                assert state["storage"]["problem"] is None
                answered[number] = strength

        editing = [asyncio.create_task(edit(number)) for number in range(2)]
        await until(lambda: min(answered) > 0.01)
        process.kill()
        await asyncio.gather(*editing, return_exceptions=True)
        await process.wait()
    async with server_process("--data", folder) as (server, _):
        for client, strength in zip(clients, answered, strict=True):
            state = await moved(client, server).ok("GET")
            assert [look["name"] for look in state["looks"]] == ["Look 1", "Évening"]
            assert state["settings"]["strength"] in (strength, pytest.approx(strength + 0.001))


async def test_ending_a_session_deletes_it(tmp_path: Path, astronaut: Image) -> None:
    async with kept_in(tmp_path) as server:
        client, other = await server.open(), await server.open()
        await dress(client, astronaut)
        assert (tmp_path / FOLDER / client.id).is_dir()
        await client.ok("DELETE")
        assert [path.name for path in (tmp_path / FOLDER).iterdir()] == [other.id]
    async with kept_in(tmp_path) as server:
        assert (await moved(client, server).call("GET"))[0] == 404
        assert (await moved(other, server).call("GET"))[0] == 200


async def test_a_damaged_picture_is_named_to_its_owner(tmp_path: Path, astronaut: Image) -> None:
    async with kept_in(tmp_path) as server:
        client = await server.open()
        await dress(client, astronaut)
        names = server.app[SERVICES].storage._names[client.id]  # type: ignore[index, union-attr]
        painted = min(version for what, version in names if what == "edit")
        (tmp_path / FOLDER / client.id / f"{names['edit', painted]}.png").write_bytes(b"")
    async with kept_in(tmp_path) as server:
        state = await moved(client, server).ok("GET")
        assert [look["edited"] for look in state["looks"]] == [False, True]
        log = server.session(moved(client, server)).status.log()
        assert [entry["text"] for entry in log] == [
            "Could not be read back: the look “Look 1”, keyframe 1: its picture is damaged."
        ]


async def test_a_lost_session_is_named_to_its_owner(tmp_path: Path) -> None:
    async with kept_in(tmp_path) as server:
        client, other = await server.open(), await server.open()
    with sqlite3.connect(tmp_path / DATABASE) as db:
        db.execute("UPDATE session SET record = 'x' WHERE id = ?", (client.id,))
    db.close()
    (tmp_path / FOLDER / client.id / "row.json").write_text("x")
    async with kept_in(tmp_path) as server:
        status, body = await moved(client, server).call("GET")
        assert (status, "damaged" in body["error"]) == (404, True)
        assert (await moved(other, server).call("GET"))[0] == 200


async def test_a_full_disk_is_told_and_mends_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.session.store.SWEEP_S", 0.1)
    async with kept_in(tmp_path) as server:
        client = await server.open()

        def full(*arguments: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(server.app[SERVICES].storage._database, "write", full)  # type: ignore[index, union-attr]
            state = await client.ok("PATCH", "/settings", json={"strength": 0.5})
            assert state["settings"]["strength"] == 0.5, "the session goes on in memory"
            assert "the disk is full: free some space" in state["storage"]["problem"]
        await until_state(client, lambda state: state["storage"]["problem"] is None)
    async with kept_in(tmp_path) as server:
        assert (await moved(client, server).ok("GET"))["settings"]["strength"] == 0.5


async def test_a_session_unused_for_long_sleeps_and_wakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.session.store.SWEEP_S", 0.1)
    async with serving(lifetime_s=0.3, store=StorageConfig(folder=tmp_path)) as server:
        client = await server.open()
        await client.ok("PATCH", "/settings", json={"strength": 0.25})
        await until(lambda: len(server.app[STORE]) == 0)  # type: ignore[index]
        assert (await client.ok("GET"))["settings"]["strength"] == 0.25


async def test_without_a_store_a_session_says_so() -> None:
    async with serving() as server:
        assert (await (await server.open()).ok("GET"))["storage"] is None
