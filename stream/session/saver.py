"""Saves the newest state of a session to disk, beside the live path and one write at a time."""

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
    """Writes snapshots of one session. Without a store nothing is written.

    Args:
        storage: where snapshots are written. None means that sessions live in memory only.
        session: id of the session.
        take: returns the session's keys and a snapshot. It is quick and is called on the event loop.
        changed: called on the event loop when `problem` has changed.
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
        self._next: asyncio.Task[None] | None = None  # writes the state at the time it begins
        self._writing = asyncio.Lock()
        self._written: object = None
        self._stopped = False

    def soon(self) -> None:
        """Schedule a write of the present state."""
        if self._storage is None or self._stopped:
            return
        if self._next is None:
            self._next = asyncio.create_task(self._write(self._storage))

    async def saved(self) -> None:
        """Wait until the present state is on disk, or until `problem` says why it is not."""
        self.soon()
        if self._next is not None:
            await asyncio.shield(self._next)

    async def _write(self, storage: Storage) -> None:
        async with self._writing:
            self._next = None  # later changes belong to the next write
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
        """Write nothing more. Returns when the last write is over."""
        self._stopped = True
        async with self._writing:
            pass

    def describe(self) -> Message | None:
        """Describe how the session is stored, for its page. None if it lives in memory only."""
        storage = self._storage
        if storage is None:
            return None
        return {
            "keep_days": storage.config.keep_days,
            "problem": self.problem,
            "nearly_full": storage.nearly_full,
        }
