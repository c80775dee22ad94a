"""The WebSocket of a page: it receives state and events, and statistics twice a second."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Literal, Protocol

from aiohttp import WSMsgType, web

from stream.errors import CapacityError, RequestError, ServerError
from stream.json_text import read_json
from stream.refused import refused

logger = logging.getLogger(__name__)

STATS_S = 0.5
MAX_LISTENERS = 64  # most pages of one session, including viewers'
HELD_MESSAGES = 64  # messages that wait for a slow page; the oldest is dropped
MAX_MESSAGE_BYTES = 16_000
Level = Literal["info", "warning"]
Message = dict[str, object]


GOODBYE: Message = {"type": "goodbye"}  # not sent; it makes the sender close the socket


class EventHub:
    """Sends messages to all pages that listen."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[Message]] = set()
        self.closed = asyncio.Event()

    @property
    def listeners(self) -> int:
        """Number of pages that listen."""
        return len(self._listeners)

    def publish(self, message: Message) -> None:
        """Send a message to all pages. Call it on the event loop."""
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(message)

    def dismiss(self) -> None:
        """Close all pages' sockets after what was sent before. Pages with a valid token connect again.

        They hear nothing that is published later, however slowly they read.
        """
        self.publish(GOODBYE)
        self._listeners.clear()

    def say(self, text: str, level: Level = "info") -> None:
        """Send a line for the user."""
        self.publish({"type": "event", "text": text, "level": level})

    @contextlib.contextmanager
    def listen(self) -> Iterator[asyncio.Queue[Message]]:
        """Yield a queue that receives all messages while the block runs.

        Raises:
            CapacityError: as many pages listen as allowed.
        """
        if len(self._listeners) >= MAX_LISTENERS:
            refused.note("event_sockets")
            raise CapacityError(
                f"{MAX_LISTENERS} pages listen to this session, its limit", "close one of them"
            )
        queue: asyncio.Queue[Message] = asyncio.Queue(HELD_MESSAGES)
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)


class Source(Protocol):
    """What a page is told."""

    def log(self) -> list[Message]:
        """Return the newest journal entries."""
        ...

    def state(self) -> Message:
        """Return the session's state."""
        ...

    def stats(self) -> Message:
        """Return the present statistics."""
        ...


class Control(Protocol):
    """What a page may do over its WebSocket."""

    async def __call__(self, kind: str, message: Message) -> None:
        """Act on a message of type `kind`.

        Raises:
            ServerError: it cannot be done. The page is told why.
        """
        ...

    def close(self) -> None:
        """Clean up after a page that has gone."""
        ...


async def serve_events(
    request: web.Request, hub: EventHub, source: Source, control: Control | None
) -> web.WebSocketResponse:
    """Run one page's WebSocket until the page or the session ends.

    Args:
        request: the upgrade request, already authorised.
        hub: the session's hub.
        source: its state and log are sent first, its statistics every `STATS_S`.
        control: receives the page's messages. None for a page that may only watch.
    """
    socket = web.WebSocketResponse(
        protocols=("livery",), heartbeat=10.0, max_msg_size=MAX_MESSAGE_BYTES, compress=False
    )
    with hub.listen() as queue:  # counted before anything waits
        await socket.prepare(request)
        queue.put_nowait({"type": "state", **source.state()})
        queue.put_nowait({"type": "log", "entries": source.log(), "all": True})
        sender = asyncio.create_task(_send(socket, queue, source.stats, hub))
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    answer = await _receive(message.data, control)
                    if answer is not None:
                        await socket.send_json(answer)
        finally:
            if control is not None:
                control.close()
            sender.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await sender
    return socket


async def _send(
    socket: web.WebSocketResponse, queue: asyncio.Queue[Message], stats: Callable[[], Message], hub: EventHub
) -> None:
    loop = asyncio.get_running_loop()
    due_s = loop.time()
    while not hub.closed.is_set():
        try:
            async with asyncio.timeout(max(due_s - loop.time(), 0.001)):  # wait_for may forget a cancellation
                message = await queue.get()
        except TimeoutError:
            due_s = loop.time() + STATS_S
            message = {"type": "stats", **stats()}
        if message is GOODBYE:
            await socket.close(code=1012, message=b"come again")
            return
        await socket.send_json(message)
    while not queue.empty():  # the last messages, which say why it ended
        await socket.send_json(queue.get_nowait())
    await socket.close(code=1001, message=b"the session ended")


async def _receive(text: str, control: Control | None) -> Message | None:
    """Act on a page's message. Returns the answer, if there is one."""
    try:
        message = read_json(text, "the message")
        kind = message.pop("type", None) if isinstance(message, dict) else None
        if not isinstance(kind, str):
            raise RequestError('messages are JSON objects with a "type"')
        if control is None:
            raise RequestError("this link may watch but not control")
        await control(kind, message)
    except ServerError as exc:
        return {"type": "event", "level": "warning", "text": exc.text}
    return None
