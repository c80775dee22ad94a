"""Runs fill jobs beside the live path, in a process of their own.

The worker has a bounded priority queue, observes deadlines and restarts the process after a crash.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from itertools import count
from typing import Any

from stream.filling.process import Crashed, FillProcess, ProcessRefused
from stream.filling.types import (
    Job,
    JobError,
    Priority,
    Request,
    Setup,
    WorkerClosedError,
    WorkerConfig,
    WorkerStatus,
)

logger = logging.getLogger(__name__)


class FillWorker:
    """Takes jobs from any thread and runs them in a process that it starts, watches and restarts.

    Args:
        setup: what the process works with.
        config: limits of the worker.
    """

    def __init__(self, setup: Setup | None = None, config: WorkerConfig | None = None) -> None:
        self.setup = setup or Setup()
        self.config = config or WorkerConfig()
        self._numbers = count(1)
        self._lock = threading.Condition()  # guards everything below
        self._queue: list[Job] = []
        self._state, self._method, self._last_error = "idle", "", ""
        self._counts = {"done": 0, "failed": 0, "dropped": 0, "restarts": 0, "retried": 0}
        self._last_s: float | None = None
        self._closed = False
        self._thread: threading.Thread | None = None
        self._crashes = 0  # in a row; only the manager's thread uses this and the process
        self._process: FillProcess | None = None

    def submit(
        self,
        kind: Priority,
        request: Request,
        *,
        deadline_s: float = 30.0,
        fresh: Callable[[], bool] = lambda: True,
    ) -> Job:
        """Submit a job. This returns at once.

        A full queue drops its least urgent jobs for a more urgent one.

        Args:
            kind: kind of the job, which is also its priority.
            request: `inpaint.fills.jobs.MaskedJob` or `GapJob`.
            deadline_s: seconds from now after which the result is useless.
            fresh: tells whether the job is still wanted. False stops it. It is called on the worker's thread
                before the job starts and while it runs, and must return at once.

        Raises:
            JobError: the queue is full, or the worker is closed.
        """
        job = Job(kind, request, time.monotonic() + deadline_s, fresh, next(self._numbers))
        with self._lock:
            if self._closed:
                raise WorkerClosedError("the fill worker is closed")
            pushed = self._make_room(job)
            heapq.heappush(self._queue, job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="fill-worker", daemon=True)
                self._thread.start()
            self._lock.notify()
        for other in pushed:
            self._drop(other, "a more urgent job took its place in a full queue")
        return job

    def _make_room(self, job: Job) -> list[Job]:
        """Remove less urgent jobs until this one fits, and return them. The caller holds the lock."""
        config = self.config
        pushed: list[Job] = []
        while self._queue:
            held = sum(j.request.nbytes for j in self._queue) + job.request.nbytes
            if len(self._queue) < config.max_jobs and held <= config.max_bytes:
                return pushed
            last = max(self._queue)
            if last.kind <= job.kind:
                self._queue.extend(pushed)
                heapq.heapify(self._queue)
                raise JobError(
                    f"the fill queue holds {len(self._queue)} jobs of {held // 1_000_000} MB with this one "
                    f"(limits {config.max_jobs} and {config.max_bytes // 1_000_000} MB): try again later"
                )
            self._queue.remove(last)
            heapq.heapify(self._queue)
            pushed.append(last)
        if job.request.nbytes > config.max_bytes:
            raise JobError(
                f"a job of {job.request.nbytes // 1_000_000} MB is larger than the fill queue's "
                f"{config.max_bytes // 1_000_000} MB: split it"
            )
        return pushed

    def status(self) -> WorkerStatus:
        """The present state of the worker."""
        with self._lock:
            return WorkerStatus(
                state=self._state,
                method=self._method,
                queued=len(self._queue),
                last_s=self._last_s,
                last_error=self._last_error,
                **self._counts,
            )

    def describe(self) -> dict[str, object]:
        """The result of `status()` as JSON values."""
        return asdict(self.status())

    @property
    def pid(self) -> int | None:
        """Id of the fill process. None while there is none."""
        process = self._process
        return process.pid if process is not None else None

    def close(self) -> None:
        """Drop all waiting jobs and end the process. This waits for a second or two."""
        with self._lock:
            self._closed = True
            left, self._queue = self._queue, []
            thread = self._thread
            self._lock.notify()
        for job in left:
            self._drop(job, "the fill worker closed")
        if thread is not None:
            thread.join(0.3)
        process = self._process
        if process is not None:  # at the lowest priority it may answer late
            process.end(0.0)
        if thread is not None:
            thread.join(1.0)
        with self._lock:
            self._state = "closed"

    def _run(self) -> None:
        while (job := self._next()) is not None:
            try:
                self._do(job)
            except Exception as exc:
                # The error of one job must not end the thread that all jobs need.
                logger.exception("a fill job failed inside the worker")
                self._fail(job, f"{type(exc).__name__}: {exc}")
            del job  # it holds pictures
        self._end_process(0.5)

    def _next(self) -> Job | None:
        """Wait for the most urgent job. Ends a process that is idle too long. Returns None once closed."""
        with self._lock:
            if self._state not in ("refused", "closed"):
                self._state = "idle"
            while not self._queue and not self._closed:
                idle = not self._lock.wait(self.config.idle_s if self._process is not None else None)
                if idle and not self._queue and self._process is not None:
                    process, self._process = self._process, None
                    process.end(0.5)
            return None if self._closed else heapq.heappop(self._queue)

    def _do(self, job: Job) -> None:
        while True:
            reason = self._why_not(job)
            if reason is not None:
                self._drop(job, reason)
                return
            try:
                process = self._started()
                self._set_state(f"running {job.kind.name.lower()}")
                job.attempts += 1
                answer = process.converse(
                    job.number, job.kind.name.lower(), job.request, lambda: self._why_not(job)
                )
            except ProcessRefused as exc:
                self._set_state("refused", str(exc))
                self._fail(job, f"the fill process cannot work: {exc}")
                return
            except Crashed as exc:
                if not self._crashed(job, str(exc)):
                    return
                continue
            self._crashes = 0
            self._settle(job, answer)
            return

    def _why_not(self, job: Job) -> str | None:
        return "the fill worker closed" if self._closed else job.why_not(time.monotonic())

    def _started(self) -> FillProcess:
        """Return a process that is ready. A missing one is started, after a pause if the last one died."""
        if self._process is not None and not self._process.alive:
            self._end_process(0.0)
        if self._process is None:
            if self._crashes:
                self._set_state("restarting")
                with self._lock:
                    wait_s = self.config.back_off_s * 2.0 ** (self._crashes - 1)
                    self._lock.wait_for(lambda: self._closed, min(wait_s, self.config.longest_back_off_s))
            else:
                self._set_state("starting")
            self._process = FillProcess(self.setup, self.config.grace_s)
        if not self._process.ready:
            method = self._process.await_ready(lambda: self._closed)
            with self._lock:
                self._method = method
        return self._process

    def _crashed(self, job: Job, why: str) -> bool:
        """Note that the process died during a job. Returns whether to try the job again."""
        self._end_process(0.0)
        if self._closed:
            self._drop(job, "the fill worker closed")
            return False
        self._crashes += 1
        again = job.attempts < 2 and self._why_not(job) is None
        what = f"the fill process died during a {job.kind.name.lower()} job ({why})"
        with self._lock:
            self._counts["restarts"] += 1
            self._counts["retried"] += again
            self._last_error = f"{what}; it is tried again" if again else what
            logger.warning("%s", self._last_error)
        if not again:
            reason = self._why_not(job)
            if reason is None:
                self._fail(job, f"{what}, twice")
            else:
                self._drop(job, reason)
        return again

    def _settle(self, job: Job, answer: tuple[Any, ...]) -> None:
        kind = answer[0]
        if kind == "stopped":
            self._drop(job, self._why_not(job) or "it was stopped")
        elif kind == "failed":
            self._fail(job, answer[2])
        else:
            with self._lock:
                self._counts["done"] += 1
                self._last_s = answer[3]
            if answer[4]:
                logger.info("the fill process holds too much memory and is replaced")
                self._end_process(1.0)
            job.future.set_result(answer[2])

    def _fail(self, job: Job, why: str) -> None:
        with self._lock:
            self._counts["failed"] += 1
            self._last_error = why
        job.future.set_exception(JobError(why))

    def _drop(self, job: Job, why: str) -> None:
        with self._lock:
            self._counts["dropped"] += 1
        logger.debug("%s job %d is dropped: %s", job.kind.name.lower(), job.number, why)
        kind = WorkerClosedError if self._closed else JobError
        job.future.set_exception(kind(f"the job was dropped: {why}"))

    def _set_state(self, state: str, error: str | None = None) -> None:
        with self._lock:
            self._state = state
            if error is not None:
                self._last_error = error

    def _end_process(self, wait_s: float) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end(wait_s)
