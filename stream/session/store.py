"""The sessions of a server, in memory, by id; and who may do what with them."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Literal

from stream.errors import AuthError, CapacityError, ForbiddenError, NotFoundError
from stream.session.services import Services
from stream.session.session import Session

logger = logging.getLogger(__name__)

SWEEP_S = 10.0  # how often idle sessions are looked for
SPARED_S = 60.0  # a session idle for less is not given up for a new one
Right = Literal["own", "view"]


class SessionStore:
    """Sessions by id.

    A full store gives up the session idle longest before it refuses a new one.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._sessions: dict[str, Session] = {}
        self._sweeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to end sessions whose lifetime is over."""
        self._sweeper = asyncio.create_task(self._sweep())

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def sessions(self) -> list[Session]:
        """All sessions."""
        return list(self._sessions.values())

    async def open(self, *, pinned: bool = False) -> Session:
        """A new session.

        Args:
            pinned: it is kept without peers.

        Raises:
            CapacityError: as many sessions as allowed are in use.
        """
        limit = self._services.config.max_sessions
        if len(self._sessions) >= limit:
            idlest = max(self._sessions.values(), key=lambda session: session.idle_s)
            if idlest.idle_s < SPARED_S:
                raise CapacityError(
                    f"all {limit} sessions are in use", "try again in a moment, or raise --max-sessions"
                )
            await self.end(idlest)
        session = Session(self._services, pinned=pinned)
        self._sessions[session.id] = session
        self._services.registry.count("sessions")
        logger.info("session %s opened (%d of %d)", session.id[:6], len(self._sessions), limit)
        return session

    def find(self, session_id: str, token: str | None, right: Right = "own") -> Session:
        """The session, where the token allows `right`.

        Args:
            session_id: of the address.
            token: bearer token or query parameter.
            right: "own" wants the owner's token, "view" takes the viewers' as well.

        Raises:
            NotFoundError: no such session.
            AuthError: no token, or one that does not belong to it.
            ForbiddenError: a viewers' token where the owner's is needed.
        """
        session = self._sessions.get(session_id)
        if session is None:
            raise NotFoundError(
                "there is no such session", "it ended, or the server restarted; open a new one"
            )
        if not token:
            raise AuthError("a token is needed", "send Authorization: Bearer TOKEN")
        owner = same(token, session.token)
        viewer = same(token, session.view_token)
        if not owner and not viewer:
            raise AuthError("the token does not belong to this session")
        if right == "own" and not owner:
            raise ForbiddenError(
                "this token may watch but not control", "ask the session's owner for the other"
            )
        return session

    async def end(self, session: Session) -> None:
        """Close a session and forget it."""
        self._sessions.pop(session.id, None)
        await session.close()

    async def close(self) -> None:
        """End everything."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        await asyncio.gather(*(self.end(session) for session in self.sessions))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            for session in self.sessions:
                if session.idle_s > self._services.config.lifetime_s:
                    logger.info("session %s was unused for %.0f s", session.id[:6], session.idle_s)
                    await self.end(session)


def same(given: str, wanted: str) -> bool:
    """Whether two secrets are equal, in time that does not depend on where they differ."""
    return secrets.compare_digest(given.encode(), wanted.encode())
