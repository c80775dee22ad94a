"""The index of kept sessions: one SQLite file, versioned, and what is done where it is damaged."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stream.errors import StartError
from stream.storage.errors import DamagedError, StorageError
from stream.storage.keys import Keys
from stream.storage.record import Record

logger = logging.getLogger(__name__)

MIGRATIONS = (  # each brings the database from the version of its place to the next
    """
    CREATE TABLE session (
        id TEXT PRIMARY KEY, keys TEXT NOT NULL, record TEXT NOT NULL, digest TEXT NOT NULL,
        bytes INTEGER NOT NULL, created_s REAL NOT NULL, used_s REAL NOT NULL
    );
    CREATE TABLE lost (id TEXT PRIMARY KEY, at_s REAL NOT NULL);
    """,
)
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Row:
    """One session of the database.

    Attributes:
        id: of the session.
        keys: who may use it.
        record: its looks, see `storage.record`.
        size: of its pictures, bytes.
        created_s, used_s: since 1970.
    """

    id: str
    keys: Keys
    record: Record
    size: int
    created_s: float
    used_s: float

    def to_text(self) -> str:
        """The row as JSON with its digest, as `from_text` takes it."""
        return json.dumps({"row": _body(self), "digest": _digest(self)})

    @classmethod
    def from_text(cls, text: str) -> Row:
        """A row from `to_text`.

        Raises:
            DamagedError: it is something else, or its contents changed.
        """
        try:
            value = json.loads(text)
            body = value["row"]
            row = cls(
                str(body["id"]), Keys.from_json(body["keys"]), dict(body["record"]), int(body["size"]),
                float(body["created_s"]), float(body["used_s"]),
            )  # fmt: skip
            digest = value["digest"]
        except (KeyError, TypeError, ValueError) as exc:
            raise DamagedError("its entry is damaged") from exc
        if digest != _digest(row):
            raise DamagedError("its entry is damaged")
        return row


def _body(row: Row) -> Record:
    return {
        "id": row.id, "keys": row.keys.to_json(), "record": row.record, "size": row.size,
        "created_s": row.created_s, "used_s": row.used_s,
    }  # fmt: skip


def _digest(row: Row) -> str:
    keys = row.keys.to_json()
    if keys["room"] is None:  # as it was before there were rooms
        del keys["room"]
    text = json.dumps([row.id, keys, row.record], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Database:
    """The open database; one thread at a time. Only this process can use it while it is open.

    Args:
        path: its file; made where it is missing.

    Raises:
        StartError: another server uses it, or it is of a newer Livery.
        sqlite3.DatabaseError: it is damaged.
        OSError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0.5)
        try:
            self._open(path)
        except BaseException:
            self._db.close()
            raise

    def _open(self, path: Path) -> None:
        try:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("BEGIN IMMEDIATE")  # takes the lock, which stays until it is closed
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as exc:
            if "locked" in str(exc):
                raise StartError(
                    f"{path.parent} is used by another Livery server; stop that one, or give this one "
                    "another folder with --data, or --no-store"
                ) from exc
            raise
        for pragma in ("synchronous = FULL", "secure_delete = ON", "foreign_keys = ON"):
            self._db.execute(f"PRAGMA {pragma}")
        found = self._db.execute("PRAGMA quick_check").fetchall()
        if found != [("ok",)]:
            raise sqlite3.DatabaseError(f"damaged: {found[0][0]}")
        self._migrate(path)

    def _migrate(self, path: Path) -> None:
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version > len(MIGRATIONS):
            raise StartError(
                f"{path} was written by a newer Livery (version {version}, this one knows "
                f"{len(MIGRATIONS)}); update Livery, or give another folder with --data"
            )
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            with self._transaction():
                for statement in filter(str.strip, script.split(";")):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {number}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All that the block does, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # it was taken back already
                self._db.execute("ROLLBACK")
            raise

    def ids(self) -> Iterator[str]:
        """Every session's id."""
        for (session,) in self._db.execute("SELECT id FROM session"):
            yield str(session)

    def read(self, session: str) -> Row | None:
        """One session; None where there is none.

        Raises:
            DamagedError: its entry cannot be used.
            sqlite3.DatabaseError: the database is damaged there.
        """
        columns = "keys, record, digest, bytes, created_s, used_s"
        found = self._db.execute(f"SELECT {columns} FROM session WHERE id = ?", (session,)).fetchone()
        if found is None:
            return None
        keys, record, digest, size, created_s, used_s = found
        try:
            row = Row(
                session, Keys.from_json(json.loads(keys)), dict(json.loads(record)), int(size),
                float(created_s), float(used_s),
            )  # fmt: skip
        except (TypeError, ValueError) as exc:
            raise DamagedError("its entry is damaged") from exc
        if digest != _digest(row):
            raise DamagedError("its entry is damaged")
        return row

    def write(self, row: Row) -> None:
        """Put a session in, or in place of its old self; on the disk when this returns."""
        keys, record = json.dumps(row.keys.to_json()), json.dumps(row.record)
        values = (row.id, keys, record, _digest(row), row.size, row.created_s, row.used_s)
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def touch(self, session: str, used_s: float) -> None:
        """Note when a session was used last."""
        with self._transaction():
            self._db.execute("UPDATE session SET used_s = ? WHERE id = ?", (used_s, session))

    def delete(self, session: str) -> None:
        """Take a session out; nothing of it stays in the file."""
        with self._transaction():
            self._db.execute("DELETE FROM session WHERE id = ?", (session,))
            self._db.execute("DELETE FROM lost WHERE id = ?", (session,))
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def note_lost(self, session: str) -> None:
        """Remember that a session's entry could not be used, so that its owner can be told."""
        with self._transaction():
            self._db.execute("DELETE FROM session WHERE id = ?", (session,))
            self._db.execute("INSERT OR REPLACE INTO lost VALUES (?, ?)", (session, time.time()))

    def lost(self) -> dict[str, float]:
        """Sessions whose entries could not be used, and when that was found out, since 1970."""
        return {str(k): float(v) for k, v in self._db.execute("SELECT id, at_s FROM lost")}

    def close(self) -> None:
        """Close it; everything is in its one file then."""
        self._db.close()


def storage_error(exc: Exception) -> StorageError:
    """What went wrong with the disk or the database, in words for the user."""
    text = (exc.strerror or str(exc)) if isinstance(exc, OSError) else str(exc)
    if "disk is full" in text or (isinstance(exc, OSError) and exc.errno in FULL):
        return StorageError("the disk is full: free some space; until then changes are kept in memory only")
    return StorageError(f"the store cannot be written ({text}): changes are kept in memory only")
