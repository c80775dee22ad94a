"""The pieces of one recording: each is edited anew in turn, and at last all are joined."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from stream.filling.types import JobError, Priority, Worker, WorkerClosedError
from stream.media.probe import MediaError
from stream.recording.files import join, playlist, size_of
from stream.recording.folder import write_whole
from stream.recording.render import RenderJob

logger = logging.getLogger(__name__)

RENDER_S = 600.0  # deadline of a piece


class Pieces:
    """Sends source pieces to the worker, one at a time and in order.

    Args:
        folder: folder of the recording.
        worker: edits the pieces.
        piece_s: length of a piece, seconds.
        most: most pieces that may wait.
    """

    def __init__(self, folder: Path, worker: Worker, piece_s: float, most: int) -> None:
        self._folder, self._worker, self._piece_s, self._most = folder, worker, piece_s, most
        self._lock = threading.Lock()
        self._waiting: list[RenderJob] = []
        self._busy = self._finishing = self._abandoned = False
        self._done: list[Path] = []
        self._failed = 0
        self._number = 0

    @property
    def full(self) -> bool:
        """Whether as many pieces wait as allowed."""
        return len(self._waiting) >= self._most

    def next_number(self) -> int:
        """Return the number of the next piece, from 1."""
        self._number += 1
        return self._number

    def counts(self) -> tuple[int, int, int]:
        """Number of pieces that are done, that wait or are being edited, and that failed."""
        with self._lock:
            return len(self._done), len(self._waiting) + self._busy, self._failed

    def add(self, job: RenderJob) -> None:
        """Add a piece. It is edited once the next piece has come, because it may use that one's keyframes."""
        with self._lock:
            if self._waiting and self._waiting[-1].mode == job.mode and self._waiting[-1].keyframes:
                last = self._waiting[-1]
                if set(last.keyframes) < set(job.keyframes):  # the same look, with keyframes made since
                    self._waiting[-1] = replace(last, keyframes=job.keyframes)
            self._waiting.append(job)
        self._go_on()

    def finish(self) -> None:
        """Say that no more pieces will come."""
        with self._lock:
            self._finishing = True
        self._go_on()

    def abandon(self) -> None:
        """Edit no more pieces, because the folder is deleted.

        It is deleted again if a running job writes to it.
        """
        with self._lock:
            self._abandoned = True
            self._waiting.clear()

    def _go_on(self) -> None:
        with self._lock:
            if self._busy or self._abandoned:
                return
            if len(self._waiting) <= (0 if self._finishing else 1):
                ended = self._finishing and not self._waiting
                job = None
            else:
                job, ended = self._waiting.pop(0), False
                self._busy = True
        if job is not None:
            self._submit(job)
        elif ended:
            self._end()

    def _submit(self, job: RenderJob) -> None:
        try:
            asked = self._worker.submit(Priority.RENDER, job, deadline_s=RENDER_S)
        except JobError as exc:
            self._settle(job, exc)
            return
        asked.future.add_done_callback(lambda future: self._settled(job, future))

    def _settled(self, job: RenderJob, future: Future[Any]) -> None:
        self._settle(job, future.exception())

    def _settle(self, job: RenderJob, error: BaseException | None) -> None:
        with self._lock:
            self._busy = False
            if self._abandoned:
                shutil.rmtree(self._folder, ignore_errors=True)
                return
            if error is None:
                self._done.append(self._folder / job.output)
            else:
                self._failed += 1
                level = logging.INFO if isinstance(error, WorkerClosedError) else logging.WARNING
                logger.log(
                    level, "%s stays: %s; `livery refine %s` makes it", job.source, error, self._folder
                )
            pieces = list(self._done)
        if error is None:
            forget(self._folder, job)
            text = playlist(pieces, self._piece_s, ended=False)
            try:
                write_whole(self._folder / "refined.m3u8", text.encode())
            except MediaError as exc:
                logger.warning("the pieces play one by one only: %s", exc)
        if not isinstance(error, WorkerClosedError):  # the rest is for `livery refine`
            threading.Thread(target=self._go_on, name="recording", daemon=True).start()

    def _end(self) -> None:
        if self._failed == 0 and self._done:
            try:
                finish(self._folder, made_pieces(self._folder))
            except MediaError as exc:
                logger.warning("the pieces stay apart: %s", exc)


def forget(folder: Path, job: RenderJob) -> None:
    """Remove the source of a finished piece."""
    if (folder / job.output).is_file():
        (folder / job.source).unlink(missing_ok=True)
        (folder / job.source.replace(".source.ts", ".json")).unlink(missing_ok=True)


def made_pieces(folder: Path) -> list[Path]:
    """Return the finished pieces of a recording, in order."""
    return sorted(p for p in folder.glob("piece-*.ts") if not p.name.endswith(".source.ts"))


def finish(folder: Path, pieces: Sequence[Path], *, keep: bool = False) -> list[Path]:
    """Join pieces into `refined.mp4`. Each change of picture size begins another file.

    Args:
        folder: folder of the recording.
        pieces: the pieces, in order.
        keep: whether the pieces stay, because more may come.

    Raises:
        MediaError: a piece cannot be read.
    """
    outputs: list[Path] = []
    for number, (_, group) in enumerate(groupby(pieces, key=size_of), 1):
        outputs.append(folder / ("refined.mp4" if number == 1 else f"refined-{number}.mp4"))
        join(list(group), outputs[-1])
    if not keep:
        for piece in pieces:
            piece.unlink()
        (folder / "refined.m3u8").unlink(missing_ok=True)
    return outputs
