"""A media host: the usual server in a process of a cluster, with what the front needs besides HTTP."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass, replace
from pathlib import Path

from aiohttp import web

from stream.cluster.placement import Report
from stream.config import ServerConfig
from stream.errors import CapacityError
from stream.filling.types import Worker
from stream.http.app import create_app
from stream.http.base import SERVICES, STORE
from stream.http.running import make_runner
from stream.session.admission import Admission
from stream.session.services import load_services
from stream.session.store import SessionStore
from stream.storage.storage import Storage

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Running:
    runner: web.AppRunner
    report: Report  # address and run; the rest changes


class MediaHost:
    """Runs a server on this node. Sessions live and media flow here; only signalling passes the front.

    The methods belong on one event loop.

    Args:
        config: the server's configuration, with the address of this node as `host` and port 0. The folder of
            its store holds the stores of all hosts, one for each start of a host.
        processors: number of processors that the host may use. None for all of the node.
        filler: fills what no reference shows. None: a process beside the host does, if it is needed.
    """

    def __init__(
        self, config: ServerConfig, processors: int | None = None, filler: Worker | None = None
    ) -> None:
        self._config, self._processors, self._filler = config, processors, filler
        self._starting = asyncio.Lock()
        self._running: _Running | None = None

    async def report(self) -> Report:
        """Tell how this host is. The first call starts the server.

        Raises:
            StartError: nothing can be stored in the folder.
            WeightsError: the matcher's weights are missing or damaged.
        """
        async with self._starting:
            if self._running is None:
                self._running = await self._start()
        services, sessions = self._running.runner.app[SERVICES], self._store.sessions
        admission = services.admission
        return replace(
            self._running.report,
            sessions=tuple(session.id for session in sessions),
            live=sum(session.connections.expecting for session in sessions),
            free=admission.free,
            dearest=admission.dearest,
            stretch=admission.stretch,
        )

    async def _start(self) -> _Running:
        run = f"{int(time.time())}-{secrets.token_hex(4)}"
        config = self._config
        if config.store is not None:
            config = replace(config, store=replace(config.store, folder=config.store.folder / run))
        services = await asyncio.to_thread(load_services, config, self._filler)
        if self._processors is not None:
            services = replace(services, admission=Admission(config.max_load, self._processors))
        runner = make_runner(create_app(services))
        await runner.setup()
        await web.TCPSite(runner, config.host, config.port).start()
        host, port = runner.addresses[0][:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        logger.info("media host %s listens at %s", run, address)
        return _Running(runner, Report(address=address, run=run, max_sessions=config.max_sessions))

    @property
    def _store(self) -> SessionStore:
        assert self._running is not None, "report() starts the server"
        return self._running.runner.app[STORE]

    @property
    def _storage(self) -> Storage:
        assert self._running is not None, "report() starts the server"
        storage = self._running.runner.app[SERVICES].storage
        assert storage is not None, "the front moves sessions only if they are stored"
        return storage

    async def adopt(self, folder: str) -> None:
        """Take over a stored session. It is read when it is asked for.

        Args:
            folder: the session's folder in another host's store.

        Raises:
            StorageError: it is damaged, or there is no space for it.
        """
        await self._storage.run(self._storage.adopt, Path(folder))

    async def give(self, session_id: str) -> str:
        """Close a session if it is open and give it up. Nothing of it is lost.

        Returns:
            Its folder, for another host's `adopt`.

        Raises:
            CapacityError: its state is not on disk, because the disk is full. It goes on here.
            StorageError: it is not stored here.
        """
        store, storage = self._store, self._storage
        session = next((each for each in store.sessions if each.id == session_id), None)
        if session is not None:
            await session.saver.saved()
            if session.saver.problem is not None:
                raise CapacityError(f"the session cannot be moved: {session.saver.problem}")
            session.events.say("the session moves to another machine; the picture is back in a moment")
            await store.release(session)
        return str(await storage.run(storage.give, session_id))

    async def in_room(self, room: str) -> str | None:
        """Return the id of this host's session that has a room name. None if there is none."""
        return self._store.in_room(room)

    async def close(self) -> None:
        """Close all sessions and stop. What is stored stays."""
        if self._running is not None:
            await self._running.runner.cleanup()
