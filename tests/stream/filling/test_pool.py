"""The pool of fill workers: the least busy one works, a lost one's jobs go on elsewhere, stale ones end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from stream.cluster.ray_fills import FillHost
from stream.filling import pool as pools
from stream.filling.pool import FillPool, MemberLostError
from stream.filling.types import Job, JobError, Priority, Request, Setup, WorkerClosedError, WorkerStatus
from tests.stream.filling.test_worker import masked

WAIT_S = 60.0


def status(queued: int = 0) -> WorkerStatus:
    zero = dict.fromkeys(("done", "failed", "dropped", "restarts", "retried"), 0)
    return WorkerStatus(state="idle", method="test", queued=queued, last_s=None, last_error="", **zero)


class Fake:
    """A member whose jobs end when the test says so."""

    def __init__(self, name: str, queued: int = 0) -> None:
        self.name, self._queued = name, queued
        self.jobs: dict[str, Future[Any]] = {}
        self.cancelled: list[str] = []

    def run(self, key: str, kind: Priority, request: Request, limit_s: float) -> Future[Any]:
        self.jobs[key] = Future()
        return self.jobs[key]

    def cancel(self, key: str) -> None:
        self.cancelled.append(key)

    def status(self) -> Future[WorkerStatus]:
        told: Future[WorkerStatus] = Future()
        told.set_result(status(self._queued))
        return told

    def end(self, result: object) -> None:
        """Answer its oldest job."""
        future = self.jobs.pop(next(iter(self.jobs)))
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)


@pytest.fixture
def members() -> list[Fake]:
    return [Fake("a"), Fake("b")]


@pytest.fixture
def pool(members: list[Fake]) -> Iterator[FillPool]:
    held = FillPool(members, Setup())
    yield held
    held.close()


def submit(pool: FillPool, **more: Any) -> Job:
    return pool.submit(Priority.MASKED, masked(), **more)


def test_jobs_spread_over_the_members(pool: FillPool, members: list[Fake]) -> None:
    jobs = [submit(pool) for _ in range(4)]
    assert [len(one.jobs) for one in members] == [2, 2]
    assert pool.status().queued == 4
    members[0].end("first")
    submit(pool)
    assert [len(one.jobs) for one in members] == [2, 2]
    assert "first" in [job.future.result(WAIT_S) for job in jobs if job.future.done()]
    assert pool.status().done == 1


def test_a_member_that_others_keep_busy_gets_less() -> None:
    busy, free = Fake("busy", queued=3), Fake("free")
    pool = FillPool([busy, free], Setup())
    submit(pool)  # from now on they are asked how they are
    until_s = time.monotonic() + WAIT_S
    while not pool.status().method or any(seat.told is None for seat in pool._seats):
        assert time.monotonic() < until_s
        time.sleep(0.01)
    for _ in range(3):
        submit(pool)
    assert len(free.jobs) + len(busy.jobs) == 4
    assert len(busy.jobs) <= 1, "it had the first at most"
    pool.close()


def test_a_lost_members_job_goes_to_another_once(pool: FillPool, members: list[Fake]) -> None:
    job = submit(pool)
    first, other = members if members[0].jobs else members[::-1]
    first.end(MemberLostError("its node died"))
    assert len(other.jobs) == 1
    other.end("filled")
    assert job.future.result(WAIT_S) == "filled"
    assert (pool.status().restarts, pool.status().retried) == (1, 1)

    job = submit(pool)
    for _ in range(2):
        next(one for one in members if one.jobs).end(MemberLostError("its node died"))
    with pytest.raises(JobError, match=r"fill worker .: its node died"):
        job.future.result(WAIT_S)
    assert not any(one.jobs for one in members)
    assert pool.status().failed == 1


def test_what_a_member_says_of_a_job_is_passed_on(pool: FillPool, members: list[Fake]) -> None:
    job = submit(pool)
    next(one for one in members if one.jobs).end(JobError("the picture is too large"))
    with pytest.raises(JobError, match="too large"):
        job.future.result(WAIT_S)


def test_a_job_that_nobody_wants_is_given_up(pool: FillPool, members: list[Fake]) -> None:
    wanted = threading.Event()
    wanted.set()
    stale, late = submit(pool, fresh=wanted.is_set), submit(pool, deadline_s=0.05)
    wanted.clear()
    with pytest.raises(JobError, match="no longer wanted"):
        stale.future.result(WAIT_S)
    with pytest.raises(JobError, match="deadline"):
        late.future.result(WAIT_S)
    assert sum(len(one.cancelled) for one in members) == 2
    for one in members:
        one.end("an answer that comes too late")  # it changes nothing
    assert (pool.status().done, pool.status().dropped, pool.status().queued) == (0, 2, 0)


def test_too_many_pictures_are_refused(pool: FillPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "MOST_BYTES", masked().nbytes * 3 // 2)
    submit(pool)
    with pytest.raises(JobError, match="try again later"):
        submit(pool)


def test_a_closed_pool_takes_none(pool: FillPool, members: list[Fake]) -> None:
    job = submit(pool)
    pool.close()
    with pytest.raises(WorkerClosedError):
        job.future.result(WAIT_S)
    with pytest.raises(WorkerClosedError):
        submit(pool)
    assert pool.status().state == "closed"
    assert sum(len(one.cancelled) for one in members) == 1, "the workers are told"


def test_the_actor_fills_and_drops_with_a_real_process() -> None:
    async def both() -> None:
        host = FillHost(Setup())
        try:
            asked = asyncio.create_task(host.fill("one", Priority.MASKED, masked(), WAIT_S))
            await asyncio.sleep(0)
            await host.cancel("one")
            await host.cancel("unknown")
            with pytest.raises(JobError, match="no longer wanted"):
                await asked
            job = masked()
            filled = await host.fill("two", Priority.MASKED, job, WAIT_S)
            assert filled.shape == job.image.shape
            hidden = job.mask > 0
            assert np.abs(filled[~hidden].astype(int) - job.image[~hidden]).max() == 0
            assert (await host.status()).done == 1
        finally:
            await host.close()

    asyncio.run(both())


def test_a_pool_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        FillPool([], Setup())
