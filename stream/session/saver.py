"""Keeps a session on disk behind its live path: the newest state, one write at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from stream.events import Message
from stream.storage.errors import StorageError
from stream.storage.keys import Keys
from stream.storage.record import Snapshot
from stream.storage.storage import Storage

logger = logging.getLogger(__name__)


class Saver:
    """Writes snapshots of one session; nothing is written where there is no store.

    Args:
        storage: where to; None: sessions live in memory only.
        session: its id.
        take: makes a snapshot and its keys, on the loop; quick.
        changed: called on the loop when `problem` has changed.
    """

    def __init__(
        self,
        storage: Storage | None,
        session: str,
        take: Callable[[], tuple[Keys, Snapshot]],
        changed: Callable[[], None],
    ) -> None:
        self.problem: str | None = None  # why the newest state is not on the disk
        self._storage, self._session, self._take, self._changed = storage, session, take, changed
        self._next: asyncio.Task[None] | None = None  # will write what is the state when it begins
        self._writing = asyncio.Lock()
        self._written: object = None
        self._stopped = False

    def soon(self) -> None:
        """Write the state of now, in a moment."""
        if self._storage is None or self._stopped:
            return
        if self._next is None:
            self._next = asyncio.create_task(self._write(self._storage))

    async def saved(self) -> None:
        """Return when the state of now is on the disk, or `problem` says why it is not."""
        self.soon()
        if self._next is not None:
            await asyncio.shield(self._next)

    async def _write(self, storage: Storage) -> None:
        async with self._writing:
            self._next = None  # what changes from now on is the next one's
            if self._stopped:
                return
            keys, snapshot = self._take()
            mark = (keys, snapshot.mark)
            if mark == self._written:
                return
            before = self.problem
            try:
                await storage.run(storage.write, self._session, keys, snapshot)
            except StorageError as exc:
                self.problem = str(exc)
                if before is None:
                    logger.warning("session %s is not kept: %s", self._session[:6], exc)
            else:
                self._written, self.problem = mark, None
            if self.problem != before:
                self._changed()

    async def stop(self) -> None:
        """Write nothing more; returns when the last write is over."""
        self._stopped = True
        async with self._writing:
            pass

    def describe(self) -> Message | None:
        """How the session is kept, for its page; None in memory only."""
        storage = self._storage
        if storage is None:
            return None
        return {
            "keep_days": storage.config.keep_days,
            "problem": self.problem,
            "nearly_full": storage.nearly_full,
        }
