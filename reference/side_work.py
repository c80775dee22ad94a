"""Work beside the frame's path: one job at a time in a thread of low priority, then the newest one."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Protocol

logger = logging.getLogger(__name__)

Job = Callable[[], None]
NICENESS = 10  # added to the thread's nice value, where the system knows one for threads
JOIN_S = 2.0


def step_aside() -> None:
    """Let the calling thread run behind the frames' path, where the system knows priorities of threads."""
    if sys.platform == "linux":  # elsewhere the call would name a process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class Worker(Protocol):
    """Runs jobs, now or later; a job that fails is logged and counted, never raised to who asked."""

    @property
    def failures(self) -> int:
        """How many jobs raised."""
        ...

    def submit(self, job: Job) -> None:
        """Hand over a job; one that still waits is dropped for it. Returns at once."""
        ...

    def close(self) -> None:
        """Drop what waits, and stop."""
        ...


class InlineWorker:
    """Runs each job where it is handed over: reproducible, for files and tests."""

    def __init__(self) -> None:
        self.failures = 0

    def submit(self, job: Job) -> None:
        """Run the job before returning."""
        try:
            job()
        except Exception:
            self.failures += 1
            logger.exception("a reference job failed; the old reference serves on")

    def close(self) -> None:
        """Nothing waits."""


class SideWorker:
    """Runs jobs in a thread of its own, started with the first one."""

    def __init__(self) -> None:
        self.failures = 0
        self._waiting: Job | None = None
        self._closed = False
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def submit(self, job: Job) -> None:
        """Put the job into the one slot; after `close` it is dropped."""
        with self._wake:
            if self._closed:
                return
            self._waiting = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="references", daemon=True)
                self._thread.start()
            self._wake.notify()

    def close(self) -> None:
        """Drop what waits and wait for the running job, 2 s at most."""
        with self._wake:
            self._closed, self._waiting = True, None
            thread = self._thread
            self._wake.notify()
        if thread is not None:
            thread.join(JOIN_S)

    def _run(self) -> None:
        step_aside()
        inline = InlineWorker()
        while (job := self._next()) is not None:
            inline.submit(job)
            self.failures = inline.failures
            del job  # it holds a frame

    def _next(self) -> Job | None:
        with self._wake:
            self._wake.wait_for(lambda: self._waiting is not None or self._closed)
            job, self._waiting = self._waiting, None
            return job


def make_worker(background: bool) -> Worker:
    """A thread that starts with its first job, or none."""
    return SideWorker() if background else InlineWorker()
