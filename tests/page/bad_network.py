"""A network between a page and the server that can be cut: its TCP and its UDP pass through this process."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from aioice.ice import get_host_addresses
from playwright.sync_api import Page, Route

from benchmarks.streams.relay import Condition, Relay

T = TypeVar("T")


class Network:
    """Passes a server's connections on, from an address of its own, until it is cut.

    What is sent over TCP meanwhile arrives as TCP repeats it: after 0.2 s (a new connection: 1 s), and each
    time after twice the time.
    """

    def __init__(self, server: str) -> None:
        self.address = ""
        self._host, port = server.removeprefix("http://").split(":")
        self._port = int(port)
        self._is_up = True
        self._relays: list[Relay] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._pumps: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine, which runs on this network's own thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def set(self, up: bool) -> None:
        """Cut it, or mend it. Of what is under way nothing is refused: it is silent, as a network is."""
        self._is_up = up
        for relay in self._relays:
            relay.set(Condition(down=not up))

    async def relayed(self, answer: str) -> str:
        """A server's answer whose candidates lead through a relay."""
        relay = Relay(Condition(down=not self._is_up))
        await relay.start(get_host_addresses(use_ipv4=True, use_ipv6=False)[0])
        self._relays.append(relay)
        return relay.route(answer, 1)

    async def _passage(self, repeat_s: float) -> None:
        while not self._is_up:
            await asyncio.sleep(repeat_s)
            repeat_s *= 2

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        task = asyncio.current_task()
        assert task is not None
        self._pumps.add(task)
        task.add_done_callback(self._pumps.discard)
        await self._passage(1.0)
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        self._writers.append(far_writer)
        for source, target in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pump(source, target))
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65_536):
                await self._passage(0.2)
                target.write(data)
                await target.drain()
        target.close()

    async def close(self) -> None:
        """End everything."""
        self._server.close()
        for task in list(self._pumps):
            task.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        for relay in self._relays:
            relay.close()

    def carry_media(self, page: Page) -> None:
        """Lead a page's media through relays: neither side learns the other's own address."""
        for kind in ("whip", "whep"):
            page.route(f"**/{kind}/*", self._through(kind))

    def _through(self, kind: str) -> Callable[[Route], None]:
        def handle(route: Route) -> None:
            if route.request.method != "POST":
                route.continue_()
                return
            offer = (route.request.post_data or "").split("\r\n")
            plain = "\r\n".join(line for line in offer if not line.startswith("a=candidate:"))
            answer = route.fetch(post_data=plain)
            text = answer.text()
            route.fulfill(
                response=answer, body=self.run(self.relayed(text)) if answer.status == 201 else text
            )

        return handle


@contextlib.contextmanager
def network(server: str) -> Iterator[Network]:
    """A network to a server, good at first."""
    made = Network(server)
    made._thread.start()
    try:
        made.run(made.open())
        yield made
    finally:
        made.run(made.set(True))
        made.run(made.close())
        made._loop.call_soon_threadsafe(made._loop.stop)
        made._thread.join(5)
        made._loop.close()
