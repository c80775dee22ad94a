"""Stores sessions in a folder for a limited time and size.

A session is written in this order: its pictures, its row in one transaction, a copy of the row beside the
pictures. Then the pictures of earlier states are deleted. A crash at any moment leaves the state before or
after.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from correspondence import Image
from reference.keyframes.keyframe import number_from
from stream.errors import StartError
from stream.storage.config import StorageConfig
from stream.storage.database import Database, Row, storage_error
from stream.storage.disk import make_folder, write_file
from stream.storage.errors import DamagedError, StorageError
from stream.storage.keys import Keys
from stream.storage.pictures import ROW_COPY, PictureFolder
from stream.storage.record import PictureKey, Reading, Snapshot, to_record

logger = logging.getLogger(__name__)

T = TypeVar("T")
DATABASE = "livery.db"
FOLDER = "livery-sessions"
SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
MOST_SESSIONS = 10_000  # stored, however small; their keys are in memory
NEARLY_FULL = 0.8  # share of the size limit from which owners are told
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A stored session: keys, looks, and sentences for the user about parts that could not be read."""

    keys: Keys
    snapshot: Snapshot
    problems: tuple[str, ...]


class Storage:
    """Stores sessions. Methods that use the disk run on the store's own thread (see `run`).

    Args:
        config: where and how long.

    Raises:
        StartError: the folder cannot be written to, or another server uses it.
    """

    def __init__(self, config: StorageConfig) -> None:
        self.config = config
        self.live: set[str] = set()  # sessions in use; they are never deleted to make space
        self._sessions = config.folder / FOLDER
        self._names: dict[str, dict[PictureKey, str]] = {}  # names of the stored pictures of sessions in use
        self._rows: dict[str, Row] = {}  # without their records
        self._lock = threading.Lock()  # held by the work that runs
        try:
            make_folder(config.folder)
            make_folder(self._sessions)
            self._database = self._open()
            self.lost = self._database.lost()
            self._index()
        except (OSError, sqlite3.Error) as exc:
            why = (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
            raise StartError(
                f"nothing can be kept in {config.folder} ({why}): name a folder that this user may write to "
                "with --data, or keep sessions in memory only with --no-store"
            ) from exc
        number_from(int(time.time() * 10))  # above all ids of earlier processes
        self._thread = ThreadPoolExecutor(1, "storage")
        self.expire()

    def _open(self) -> Database:
        path = self.config.folder / DATABASE
        try:
            return Database(path)
        except sqlite3.DatabaseError as exc:
            if isinstance(exc, sqlite3.OperationalError):
                raise
            logger.error("%s is damaged (%s); sessions are read back from their own folders", path, exc)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.replace(path.with_name(f"{DATABASE}.damaged-{int(time.time())}"))
        database = Database(path)
        for folder in session_folders(self.config.folder):
            try:
                database.write(_copied(folder))
            except DamagedError as exc:
                logger.error("session %s is lost: %s", folder.name[:6], exc)
                database.note_lost(folder.name)
        return database

    def _index(self) -> None:
        """Read what is stored, repair damage, and delete pictures that belong to no session."""
        for session in list(self._database.ids()):
            row = self._row(session)
            if row is None:
                self._database.note_lost(session)
                self.lost = self._database.lost()
            else:
                self._rows[session] = replace(row, record={})
        for folder in session_folders(self.config.folder):
            if folder.name not in self._rows:
                PictureFolder(folder).delete()

    def _row(self, session: str) -> Row | None:
        """Return a session's row, or its copy if the row is damaged. None if neither can be used."""
        try:
            return self._database.read(session)
        except (DamagedError, sqlite3.DatabaseError) as exc:
            logger.warning("session %s: %s; its copy is used", session[:6], exc)
        try:
            return _copied(self._sessions / session)
        except DamagedError as exc:
            logger.error("session %s is lost: %s", session[:6], exc)
            return None

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Run work on the store's thread.

        Raises:
            StorageError: the disk or the database failed.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, partial(self._guarded, work, *arguments)
        )

    def _guarded(self, work: Callable[..., T], *arguments: object) -> T:
        with self._lock:
            try:
                return work(*arguments)
            except (OSError, sqlite3.Error) as exc:
                raise storage_error(exc) from exc

    def keys(self, session: str) -> Keys | None:
        """Return the keys of a stored session. None if it is not stored. This does not use the disk."""
        row = self._rows.get(session)
        return None if row is None else row.keys

    def in_room(self, room: str) -> str | None:
        """Return the id of the session that has this room name, or None. This does not use the disk."""
        return next((row.id for row in self._rows.values() if row.keys.room == room), None)

    def write(self, session: str, keys: Keys, snapshot: Snapshot) -> None:
        """Store the present state of a session. It is on disk on return.

        Raises:
            StorageError: there is no space for it.
            OSError, sqlite3.Error: the disk or the database failed. The earlier state is kept.
        """
        folder = PictureFolder(self._sessions / session)
        known = self._names.get(session, {})
        names: dict[PictureKey, str] = {}

        def put(key: PictureKey, image: Image) -> str:
            names[key] = known.get(key) or folder.write(image)
            return names[key]

        record = to_record(snapshot, put)
        size = sum(folder.size(name) for name in set(names.values()))
        self._make_room(session, size)
        before, now_s = self._rows.get(session), time.time()
        row = Row(session, keys, record, size, before.created_s if before else now_s, now_s)
        self._database.write(row)
        self._rows[session] = replace(row, record={})
        self._names[session] = names
        make_folder(folder.path)
        write_file(folder.path / ROW_COPY, row.to_text().encode(), sync=False)
        folder.keep_only(set(names.values()))

    def _make_room(self, session: str, size: int) -> None:
        """Delete the sessions that were unused longest until `size` bytes fit, and one session more.

        If they are too many, those without pictures go first, so that a crowd drives nobody's work out.
        """
        most = self.config.max_mib * 2**20
        others = [row for row in self._rows.values() if row.id != session]
        if (spare := len(others) + 1 - MOST_SESSIONS) > 0:
            idle = (row for row in others if row.id not in self.live)
            for row in sorted(idle, key=lambda row: (row.size > 0, row.used_s))[:spare]:
                self.forget(row.id)
            others = [row for row in others if row.id in self._rows]
        total = size + sum(row.size for row in others)
        if total > NEARLY_FULL * most:
            logger.warning("the store holds %d of %d MiB", total / 2**20, most / 2**20)
        for row in sorted(others, key=lambda row: row.used_s):
            if total <= most:
                return
            if row.id not in self.live:
                logger.warning("session %s is deleted: the store is full, it was unused longest", row.id[:6])
                self.forget(row.id)
                total -= row.size
        if total > most:
            raise StorageError(
                f"the store is full ({self.config.max_mib} MiB, all of it in use): end a session, or start "
                "the server with a larger --data-mib; until then changes are kept in memory only"
            )

    def read(self, session: str) -> Stored | None:
        """Read a stored session. None if it is not stored.

        Raises:
            StorageError: the disk cannot read it.
        """
        row = self._row(session)
        if row is None:
            return None
        reading = Reading(row.record, PictureFolder(self._sessions / session).read)
        snapshot = reading.snapshot()
        self._names[session] = reading.names
        for problem in reading.problems:
            logger.warning("session %s: %s", session[:6], problem)
        return Stored(row.keys, snapshot, tuple(reading.problems))

    def touch(self, session: str) -> None:
        """Note that a session is in use now."""
        row = self._rows.get(session)
        if row is not None:
            self._rows[session] = replace(row, used_s=time.time())
            self._database.touch(session, self._rows[session].used_s)

    def forget(self, session: str) -> None:
        """Delete a session with its pictures."""
        self._database.delete(session)
        PictureFolder(self._sessions / session).delete()
        self._rows.pop(session, None)
        self._names.pop(session, None)
        self.lost.pop(session, None)

    @property
    def stored(self) -> list[str]:
        """Ids of all stored sessions. This does not use the disk."""
        return list(self._rows)

    def adopt(self, folder: Path) -> None:
        """Take over a session from another store, by moving its folder into this one.

        The other store must have given it up with `give`, or its server must have ended.

        Args:
            folder: the session's folder, on the same file system. Its name is the session's id.

        Raises:
            DamagedError: its entry cannot be used. It stays where it is.
            StorageError: there is no space for it.
            OSError, sqlite3.Error: it cannot be moved.
        """
        row = _copied(folder)
        self._make_room(row.id, row.size)
        number_from(int(time.time() * 10))  # above the ids that the other server gave
        self._database.write(row)
        try:
            folder.rename(self._sessions / row.id)
        except OSError:
            self._database.delete(row.id)
            raise
        self._rows[row.id] = replace(row, record={})

    def give(self, session: str) -> Path:
        """Give a session that is not in use up to another store. Its folder is left as it is.

        Returns:
            The folder, for the other store's `adopt`.

        Raises:
            DamagedError: it is not stored.
        """
        if session not in self._rows:
            raise DamagedError("it is not stored")
        self._database.delete(session)
        self._rows.pop(session, None)
        self._names.pop(session, None)
        return self._sessions / session

    def sleep(self, session: str) -> None:
        """Note that a session is no longer in use. It stays on disk."""
        self._names.pop(session, None)
        self.touch(session)

    def expire(self) -> list[str]:
        """Delete sessions that were unused for too long. Returns their ids."""
        before_s = time.time() - self.config.keep_days * DAY_S
        old = [row.id for row in self._rows.values() if row.used_s < before_s and row.id not in self.live]
        for session in old:
            logger.info("session %s is deleted: unused for %g days", session[:6], self.config.keep_days)
            self.forget(session)
        for session, at_s in list(self.lost.items()):
            if at_s < before_s:
                self.forget(session)
        for path in self.config.folder.glob(f"{DATABASE}.damaged-*"):
            if path.stat().st_mtime < before_s:
                path.unlink()
        return old

    @property
    def nearly_full(self) -> bool:
        """Whether sessions will soon be deleted for lack of space."""
        return sum(row.size for row in self._rows.values()) > NEARLY_FULL * self.config.max_mib * 2**20

    def close(self) -> None:
        """Finish pending work and close the database."""
        self._thread.shutdown()
        self._database.close()


def session_folders(folder: Path) -> list[Path]:
    """Return the folders of all sessions in a store's folder, for `Storage.adopt`."""
    inside = folder / FOLDER
    if not inside.is_dir():
        return []
    named = (path for path in inside.iterdir() if SESSION_ID.fullmatch(path.name))
    return [path for path in named if path.is_dir() and not path.is_symlink()]


def _copied(folder: Path) -> Row:
    """Return the copy of a session's row that lies beside its pictures."""
    try:
        row = Row.from_text((folder / ROW_COPY).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise DamagedError("its entry cannot be read") from exc
    if row.id != folder.name:
        raise DamagedError("its entry is another session's")
    return row


def discard(folder: Path) -> None:
    """Delete a store whose sessions were all adopted by others. Anything else in its folder stays."""
    if session_folders(folder):
        return
    for path in folder.glob(f"{DATABASE}*"):
        path.unlink(missing_ok=True)
    for path in (folder / FOLDER, folder):
        with contextlib.suppress(OSError):  # something else lies in it
            path.rmdir()
