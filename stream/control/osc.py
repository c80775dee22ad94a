"""Receives Open Sound Control over UDP, for example from a deck or a mixer. No token is needed.

| address             | argument            | what it does                                     |
|---------------------|---------------------|--------------------------------------------------|
| `/livery/look`      | 1 to 9              | wears the look at this place in the list         |
| `/livery/strength`  | 0 to 1              | sets the strength of the edit                    |
| `/livery/enabled`   | 0 or 1, true, false | shows the look or the live picture               |
| `/livery/compare`   | 0 or 1, true, false | shows the live picture while on                  |
| `/livery/reference` | none                | takes the newest frame as reference              |

Messages go to the session that was opened last among those with a live picture.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from stream.control.packets import PacketError, read_packet
from stream.errors import NotFoundError, RequestError, ServerError, StartError
from stream.refused import refused
from stream.session.session import Session
from stream.session.store import SessionStore

logger = logging.getLogger(__name__)

MOST_WAITING = 32  # messages in progress; further ones are dropped
Act = Callable[[Session, tuple[Any, ...]], Awaitable[None]]


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, hear: Callable[[bytes], None]) -> None:
        self._hear = hear

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._hear(data)


class OscControl:
    """Listens for messages from `start` until `close`.

    Args:
        store: the sessions.
        host, port: address to listen on. Port 0 chooses a free one.
    """

    def __init__(self, store: SessionStore, host: str, port: int) -> None:
        self._store = store
        self._where = (host, port)
        self._transport: asyncio.BaseTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: Session | None = None  # the session that shows its live picture to compare
        acts = (self._look, self._strength, self._enabled, self._compare, self._reference)
        self._acts: dict[str, Act] = {f"/livery/{act.__name__[1:]}": act for act in acts}

    async def start(self) -> int:
        """Begin to listen. Returns the port.

        Raises:
            StartError: the port is in use, or the address is not one of this machine.
        """
        loop = asyncio.get_running_loop()
        try:
            self._transport, _ = await loop.create_datagram_endpoint(
                lambda: _Ear(self._hear), local_addr=self._where
            )
        except OSError as exc:
            host, port = self._where
            raise StartError(f"--osc: cannot listen on {host}:{port}: {exc.strerror or exc}") from exc
        port = int(self._transport.get_extra_info("sockname")[1])
        logger.info("OSC is heard on %s:%d", self._where[0], port)
        return port

    async def close(self) -> None:
        """Stop listening."""
        if self._transport is not None:
            self._transport.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _hear(self, data: bytes) -> None:
        """Begin to carry out the messages of a packet."""
        try:
            messages = read_packet(data)
        except PacketError as exc:
            refused.note("osc_packet", exc)
            return
        for message in messages:
            act = self._acts.get(message.address)
            if act is None:
                refused.note("osc_address", f"{message.address}; known are {', '.join(self._acts)}")
            elif len(self._tasks) >= MOST_WAITING:
                refused.note("osc_waiting")
            else:
                task = asyncio.get_running_loop().create_task(self._run(act, message.arguments))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _run(self, act: Act, arguments: tuple[Any, ...]) -> None:
        try:
            await act(self._session(), arguments)
        except ServerError as exc:
            refused.note("osc_message", exc.text)
            logger.debug("OSC: %s", exc.text)
        except Exception:  # every error is caught here, so that the next message is heard
            logger.exception("an OSC message failed")

    def _session(self) -> Session:
        live = [session for session in self._store.sessions if session.connections.publishing]
        if not live:
            raise NotFoundError("no session has a picture", "start a camera or the demo on the page")
        return live[-1]

    async def _look(self, session: Session, arguments: tuple[Any, ...]) -> None:
        place, looks = _number(arguments, "look"), session.wardrobe.looks
        if not 1 <= place <= len(looks) or place != int(place):
            raise RequestError(f"look must be 1 to {len(looks)}, got {place:g}")
        session.wardrobe.wear(looks[int(place) - 1].id)
        session.changed()

    async def _strength(self, session: Session, arguments: tuple[Any, ...]) -> None:
        await _settle(session, strength=_number(arguments, "strength"))

    async def _enabled(self, session: Session, arguments: tuple[Any, ...]) -> None:
        await _settle(session, enabled=_flag(arguments, "enabled"))

    async def _compare(self, session: Session, arguments: tuple[Any, ...]) -> None:
        holding = _flag(arguments, "compare")
        held, self._held = self._held, session if holding else None
        if held is not self._held:
            for each, on in ((held, False), (self._held, True)):
                if each is not None:
                    each.live.compare(on)
                    each.changed()

    async def _reference(self, session: Session, arguments: tuple[Any, ...]) -> None:
        await session.stills.take_reference()


async def _settle(session: Session, **patch: object) -> None:
    await session.wardrobe.change(session.wardrobe.settings.patched(patch))
    session.changed()


def _number(arguments: tuple[Any, ...], name: str) -> float:
    if len(arguments) != 1 or isinstance(arguments[0], bool) or not isinstance(arguments[0], (int, float)):
        raise RequestError(f"{name} takes one number, got {_shown(arguments)}")
    return float(arguments[0])


def _flag(arguments: tuple[Any, ...], name: str) -> bool:
    if len(arguments) != 1 or arguments[0] not in (0, 1):
        raise RequestError(f"{name} takes 0, 1, true or false, got {_shown(arguments)}")
    return bool(arguments[0])


def _shown(arguments: tuple[Any, ...]) -> str:
    return repr(arguments)[:80]
