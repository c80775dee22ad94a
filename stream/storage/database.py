"""The index of stored sessions: one versioned SQLite file, and its repair."""

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

MIGRATIONS = (  # number n brings a database of version n to version n + 1
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
    """One session in the database.

    Attributes:
        id: id of the session.
        keys: who may use it.
        record: its looks, see `storage.record`.
        size: size of its pictures, bytes.
        created_s, used_s: when it was made and last used, seconds since 1970.
    """

    id: str
    keys: Keys
    record: Record
    size: int
    created_s: float
    used_s: float

    def to_text(self) -> str:
        """Return the row as JSON with its digest, in the form that `from_text` reads."""
        return json.dumps({"row": _body(self), "digest": _digest(self)})

    @classmethod
    def from_text(cls, text: str) -> Row:
        """Read a row that `to_text` made.

        Raises:
            DamagedError: it is something else, or its content has changed.
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
    if keys["room"] is None:  # the form of a version without rooms
        del keys["room"]
    text = json.dumps([row.id, keys, row.record], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Database:
    """The open database. Only one thread at a time may use it, and only this process while it is open.

    Args:
        path: the file; made if missing.

    Raises:
        StartError: another server uses the file, or a newer Livery wrote it.
        sqlite3.DatabaseError: the file is damaged.
        OSError: the file cannot be made.
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
            self._db.execute("BEGIN IMMEDIATE")  # takes the lock, which is held until `close`
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
        """Run the block in a transaction: all of it takes effect, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # it was rolled back already
                self._db.execute("ROLLBACK")
            raise

    def ids(self) -> Iterator[str]:
        """List the ids of all sessions."""
        for (session,) in self._db.execute("SELECT id FROM session"):
            yield str(session)

    def read(self, session: str) -> Row | None:
        """Return one session. None if there is no such session.

        Raises:
            DamagedError: its entry cannot be used.
            sqlite3.DatabaseError: the database is damaged at that place.
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
        """Add a session, or replace its earlier state. It is on disk on return."""
        keys, record = json.dumps(row.keys.to_json()), json.dumps(row.record)
        values = (row.id, keys, record, _digest(row), row.size, row.created_s, row.used_s)
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def touch(self, session: str, used_s: float) -> None:
        """Set the time at which a session was last used."""
        with self._transaction():
            self._db.execute("UPDATE session SET used_s = ? WHERE id = ?", (used_s, session))

    def delete(self, session: str) -> None:
        """Delete a session. Nothing of it stays in the file."""
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
        """Ids of sessions whose entries could not be used, with the time of that, seconds since 1970."""
        return {str(k): float(v) for k, v in self._db.execute("SELECT id, at_s FROM lost")}

    def close(self) -> None:
        """Close the database. Everything is in its one file then."""
        self._db.close()


def storage_error(exc: Exception) -> StorageError:
    """Turn an error of the disk or the database into a `StorageError` in words for the user."""
    text = (exc.strerror or str(exc)) if isinstance(exc, OSError) else str(exc)
    if "disk is full" in text or (isinstance(exc, OSError) and exc.errno in FULL):
        return StorageError("the disk is full: free some space; until then changes are kept in memory only")
    return StorageError(f"the store cannot be written ({text}): changes are kept in memory only")
