"""What a session tells its page: state, figures twice a second, and events."""

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
MAX_LISTENERS = 64  # pages of one session, viewers' included
HELD_MESSAGES = 64  # a page that reads slower loses the oldest
MAX_MESSAGE_BYTES = 16_000
Level = Literal["info", "warning"]
Message = dict[str, object]


GOODBYE: Message = {"type": "goodbye"}  # never sent: it ends the socket


class EventHub:
    """Hands each message to every listening page."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[Message]] = set()
        self.closed = asyncio.Event()

    @property
    def listeners(self) -> int:
        """How many pages listen."""
        return len(self._listeners)

    def publish(self, message: Message) -> None:
        """Send to everybody, on the loop."""
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(message)

    def dismiss(self) -> None:
        """Close every page's socket once it has what was sent before; those that may come again do."""
        self.publish(GOODBYE)

    def say(self, text: str, level: Level = "info") -> None:
        """Send a line for people."""
        self.publish({"type": "event", "text": text, "level": level})

    @contextlib.contextmanager
    def listen(self) -> Iterator[asyncio.Queue[Message]]:
        """A queue of messages for as long as the block runs.

        Raises:
            CapacityError: as many pages listen as may.
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
    """What is told."""

    def log(self) -> list[Message]:
        """What happened lately."""
        ...

    def state(self) -> Message:
        """The state."""
        ...

    def stats(self) -> Message:
        """The figures of now."""
        ...


class Control(Protocol):
    """What a page may do over its socket."""

    async def __call__(self, kind: str, message: Message) -> None:
        """Act on a message of this type; raises ServerError where it cannot."""
        ...

    def close(self) -> None:
        """The page has gone."""
        ...


async def serve_events(
    request: web.Request, hub: EventHub, source: Source, control: Control | None
) -> web.WebSocketResponse:
    """Run one page's WebSocket until it or the session ends.

    Args:
        request: the upgrade request, already authorised.
        hub: the session's.
        source: its state and log are sent first, its stats every `STATS_S`.
        control: takes the page's messages; None for a listener that may only watch.
    """
    socket = web.WebSocketResponse(
        protocols=("livery",), heartbeat=10.0, max_msg_size=MAX_MESSAGE_BYTES, compress=False
    )
    with hub.listen() as queue:  # counted before the first wait
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
            message = await asyncio.wait_for(queue.get(), max(due_s - loop.time(), 0.001))
        except TimeoutError:
            due_s = loop.time() + STATS_S
            message = {"type": "stats", **stats()}
        if message is GOODBYE:
            await socket.close(code=1012, message=b"come again")
            return
        await socket.send_json(message)
    while not queue.empty():  # what was said last, why it ended among it
        await socket.send_json(queue.get_nowait())
    await socket.close(code=1001, message=b"the session ended")


async def _receive(text: str, control: Control | None) -> Message | None:
    """Act on a page's message; returns what to answer, if anything."""
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
