"""A front with media hosts in this process, without Ray: each is a real server with a store of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import cv2
from aiohttp import web

from correspondence import Image
from stream.cluster.fleet import Fleet
from stream.cluster.front import create_front
from stream.cluster.host import MediaHost
from stream.cluster.placement import Report
from stream.cluster.remote import HostLostError
from stream.config import ServerConfig
from stream.http.base import SERVICES, STORE
from stream.http.running import make_runner
from stream.media.pictures import encode_png
from stream.metrics import Registry
from stream.session.session import Session
from stream.storage.config import StorageConfig
from tests.stream.rig import Client, Json, Server


class LocalHost:
    """A media host in this process, which can die; `restart` does what Ray does."""

    def __init__(self, name: str, config: ServerConfig) -> None:
        self.name = name
        self.dead = self.hangs = False
        self._config = config
        self.host = MediaHost(config)

    @property
    def app(self) -> web.Application:
        assert self.host._running is not None
        return self.host._running.runner.app

    @property
    def sessions(self) -> dict[str, Session]:
        return {session.id: session for session in self.app[STORE].sessions}

    def _here(self) -> MediaHost:
        if self.dead:
            raise HostLostError("the process is gone")
        return self.host

    async def report(self) -> Report:
        if self.hangs:
            await asyncio.sleep(3600)
        return await self._here().report()

    async def adopt(self, folder: str) -> None:
        await self._here().adopt(folder)

    async def give(self, session: str) -> str:
        return await self._here().give(session)

    async def in_room(self, room: str) -> str | None:
        return await self._here().in_room(room)

    async def close(self) -> None:
        await self._here().close()

    async def die(self) -> None:
        """End at once, as a killed process: nothing more is written, its port is closed."""
        self.dead = True
        for session in self.sessions.values():
            await session.saver.stop()
        assert self.host._running is not None
        server = self.host._running.runner.server
        assert isinstance(server, web.Server)
        for connection in server.connections:
            connection.force_close()
            if connection.transport is not None:
                connection.transport.abort()
        await self.host.close()

    def rise(self) -> None:
        """Start again, as Ray does with an actor."""
        self.host, self.dead, self.hangs = MediaHost(self._config), False, False

    async def restart(self, *, gently: bool) -> None:
        if gently:
            await self._here().close()
        elif not self.dead:
            await self.die()
        self.rise()


@dataclass(frozen=True, slots=True)
class Rig(Server):
    """The front as a server, with its fleet and its hosts."""

    fleet: Fleet
    hosts: list[LocalHost]

    def host_of(self, client: Client) -> LocalHost:
        return next(host for host in self.hosts if host.name == self.fleet.where[client.id].name)


@contextlib.asynccontextmanager
async def cluster(folder: Path | None, hosts: int = 2, **config: Any) -> AsyncIterator[Rig]:
    """A front on a free port of loopback and its hosts."""
    front = ServerConfig(matcher="classical", **config)
    store = StorageConfig(folder=folder) if folder is not None else None
    of_hosts = replace(front, port=0, store=store, trusted_proxies=("127.0.0.1",))
    remotes = [LocalHost(str(number), of_hosts) for number in range(hosts)]
    fleet = Fleet(remotes, folder, Registry())
    runner = make_runner(create_front(front, fleet))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
            yield Rig(runner.app, http, f"http://127.0.0.1:{port}", fleet, remotes)
    finally:
        await runner.cleanup()
        for remote in remotes:
            if not remote.dead:
                await remote.close()


async def dress(client: Client, face: Image, colour: str) -> Json:
    """Give a session a look: a preset in a colour on a small reference. Returns its state."""
    small = cv2.resize(face, (256, 256), interpolation=cv2.INTER_AREA)
    kind = {"Content-Type": "image/png"}
    await client.ok("POST", "/reference", data=encode_png(small), headers=kind)
    return await client.ok("POST", "/preset", json={"name": "lipstick", "colour": colour})


def worn(state: Json) -> list[object]:
    """What of a state is its look."""
    return [state[name] for name in ("looks", "active", "settings", "edit", "reference", "layers")]


async def back(client: Client, limit_s: float = 10.0) -> Json:
    """The state of a session as soon as it answers again; it may only be refused with 503 before."""
    async with asyncio.timeout(limit_s):
        while True:
            status, state = await client.call("GET")
            if status == 200:
                return state
            assert status == 503, (status, state)
            await asyncio.sleep(0.05)


def processors_free(host: LocalHost, free: float, dearest: float) -> None:
    """Let a host report that one live session more would not fit, or would."""
    admission = host.app[SERVICES].admission
    admission._most, admission._processors = 1.0, 1
    admission._others = 1.0 - free
    admission._each = admission._dearest = dearest
