"""The HTTP server: its application, its start and its stop."""

from __future__ import annotations

import stream.rtc.dtls  # noqa: F401  # first: it decides how the OpenSSL that aiortc loads is configured

# isort: split
import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from stream.config import ServerConfig
from stream.control.osc import OscControl
from stream.http import api, signaling
from stream.http.base import (
    SERVICES,
    STORE,
    UPLOADS,
    errors_as_json,
    known_host,
    same_site,
    slow_guessing,
    waking,
)
from stream.http.running import (
    add_pages,
    identified,
    leave_in_time,
    loop_factory,
    prepare,
    print_line,
    run_app,
)
from stream.rtc import aiortc_patch, ice
from stream.session.room import Room
from stream.session.services import Services, load_services
from stream.session.session import Session
from stream.session.store import SessionStore

logger = logging.getLogger(__name__)

CLOSE_S = 2.5  # part of `running.STOP_S` in which the sessions may close
MAX_UPLOADS = 12  # uploads at a time over all sessions, until they are used: 32 MB each, decoded 160 MB


def create_app(services: Services) -> web.Application:
    """Create the application. It ends `services` when it is shut down."""
    aiortc_patch.install()
    ice.configure(services.config.udp_ports, services.config.public_address)
    app = web.Application(
        middlewares=[identified, errors_as_json, known_host, same_site, slow_guessing, waking],
        client_max_size=services.config.upload_bytes,
    )
    prepare(app, services.config, services.registry)
    app[SERVICES] = services
    app[UPLOADS] = Room(MAX_UPLOADS, "uploads", "uploads_of_all")
    app.cleanup_ctx.append(_store)
    if services.config.osc_port is not None:
        app.cleanup_ctx.append(_osc)
    api.add_routes(app)
    signaling.add_routes(app)
    add_pages(app)
    return app


async def _store(app: web.Application) -> AsyncIterator[None]:
    app[STORE] = store = SessionStore(app[SERVICES])
    store.start()
    app.on_shutdown.append(_end_sessions)
    yield
    app[SERVICES].shutdown()


async def _osc(app: web.Application) -> AsyncIterator[None]:
    config = app[SERVICES].config
    control = OscControl(app[STORE], config.osc_host, config.osc_port or 0)
    await control.start()
    yield
    await control.close()


async def _end_sessions(app: web.Application) -> None:
    try:
        await asyncio.wait_for(app[STORE].close(), CLOSE_S)
    except TimeoutError:
        logger.warning("sessions took over %.1f s to close", CLOSE_S)


def serve(config: ServerConfig) -> None:
    """Serve until SIGINT (Ctrl-C) or SIGTERM, then close all peers and tell the pages.

    Both signals are the usual end, with exit code 0. The process ends within `STOP_S` of the signal. If
    something hangs, it is ended by force with exit code 1. A second Ctrl-C ends it at once with exit code
    130.

    Raises:
        KeyboardInterrupt: Ctrl-C before the server listens.
        StartError: the port is in use, or the address is not one of this machine.
        WeightsError: requested weights are missing or damaged.
        MediaError: nothing can be recorded in the configured folder.
    """
    logging.getLogger("aioice").setLevel(logging.WARNING)  # it logs addresses
    services = load_services(config)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(
            run_until_stopped(services, print_line, stopping=leave_in_time, show_code=sys.stdout.isatty())
        )


async def run_until_stopped(
    services: Services,
    say: Callable[[str], None],
    stopping: Callable[[], None] = lambda: None,
    show_code: bool = False,
) -> None:
    """Start the server, print its address, wait for a signal, and stop (see `run_app`)."""
    app = create_app(services)

    async def begin(origin: str) -> None:
        if services.config.demo:
            session, token = await _open_demo(app[STORE])
            say(f"Livery's demo is at {origin}/#session={session.id}&token={token}")

    def busy() -> int:
        return sum(each.connections.busy or each.connections.demo for each in app[STORE].sessions)

    await run_app(app, say, begin, busy, stopping, show_code)


async def _open_demo(store: SessionStore) -> tuple[Session, str]:
    session, token = await store.open(pinned=True)
    await session.start_demo()
    return session, token
