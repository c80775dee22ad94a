"""The sessions of a server by id, in memory or on disk, and the check of who may use them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
import time
from dataclasses import replace

from stream.errors import (
    AuthError,
    CapacityError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RequestError,
)
from stream.refused import refused
from stream.session.admission import Load
from stream.session.services import Services
from stream.session.session import Session
from stream.storage.errors import StorageError
from stream.storage.keys import GRANTS, Keys, Right

logger = logging.getLogger(__name__)

WEIGH_S = 1.0  # interval at which the load of the sessions is measured
SWEEP_S = 10.0  # interval at which idle sessions are looked for
SPARED_S = 60.0  # a session idle for less is never given up for a new one
KEPT_S = 600.0  # the same limit for a session that lives in memory only and holds work
EXPIRE_S = 3600.0  # interval at which old sessions are deleted from the disk
ROOM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
MAY: dict[Right, str] = {"own": "control", "edit": "edit", "publish": "publish", "view": "watch"}


class SessionStore:
    """The sessions of a server by id.

    A full store gives up the session that was idle longest before it refuses a new one. With
    `Services.storage` that session stays on disk until it is asked for again, and so does every session when
    the server stops. Without storage, a session that holds somebody's work is given up only after `KEPT_S`.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._sessions: dict[str, Session] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._weigher: asyncio.Task[None] | None = None
        self._waking = asyncio.Lock()
        self._placing = asyncio.Lock()  # held from counting the sessions until a further one is among them

    def start(self) -> None:
        """Start the tasks that end expired sessions and measure the load."""
        self._sweeper = asyncio.create_task(self._sweep())
        self._weigher = asyncio.create_task(self._weigh())

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def sessions(self) -> list[Session]:
        """All sessions in memory."""
        return list(self._sessions.values())

    async def open(self, *, pinned: bool = False) -> tuple[Session, str]:
        """Open a new session. It is also written to disk if there is a store.

        Args:
            pinned: whether the session is kept without peers.

            Returns:
                The session and its owner's token.

        Raises:
            CapacityError: as many sessions as allowed are in use.
        """
        async with self._placing:
            await self._make_place()
            keys, token = Keys.issue()
            session = Session(self._services, keys, pinned=pinned)
            self._add(session)
        self._services.registry.count("sessions")
        await session.saver.saved()
        return session, token

    async def _make_place(self) -> None:
        limit = self._services.config.max_sessions
        if len(self._sessions) < limit:
            return
        unused = (session for session in self._sessions.values() if session.idle_s >= self._spared_s(session))
        idlest = max(unused, key=lambda session: session.idle_s, default=None)
        if idlest is None:
            refused.note("sessions")
            raise CapacityError(
                f"all {limit} sessions are in use", "try again in a moment, or raise --max-sessions"
            )
        await self.release(idlest)

    def _spared_s(self, session: Session) -> float:
        """How long a session must be idle before it is given up for a new one, seconds."""
        return KEPT_S if self._services.storage is None and session.holds_work else SPARED_S

    def _add(self, session: Session) -> None:
        self._sessions[session.id] = session
        if self._services.storage is not None:
            self._services.storage.live.add(session.id)
        logger.info("session %s opened (%d in use)", session.id[:6], len(self._sessions))

    async def wake(self, session_id: str, token: str | None) -> None:
        """Read a session back from disk if it is stored there and the token belongs to it.

        Raises:
            CapacityError: as many sessions as allowed are in use, or the session cannot be read.
        """
        storage = self._services.storage
        if storage is None or session_id in self._sessions or not token:
            return
        async with self._waking, self._placing:
            keys = storage.keys(session_id)
            if session_id in self._sessions or keys is None or keys.right(token) is None:
                return
            await self._make_place()
            try:
                stored = await storage.run(storage.read, session_id)
            except StorageError as exc:
                raise CapacityError(
                    f"the session cannot be read back: {exc}", "try again in a moment"
                ) from exc
            if stored is None:
                return
            session = Session(self._services, stored.keys, session_id=session_id)
            session.restore(stored)
            self._add(session)

    def find(self, session_id: str, token: str | None, right: Right = "own") -> Session:
        """Return the session if the token allows `right`.

        Args:
            session_id: id from the address.
            token: bearer token or query parameter.
            right: what the token must allow (see `storage.keys`).

        Raises:
            NotFoundError: there is no such session.
            AuthError: there is no token, or it does not belong to the session.
            ForbiddenError: the token belongs to the session but does not allow `right`.
        """
        session = self._sessions.get(session_id)
        storage = self._services.storage
        if session is not None:
            keys: Keys | None = session.keys
        else:
            keys = storage.keys(session_id) if storage is not None else None
        if keys is None:
            raise self._unknown(session_id)
        if not token:
            raise AuthError("a token is needed", "send Authorization: Bearer TOKEN")
        held = keys.right(token)
        if held is None:
            raise AuthError("the token does not belong to this session")
        if session is None:
            raise self._unknown(session_id)
        if right not in GRANTS[held]:
            raise ForbiddenError(
                f"this token may {MAY[held]} but not {MAY[right]}", "ask the session's owner for the other"
            )
        return session

    def in_room(self, room: str) -> str | None:
        """Id of the session that can be watched under the name `room`. None if the name is free."""
        live = next((session.id for session in self._sessions.values() if session.keys.room == room), None)
        storage = self._services.storage
        if live is not None or storage is None:
            return live
        kept = storage.in_room(room)
        return None if kept in self._sessions else kept  # that session was renamed, which is not on disk yet

    async def name_room(self, session: Session, room: object) -> None:
        """Give a session a room name, under which it can also be watched. None removes the name.

        Raises:
            RequestError: the name cannot be part of an address.
            ConflictError: another session has the name.
        """
        if room is not None and (not isinstance(room, str) or not ROOM.fullmatch(room)):
            raise RequestError(
                f"a room's name must have 1 to 40 letters, digits, hyphens or underscores, got {room!r}"
            )
        if room is not None and self.in_room(room) not in (None, session.id):
            raise ConflictError(f"the room {room!r} is another session's", "choose another name")
        session.keys = replace(session.keys, room=room)
        session.changed()

    def _unknown(self, session_id: str) -> NotFoundError:
        storage = self._services.storage
        if storage is not None and session_id in storage.lost:
            return NotFoundError(
                "this session's entry on the disk was damaged and could not be read back", "open a new one"
            )
        kept = "the server restarted" if storage is None else "it was deleted after it lay unused for long"
        return NotFoundError("there is no such session", f"it ended, or {kept}; open a new one")

    async def end(self, session: Session) -> None:
        """Close a session and delete everything stored of it.

        Raises:
            CapacityError: something could not be deleted.
        """
        storage = self._services.storage
        async with self._waking:
            await session.saver.stop()
            await self._close(session)
            if storage is None:
                return
            try:
                await storage.run(storage.forget, session.id)
            except StorageError as exc:
                raise CapacityError(f"the session's pictures could not be deleted: {exc}") from exc

    async def release(self, session: Session) -> None:
        """Close a session. With a store it stays on disk; without one it ends."""
        storage = self._services.storage
        if storage is None:
            await self.end(session)
            return
        await session.saver.saved()
        await session.saver.stop()
        await self._close(session, "the server let go of the session")
        with contextlib.suppress(StorageError):  # only the time of last use is lost
            await storage.run(storage.sleep, session.id)

    async def _close(self, session: Session, said: str = "the session ended") -> None:
        self._sessions.pop(session.id, None)
        if self._services.storage is not None:
            self._services.storage.live.discard(session.id)
        await session.close(said)

    async def close(self) -> None:
        """Stop the background tasks and release all sessions."""
        for task in (self._sweeper, self._weigher):
            if task is not None:
                task.cancel()
        await asyncio.gather(*(self.release(session) for session in self.sessions))

    async def _weigh(self) -> None:
        while True:
            await asyncio.sleep(WEIGH_S)
            live = [session for session in self.sessions if session.connections.expecting]
            admission = self._services.admission
            admission.sample([Load(session.connections, *session.live.metrics.load()) for session in live])
            for session in live:
                session.live.hold_back(admission.most_fps(session.connections))

    async def _sweep(self) -> None:
        expire_s = time.monotonic() + EXPIRE_S
        while True:
            await asyncio.sleep(SWEEP_S)
            for session in self.sessions:
                if session.idle_s > self._services.config.lifetime_s:
                    logger.info("session %s was unused for %.0f s", session.id[:6], session.idle_s)
                    await self.release(session)
                elif session.saver.problem is not None:
                    session.saver.soon()  # perhaps there is room again
            if time.monotonic() > expire_s:
                expire_s = time.monotonic() + EXPIRE_S
                await self._expire()

    async def _expire(self) -> None:
        storage = self._services.storage
        if storage is None:
            return
        try:
            for session in self.sessions:
                await storage.run(storage.touch, session.id)
            await storage.run(storage.expire)
        except StorageError as exc:
            logger.warning("old sessions could not be deleted: %s", exc)


def same(given: str, wanted: str) -> bool:
    """Whether two secrets are equal, in time that does not depend on where they differ."""
    return secrets.compare_digest(given.encode(), wanted.encode())
