"""Runs jobs beside the frame's path: one at a time in a thread of low priority. Only the newest one waits."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Protocol

from correspondence.at_exit import close_at_exit

logger = logging.getLogger(__name__)

Job = Callable[[], None]
NICENESS = 10  # nice value of the thread on Linux, which has one per thread
QOS_UTILITY = 0x11  # QOS_CLASS_UTILITY of macOS
BELOW_NORMAL = -1  # THREAD_PRIORITY_BELOW_NORMAL of Windows
JOIN_S = 2.0  # longest wait for the thread on `close`, seconds


def step_aside() -> None:
    """Lowers the priority of the calling thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    elif sys.platform == "darwin":
        ctypes.CDLL(None).pthread_set_qos_class_self_np(QOS_UTILITY, 0)
    elif sys.platform == "win32":
        kernel = ctypes.windll.kernel32
        kernel.GetCurrentThread.restype = ctypes.c_void_p
        kernel.SetThreadPriority.argtypes = (ctypes.c_void_p, ctypes.c_int)
        kernel.SetThreadPriority(kernel.GetCurrentThread(), BELOW_NORMAL)


class Worker(Protocol):
    """Runs jobs, now or later. An exception of a job is logged and counted, never raised to the caller."""

    @property
    def failures(self) -> int:
        """Number of jobs that raised an exception."""
        ...

    def submit(self, job: Job) -> None:
        """Submits a job. It replaces a job that still waits."""
        ...

    def close(self) -> None:
        """Drops a waiting job and stops."""
        ...


class InlineWorker:
    """Runs each job inside `submit`. This is reproducible, for files and tests."""

    def __init__(self) -> None:
        self.failures = 0

    def submit(self, job: Job) -> None:
        """Runs the job before returning."""
        try:
            job()
        except Exception:
            self.failures += 1
            logger.exception("a reference job failed; the old reference serves on")

    def close(self) -> None:
        """Does nothing, because no job ever waits."""


class SideWorker:
    """Runs jobs in a thread of its own, which is started with the first job."""

    def __init__(self) -> None:
        self.failures = 0
        self._waiting: Job | None = None
        self._closed = False
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def submit(self, job: Job) -> None:
        """Submits a job and returns at once. It replaces a waiting job; after `close` it is dropped."""
        with self._wake:
            if self._closed:
                return
            self._waiting = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="references", daemon=True)
                self._thread.start()
                close_at_exit(self)
            self._wake.notify()

    def close(self) -> None:
        """Drops a waiting job and waits for the running one, 2 s at most."""
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
    """Makes a worker with a thread of its own if `background` is True, else one that runs jobs inline."""
    return SideWorker() if background else InlineWorker()
