"""Limits of TCP connections: how many, from whom, and how long they may take to send and to receive.

aiohttp alone gives a request's headers as much time as the next request, and lets a client take any time to
read.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from stream.refused import refused

HEADERS_S = (
    10.0  # longest time from the first byte of a request, or from connecting, to the end of its headers
)
IDLE_S = 30.0  # longest time between two requests
WRITE_S = 10.0  # longest time in which a client reads nothing
MAX_CONNECTIONS = 300 if sys.platform == "win32" else 2000  # in all; Windows selects among 512 sockets
MAX_OF_ADDRESS = 250  # of one address; a page uses six, trusted proxies have no such limit


class Census:
    """Counts connections as they are made, before anything waits.

    Args:
        is_proxy: returns whether an address is a proxy, which may have many clients.
    """

    def __init__(self, is_proxy: Callable[[str], bool]) -> None:
        self._is_proxy = is_proxy
        self._of: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Count a connection. Returns False if it is one too many and has to be closed."""
        if self._of.total() >= MAX_CONNECTIONS:
            refused.note("connections")
            return False
        if self._of[address] >= MAX_OF_ADDRESS and not self._is_proxy(address):
            refused.note("connections_of_address")
            return False
        self._of[address] += 1
        return True

    def leave(self, address: str) -> None:
        """Stop counting a connection."""
        self._of[address] -= 1
        if self._of[address] <= 0:
            del self._of[address]

    def total(self) -> int:
        """Return the number of connections."""
        return self._of.total()


class BoundedHandler(RequestHandler):
    """One connection. It is ended if it takes too long."""

    def __init__(self, census: Census, manager: web.Server, **more: Any) -> None:
        super().__init__(manager, **more)
        self._census = census
        self._address: str | None = None  # the address that `Census` counted
        self._slow: asyncio.TimerHandle | None = None  # ends the connection if no whole request arrives
        self._deaf: asyncio.TimerHandle | None = None  # ends the connection if the client does not read
        self._unread = 0  # bytes it had not read at the last look

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection and wait for its first request, or end it if it is one too many."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) and peer else "local"
        if self._census.enter(address):
            self._address = address
            self._expect()
        else:
            self._abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop counting the connection and its timers."""
        if self._address is not None:
            self._census.leave(self._address)
            self._address = None
        for timer in (self._slow, self._deaf):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass data on. Headers that have begun must end in time."""
        super().data_received(data)
        if self._messages or self._request_in_progress or self._upgraded:
            if self._slow is not None:
                self._slow.cancel()
                self._slow = None
        elif data and self._slow is None:
            self._expect()

    def _expect(self) -> None:
        self._slow = self._loop.call_later(HEADERS_S, self._came_too_late)

    def _came_too_late(self) -> None:
        self._slow = None
        if self._waiter is not None and not self._waiter.done():  # no request is being answered
            refused.note("slow_request")
            self._abort()

    def log_exception(self, *arguments: Any, **more: Any) -> None:
        """Log an error, but only count requests that are no HTTP: anybody can send any number of them."""
        if isinstance(error := more.get("exc_info"), HttpProcessingError):
            refused.note("malformed_request", error)
        else:
            super().log_exception(*arguments, **more)

    def pause_writing(self) -> None:
        """Start the time limit of a client that does not read."""
        super().pause_writing()
        self._listen()

    def resume_writing(self) -> None:
        """End that time limit, because the client reads again."""
        super().resume_writing()
        if self._deaf is not None:
            self._deaf.cancel()
            self._deaf = None

    def _listen(self) -> None:
        if self.transport is not None:
            self._unread = self.transport.get_write_buffer_size()
            self._deaf = self._loop.call_later(WRITE_S, self._still_deaf)

    def _still_deaf(self) -> None:
        self._deaf = None
        if self.transport is None:
            return
        if self.transport.get_write_buffer_size() < self._unread:
            self._listen()  # it reads, though slowly
        else:
            refused.note("slow_reader")
            self._abort()

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()
        self.force_close()


class BoundedServer(web.Server):
    """Makes a `BoundedHandler` for each connection."""

    def __init__(self, census: Census, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._census = census

    def __call__(self) -> RequestHandler:
        """Make the handler of one connection."""
        return BoundedHandler(self._census, self, loop=self._loop, **self._kwargs)


class BoundedRunner(web.AppRunner):
    """Runs an application with limited connections. Bodies are not decompressed."""

    __slots__ = ("_census",)

    def __init__(self, app: web.Application, census: Census, **more: Any) -> None:
        super().__init__(app, keepalive_timeout=IDLE_S, auto_decompress=False, **more)
        self._census = census

    async def _make_server(self) -> web.Server:
        stock = await super()._make_server()
        return BoundedServer(
            self._census,
            stock.request_handler,
            request_factory=stock.request_factory,
            handler_cancellation=stock.handler_cancellation,
            loop=asyncio.get_running_loop(),
            **stock._kwargs,
        )
