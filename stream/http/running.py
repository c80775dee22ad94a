"""What every server of Livery needs: ids of requests, pages, what the middleware needs, start and stop."""

from __future__ import annotations

import stream.rtc.dtls  # noqa: F401  # first: it decides how the OpenSSL that aiortc loads is configured

# isort: split
import asyncio
import contextlib
import errno
import logging
import os
import re
import secrets
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import hdrs, web
from aioice.ice import get_host_addresses

from stream import logs
from stream.config import ServerConfig
from stream.errors import StartError
from stream.http.base import (
    CENSUS,
    CONFIG,
    HOSTS,
    LIMITS,
    REGISTRY,
    STOPPING,
    Handler,
    add_headers,
    is_loopback,
)
from stream.http.connections import BoundedRunner, Census
from stream.http.hosts import Hosts
from stream.http.limits import Limits
from stream.http.phone import network_address, terminal_code
from stream.metrics import Registry
from stream.rtc.relay import refusals
from stream.tls import Tls, local_names, self_signed

logger = logging.getLogger(__name__)

WEB = Path(__file__).parents[1] / "web"
STOP_S = 5.0  # longest time from the signal to the end of the process
DRAIN_LOOK_S = 1.0
INTERRUPTED = 130  # exit code of a second Ctrl-C
LOCAL_HOSTS = ("0.0.0.0", "::", "")
REQUEST_ID = "X-Request-Id"
REQUEST: web.RequestKey[str] = web.RequestKey("id", str)
_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")


@web.middleware
async def identified(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer with an `X-Request-Id`: the client's own, if it is sound, or a new one.

    The log lines of the request and of what it begins carry the id. Requests are counted by route, method and
    status. Neither shows a session's whole id nor any token.
    """
    given = request.headers.get(REQUEST_ID, "")
    request[REQUEST] = given if _GIVEN.fullmatch(given) else secrets.token_hex(8)
    logs.request_id.set(request[REQUEST])
    logs.session_id.set(request.match_info.get("id", "")[:6])
    began_s = time.monotonic()
    response = await handler(request)
    resource = request.match_info.route.resource
    route = "other" if resource is None else resource.canonical
    method = request.method if request.method in hdrs.METH_ALL else "other"
    labels = f'route="{route}",method="{method}",status="{response.status}"'
    request.app[REGISTRY].count("requests", labels)
    took_ms = 1000 * (time.monotonic() - began_s)
    logger.debug("%s %s answered %d after %.0f ms", method, route, response.status, took_ms)
    return response


async def name_answer(request: web.Request, response: web.StreamResponse) -> None:
    """Put the request's id into its answer."""
    if REQUEST in request:
        response.headers.setdefault(REQUEST_ID, request[REQUEST])


def prepare(app: web.Application, config: ServerConfig, registry: Registry) -> None:
    """Give an application what the middleware needs, and the headers of its answers."""
    app[CONFIG], app[REGISTRY] = config, registry
    app[HOSTS] = Hosts(config)
    app[LIMITS] = Limits(config)
    app[STOPPING] = asyncio.Event()
    app.on_response_prepare.append(add_headers)
    app.on_response_prepare.append(name_answer)


def add_pages(app: web.Application) -> None:
    """Add the page, the viewer's page and their files."""
    app.router.add_get("/", _page("index.html"))
    app.router.add_get("/view/{id}", _page("view.html"))
    app.router.add_get("/watch/{room}", _page("view.html"))
    app.router.add_static("/static/", WEB)


def _page(name: str) -> Handler:
    async def page(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(WEB / name)

    return page


def make_runner(app: web.Application) -> web.AppRunner:
    """Make a runner whose connections are limited as in `stream.http.connections`."""
    census = Census(app[LIMITS].proxies.holds)
    app[CENSUS] = census
    return BoundedRunner(app, census, access_log=None, handle_signals=False, shutdown_timeout=1.0)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the event loop: uvloop where it is installed, which it never is on Windows.

    There asyncio's usual loop would stop reading a UDP socket for good once a packet went to a closed port
    (CPython's issues 91227 and 127057), as ICE's checks do all the time; the selector loop reads on.
    """
    if sys.platform == "win32":
        return asyncio.SelectorEventLoop
    try:
        import uvloop
    except ImportError:
        logger.info("uvloop is not installed: asyncio's own event loop serves, a little slower")
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def print_line(text: str) -> None:
    """Print a line to standard output at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def leave_in_time(limit_s: float = STOP_S) -> None:
    """Make sure that the process ends within `limit_s`, even if something hangs, or at a second Ctrl-C."""

    def leave() -> None:
        print(f"livery: it did not stop within {limit_s:g} s; what hangs is left behind", file=sys.stderr)
        sys.stderr.flush()
        os._exit(1)

    timer = threading.Timer(limit_s, leave)
    timer.daemon = True
    timer.start()
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(INTERRUPTED))


async def run_app(
    app: web.Application,
    say: Callable[[str], None],
    begin: Callable[[str], Awaitable[None]],
    busy: Callable[[], int],
    stopping: Callable[[], None] = lambda: None,
    show_code: bool = False,
) -> None:
    """Serve an application, print its address, wait for a signal, and stop.

    Args:
        app: the application, see `prepare`.
        say: shows a line to the person who started the server.
        begin: called with the server's scheme, host and port once it listens.
        busy: returns how many sessions are in use; with `drain_s` the server waits for them at its end.
        stopping: called when the signal has come and nobody is waited for any more.
        show_code: whether to print the address as a QR code too, if phones can reach it.

    Raises:
        StartError: the port is in use, the address is not one of this machine, or the certificate is
            unusable.
    """
    config = app[CONFIG]
    tls = _tls(config)
    stop = _stop_event()
    runner = make_runner(app)
    await runner.setup()
    try:
        port = await _listen(runner, config, tls)
        scheme = "http" if tls is None else "https"
        host = "localhost" if config.host in (*LOCAL_HOSTS, "127.0.0.1") else config.host
        origin = config.public_url.rstrip("/") if config.public_url else f"{scheme}://{host}:{port}"
        if not config.demo:
            say(f"Livery is at {origin}/")
        if config.tls == "auto" and tls is not None:
            say(f"Its certificate is self-signed; SHA-256 {tls.fingerprint()}")
        if (warning := exposure(config)) is not None:
            _warn(warning)
        if show_code and (address := network_address(config)) is not None:
            elsewhere = config.public_url or f"{scheme}://{address}:{port}/"
            say(f"For a phone on this network: {elsewhere}\n{terminal_code(elsewhere)}")
        await begin(origin)
        say("Stop with Ctrl-C.")
        besides = [asyncio.create_task(_check_relays(config))]
        if tls is not None:
            besides.append(asyncio.create_task(tls.watch()))
            if not sys.stdin or not sys.stdin.isatty():  # at a terminal it means that the terminal is gone
                _reload_at_hangup(tls)
        await stop.wait()
        await _drain(app[STOPPING], stop, busy, config.drain_s)
        for task in besides:
            task.cancel()
        stopping()
        logger.info("stopping")
    finally:
        await runner.cleanup()


async def _drain(
    stopping: asyncio.Event, stop: asyncio.Event, busy: Callable[[], int], seconds: float
) -> None:
    """Open no more sessions, and wait until nobody is connected, for some seconds, or for another signal."""
    stopping.set()
    stop.clear()
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s and not stop.is_set():
        if not (live := busy()):
            return
        logger.info("stopping: %d sessions go on for up to %.0f s", live, end_s - time.monotonic())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(DRAIN_LOOK_S, max(end_s - time.monotonic(), 0.0))):
                await stop.wait()


def _reload_at_hangup(tls: Tls) -> None:
    """Load the certificate again at SIGHUP, without waiting for the next look at its files."""
    number = getattr(signal, "SIGHUP", None)
    if number is not None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(number, lambda: loop.run_in_executor(None, tls.renew))


def _warn(text: str) -> None:
    print(f"livery: warning: {text}", file=sys.stderr, flush=True)


async def _check_relays(config: ServerConfig) -> None:
    """Log which TURN servers do not work, before a call fails because of them."""
    for line in await refusals(config.ice.servers("check")):
        _warn(f"{line}; peers without a direct path will not get through")


def _tls(config: ServerConfig) -> Tls | None:
    """Return the certificate to serve with. None for plain HTTP."""
    if config.tls is None:
        return None
    if config.tls == "auto":
        addresses = get_host_addresses(use_ipv4=True, use_ipv6=True)
        return self_signed(config.tls_folder, local_names(addresses, config.host, config.public_address))
    return Tls(*config.tls)


async def _listen(runner: web.AppRunner, config: ServerConfig, tls: Tls | None) -> int:
    context = tls.context if tls is not None else None
    site = web.TCPSite(runner, config.host, config.port, ssl_context=context)
    try:
        await site.start()
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            raise StartError(
                f"port {config.port} on {config.host} is in use; stop the other program "
                "or choose another port with --port"
            ) from exc
        raise StartError(f"cannot listen on {config.host}:{config.port}: {exc.strerror or exc}") from exc
    port: int = runner.addresses[0][1]
    return port


def exposure(config: ServerConfig) -> str | None:
    """Return a warning if strangers can reach a server without a token. None otherwise."""
    if config.token is not None or is_loopback(config.host):
        return None
    return (
        f"listening on {config.host or 'every address'} without --token: anyone who can reach "
        "it may open sessions, send pictures and use this machine's processor and UDP ports; "
        "set --token (or LIVERY_TOKEN), or listen on 127.0.0.1"
    )


def _stop_event() -> asyncio.Event:
    """Return an event that SIGINT, SIGTERM or, on Windows, SIGBREAK (Ctrl-Break, a closed console) sets."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGBREAK", None)):
        if number is None:
            continue
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda number, frame: loop.call_soon_threadsafe(stop.set))
    return stop
