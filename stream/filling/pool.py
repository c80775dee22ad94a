"""Passes fill jobs on to workers on other machines: to the least busy one, and to another if it is lost."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from typing import Any, Protocol

from stream.filling.types import Job, JobError, Priority, Request, Setup, WorkerClosedError, WorkerStatus

logger = logging.getLogger(__name__)

LOOK_S = 0.1  # between two looks at whether running jobs are still wanted
ASK_S = 1.0  # between two questions how a member is, while there are jobs
MOST_BYTES = 256_000_000  # of the pictures of jobs that have no answer yet
ATTEMPTS = 2  # of a job whose member is lost


class MemberLostError(RuntimeError):
    """A member of the pool died or cannot be reached."""


class Member(Protocol):
    """One worker of the pool, as this process reaches it. No method waits."""

    name: str

    def run(self, key: str, kind: Priority, request: Request, limit_s: float) -> Future[Any]:
        """Begin a job. The future ends with its result, a `JobError` or a `MemberLostError`."""
        ...

    def cancel(self, key: str) -> None:
        """Give a job up."""
        ...

    def status(self) -> Future[WorkerStatus]:
        """Ask how the worker is. The future may end with a `MemberLostError`."""
        ...


@dataclass(slots=True, eq=False)
class _Seat:
    """A member with what is known of it."""

    member: Member
    jobs: int = 0  # of this process, without an answer
    told: WorkerStatus | None = None  # its last word; None while it is lost
    asked_s: float = float("-inf")

    @property
    def load(self) -> tuple[bool, int]:
        others = self.told.queued if self.told is not None else 0
        return self.told is None, self.jobs + others


class FillPool:
    """Takes jobs as `stream.filling.worker.FillWorker` does, for any number of threads.

    Args:
        members: the workers. Other processes may use them too. At least one.
        setup: what the workers work with.
    """

    def __init__(self, members: Sequence[Member], setup: Setup) -> None:
        if not members:
            raise ValueError("a pool of fill workers needs at least one")
        self.setup = setup
        self._numbers, self._prefix = count(1), secrets.token_hex(4)
        self._lock = threading.Condition()  # guards everything below
        self._seats = [_Seat(member) for member in members]
        self._running: dict[int, tuple[Job, _Seat]] = {}
        self._counts = {"done": 0, "failed": 0, "dropped": 0, "restarts": 0, "retried": 0}
        self._last_s: float | None = None
        self._last_error, self._closed = "", False
        self._thread: threading.Thread | None = None

    def submit(
        self,
        kind: Priority,
        request: Request,
        *,
        deadline_s: float = 30.0,
        fresh: Callable[[], bool] = lambda: True,
    ) -> Job:
        """Submit a job. This returns at once (see `FillWorker.submit`).

        Raises:
            JobError: too many jobs wait for an answer, or the pool is closed.
        """
        job = Job(kind, request, time.monotonic() + deadline_s, fresh, next(self._numbers))
        with self._lock:
            if self._closed:
                raise WorkerClosedError("the fill pool is closed")
            held = sum(other.request.nbytes for other, _ in self._running.values()) + request.nbytes
            if held > MOST_BYTES:
                raise JobError(
                    f"{held // 1_000_000} MB of pictures wait to be filled with this one "
                    f"(limit {MOST_BYTES // 1_000_000} MB): try again later"
                )
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="fill-pool", daemon=True)
                self._thread.start()
            seat = self._seat(job)
            self._lock.notify()
        self._begin(job, seat)
        return job

    def status(self) -> WorkerStatus:
        """The state of this process's part of the pool."""
        with self._lock:
            up = [seat for seat in self._seats if seat.told is not None]
            busy = f"running on {len({id(seat) for _, seat in self._running.values()})} of {len(self._seats)}"
            return WorkerStatus(
                state="closed" if self._closed else busy if self._running else "idle",
                method=next((seat.told.method for seat in up if seat.told and seat.told.method), ""),
                queued=len(self._running),
                last_s=self._last_s,
                last_error=self._last_error,
                **self._counts,
            )

    def describe(self) -> dict[str, object]:
        """The result of `status()` as JSON values."""
        return asdict(self.status())

    def close(self) -> None:
        """Drop all jobs. The workers go on for others."""
        with self._lock:
            self._closed = True
            left = list(self._running)
            self._lock.notify()
        for number in left:
            self._drop(number, "the fill pool closed")

    def _seat(self, job: Job, but: _Seat | None = None) -> _Seat:
        """Choose a member for a job, another than `but` if there is one. The caller holds the lock."""
        seat = min(self._seats, key=lambda one: (one is but, one.load))
        seat.jobs += 1
        self._running[job.number] = job, seat
        return seat

    def _key(self, job: Job) -> str:
        return f"{self._prefix}-{job.number}"

    def _begin(self, job: Job, seat: _Seat) -> None:
        job.attempts += 1
        left_s = job.until_s - time.monotonic()
        began_s = time.monotonic()
        future = seat.member.run(self._key(job), job.kind, job.request, left_s)
        future.add_done_callback(lambda done: self._ended(job, seat, done, time.monotonic() - began_s))

    def _take(self, number: int) -> tuple[Job, _Seat] | None:
        """Take a job out of the running ones. None if somebody else did. The caller holds the lock."""
        held = self._running.pop(number, None)
        if held is not None:
            held[1].jobs -= 1
        return held

    def _ended(self, job: Job, seat: _Seat, done: Future[Any], took_s: float) -> None:
        error = done.exception()
        with self._lock:
            if self._take(job.number) is None:
                return  # it was dropped
            other = None
            if isinstance(error, MemberLostError):
                seat.told = None
                self._counts["restarts"] += 1
                if job.attempts < ATTEMPTS and not self._closed:
                    self._counts["retried"] += 1
                    other = self._seat(job, seat)
            if other is None and error is None:
                self._counts["done"] += 1
                self._last_s = took_s
            elif other is None:
                self._counts["failed"] += 1
            if error is not None:
                self._last_error = f"fill worker {seat.member.name}: {error}"
        if other is not None:
            logger.warning("fill worker %s is lost; its job goes to %s", seat.member.name, other.member.name)
            self._begin(job, other)
        elif error is None:
            job.future.set_result(done.result())
        else:
            job.future.set_exception(error if isinstance(error, JobError) else JobError(self._last_error))

    def _drop(self, number: int, why: str) -> None:
        with self._lock:
            held = self._take(number)
            if held is None:
                return
            self._counts["dropped"] += 1
        job, seat = held
        seat.member.cancel(self._key(job))
        kind = WorkerClosedError if self._closed else JobError
        job.future.set_exception(kind(f"the job was dropped: {why}"))

    def _watch(self) -> None:
        """Give jobs up that nobody wants any more, and ask the members how they are, until closed."""
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._closed or bool(self._running))
                if self._closed:
                    return
                jobs = [job for job, _ in self._running.values()]
            now_s = time.monotonic()
            for job in jobs:
                if (why := job.why_not(now_s)) is not None:
                    self._drop(job.number, why)
            for seat in self._seats:
                if now_s - seat.asked_s >= ASK_S:
                    seat.asked_s = now_s
                    seat.member.status().add_done_callback(partial(self._told, seat))
            time.sleep(LOOK_S)

    def _told(self, seat: _Seat, done: Future[WorkerStatus]) -> None:
        status = None if done.exception() is not None else done.result()
        with self._lock:
            seat.told = status
