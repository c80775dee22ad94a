"""The recordings of one session: begin, pause, end, list, lend and delete."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from correspondence import Image
from reference import Outfit
from stream.errors import ConflictError, NotFoundError, RequestError
from stream.events import Message
from stream.filling.types import Worker
from stream.media.probe import MediaError
from stream.processes import remove_folder
from stream.recording.config import RecordConfig, size_in
from stream.recording.recorder import Recorder

NAME = re.compile(r"\d{8}-\d{6}-[\w-]{1,6}(?:-\d+)?")
FILM = re.compile(r"(?:live|refined)(?:-\d+)?\.mp4")  # films that can be played and downloaded
LENT_S = 600.0  # how long a secret of a file is valid
MOST_LENT = 64
MOST_RECORDINGS = 200  # of one session
T = TypeVar("T")


class Shelf:
    """Holds the recordings of one session. Frames may come from any thread; all else runs on the event loop.

    Args:
        config: settings. None means that nothing can be recorded.
        worker: edits recordings anew.
        executor: runs disk operations.
        session: id of the session.
        changed: called on the event loop when anything but length and size has changed.
    """

    def __init__(
        self,
        config: RecordConfig | None,
        worker: Worker | None,
        executor: Executor,
        session: str,
        changed: Callable[[], None],
    ) -> None:
        self.names: list[str] = []  # names of the recordings, oldest first
        self.recorder: Recorder | None = None  # the recording that runs
        self.error = ""  # why a recording that should run does not
        self._config, self._worker, self._executor = config, worker, executor
        self._session, self._changed = session, changed
        self._before: dict[str, Recorder] = {}  # ended recordings, whose pieces may still be edited anew
        self._worn: tuple[Outfit | None, bool, float, int] = (None, True, 1.0, 1)
        self._lent: dict[str, tuple[Path, float]] = {}
        self._turning = asyncio.Lock()

    @property
    def possible(self) -> bool:
        """Whether this server records."""
        return self._config is not None and self._worker is not None

    @property
    def always(self) -> bool:
        """Whether each session is recorded from its first frame."""
        return self._config is not None and self._config.always

    def source(self, image: Image, captured_s: float) -> None:
        """Record an arriving frame, uint8 (H, W, 3), if a recording runs."""
        if (recorder := self.recorder) is not None:
            recorder.source(image, captured_s)

    def live(self, image: Image, captured_s: float) -> None:
        """Record a picture that was sent, uint8 (H, W, 3), if a recording runs."""
        if (recorder := self.recorder) is not None:
            recorder.live(image, captured_s)

    def wear(self, outfit: Outfit | None, *, enabled: bool, strength: float, faces: int = 1) -> None:
        """Set what is worn from now on, and by how many people at most."""
        self._worn = (outfit, enabled, strength, faces)
        if (recorder := self.recorder) is not None:
            recorder.wear(outfit, enabled=enabled, strength=strength, faces=faces)

    async def begin(self) -> None:
        """Begin a recording.

        Raises:
            ConflictError: a recording runs, there are too many, this server does not record, or the folder
                cannot be made.
        """
        config, worker = self._config, self._worker
        if config is None or worker is None:
            raise ConflictError("this server records nothing", "start it with --record DIR")
        async with self._turning:
            if self.running:
                raise ConflictError("a recording runs already", "end it first")
            if len(self.names) >= MOST_RECORDINGS:
                raise ConflictError(f"this session has {MOST_RECORDINGS} recordings", "delete some of them")
            await self._put_away()
            try:
                recorder = await self._run(lambda: self._make(config, worker))
            except MediaError as exc:
                self.error = str(exc)
                raise ConflictError(f"nothing can be recorded: {exc}") from exc
            self.error = ""
            outfit, enabled, strength, faces = self._worn
            recorder.wear(outfit, enabled=enabled, strength=strength, faces=faces)
            self.names.append(recorder.folder.name)
            self.recorder = recorder
        self._changed()

    def _make(self, config: RecordConfig, worker: Worker) -> Recorder:
        stem = f"{datetime.now():%Y%m%d-%H%M%S}-{re.sub(r'[^A-Za-z0-9]', '_', self._session[:6])}"
        taken = {path.name for path in config.folder.glob(f"{stem}*")}
        names = (stem, *(f"{stem}-{number}" for number in range(2, 100)))
        return Recorder(config, next(name for name in names if name not in taken), worker)

    @property
    def running(self) -> bool:
        """Whether a recording runs, paused or not."""
        return self.recorder is not None and not self.recorder.broken

    def pause(self, on: bool) -> None:
        """Pause the recording or go on.

        Raises:
            ConflictError: no recording runs.
        """
        if self.recorder is None or not self.running:
            raise ConflictError("no recording runs", "begin one first")
        self.recorder.pause(on)

    async def end(self) -> None:
        """End the recording. Its pieces are edited anew in the background.

        Raises:
            ConflictError: no recording runs.
        """
        async with self._turning:
            if self.recorder is None:
                raise ConflictError("no recording runs", "begin one first")
            await self._put_away()
        self._changed()

    async def _put_away(self) -> None:
        recorder, self.recorder = self.recorder, None
        if recorder is not None:
            self._before[recorder.folder.name] = recorder
            await self._run(recorder.close)

    async def close(self) -> None:
        """End the recording that runs, if any."""
        async with self._turning:
            await self._put_away()

    async def delete(self, names: Iterable[str]) -> None:
        """Delete recordings with all their files, also files that are still being made.

        Raises:
            NotFoundError: this session has no such recording.
            ConflictError: a file cannot be deleted.
        """
        for name in list(names):
            folder = self._folder(name)
            async with self._turning:
                if self.recorder is not None and self.recorder.folder.name == name:
                    await self._put_away()
                before = self._before.pop(name, None)
                if before is not None:
                    before.abandon()
                try:
                    await self._run(lambda: _remove(folder))  # noqa: B023 - awaited here
                except OSError as exc:
                    raise ConflictError(f"{name} could not be deleted ({exc.strerror or exc})") from exc
                self.names.remove(name)
        self._changed()

    def _folder(self, name: str) -> Path:
        if self._config is None or name not in self.names or not NAME.fullmatch(name):
            raise NotFoundError(f"there is no recording {name[:60]!r} in this session")
        return self._config.folder / name

    async def entries(self) -> list[Message]:
        """List the recordings with their sizes and their films.

        Recordings whose folder is gone are left out.
        """
        return await self._run(self._list)

    def _list(self) -> list[Message]:
        return [self._entry(name) for name in self.names if self._folder(name).is_dir()]

    def _entry(self, name: str) -> Message:
        folder = self._folder(name)
        files = sorted(p for p in folder.iterdir() if FILM.fullmatch(p.name) and not p.is_symlink())
        running = self.recorder is not None and self.recorder.folder.name == name
        recorder = self._before.get(name)
        making = recorder is not None and recorder.status().waiting > 0
        left = any(folder.glob("piece-*.json"))
        state = "recording" if running else "refining" if making else "unfinished" if left else "ready"
        return {
            "name": name,
            "state": state,
            "bytes": size_in(folder),
            "files": [{"name": p.name, "bytes": p.stat().st_size} for p in files if p.stat().st_size],
        }

    async def lend(self, name: str, file: object) -> str:
        """Make a secret under which a file can be read for `LENT_S` seconds, because players send no headers.

        Raises:
            NotFoundError: there is no such recording or file.
            RequestError: `file` is not the name of a film.
        """
        folder = self._folder(name)
        if not isinstance(file, str) or not FILM.fullmatch(file):
            raise RequestError(f"file must be the name of a film of the recording, got {str(file)[:60]!r}")
        path = folder / file
        if not await self._run(lambda: path.is_file() and not path.is_symlink()):
            raise NotFoundError(f"{name} has no {file}")
        now_s = time.monotonic()
        self._lent = {k: v for k, v in self._lent.items() if v[1] > now_s and v[0].is_file()}
        while len(self._lent) >= MOST_LENT:
            self._lent.pop(next(iter(self._lent)))
        ticket = secrets.token_urlsafe(24)
        self._lent[ticket] = (path, now_s + LENT_S)
        return ticket

    def lent(self, ticket: str) -> Path | None:
        """Return the file of a secret that `lend` made. None if the secret is unknown or has expired."""
        path, until_s = self._lent.get(ticket, (None, 0.0))
        return path if time.monotonic() < until_s else None

    def describe(self) -> Message | None:
        """Describe the recording for everyone in the session. None if this server does not record."""
        if not self.possible:
            return None
        status = self.recorder.describe() if self.recorder is not None else {}
        error = str(status.get("error") or self.error)
        return {**status, "active": self.running, "count": len(self.names), "error": error}

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def _remove(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        remove_folder(folder)
