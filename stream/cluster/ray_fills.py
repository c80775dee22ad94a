"""Fill workers as actors of Ray: a pool that all media hosts of a cluster share."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from stream import logs
from stream.filling.pool import FillPool, MemberLostError
from stream.filling.types import Job, JobError, Priority, Request, Setup, WorkerStatus
from stream.filling.worker import FillWorker

logger = logging.getLogger(__name__)


class FillHost:
    """The actor: one fill worker with its process, queue and deadlines. The methods belong on one event loop.

    Args:
        setup: what its process works with.
    """

    def __init__(self, setup: Setup) -> None:
        logs.configure("info")  # into Ray's log of the process
        self._worker = FillWorker(setup)
        self._jobs: dict[str, Job] = {}

    async def fill(self, key: str, kind: Priority, request: Request, limit_s: float) -> Any:
        """Do a job and return its result.

        Args:
            key: names the job for `cancel`.
            kind, request: see `FillWorker.submit`.
            limit_s: seconds after which the result is useless.

        Raises:
            JobError: there is no result.
        """
        job = self._jobs[key] = self._worker.submit(kind, request, deadline_s=limit_s)
        try:
            return await asyncio.wrap_future(job.future)
        finally:
            del self._jobs[key]

    async def cancel(self, key: str) -> None:
        """Give a job up. Does nothing if it has ended."""
        if (job := self._jobs.get(key)) is not None:
            job.cancel()

    async def status(self) -> WorkerStatus:
        """How the worker is."""
        return self._worker.status()

    async def close(self) -> None:
        """Drop all jobs and end its process."""
        await asyncio.to_thread(self._worker.close)


class RayMember:
    """A fill worker as a media host reaches it (see `stream.filling.pool.Member`).

    Args:
        name: for messages.
        actor: the handle of its actor.
    """

    def __init__(self, name: str, actor: Any) -> None:
        self.name = name
        self._actor = actor

    def run(self, key: str, kind: Priority, request: Request, limit_s: float) -> Future[Any]:
        """Begin a job. The future ends with its result, a `JobError` or a `MemberLostError`."""
        return _answer(self._actor.fill.remote(key, kind, request, limit_s))

    def cancel(self, key: str) -> None:
        """Give a job up."""
        self._actor.cancel.remote(key)

    def status(self) -> Future[WorkerStatus]:
        """Ask how the worker is. The future may end with a `MemberLostError`."""
        return _answer(self._actor.status.remote())


def _answer(reference: Any) -> Future[Any]:
    """The answer to a call, with this project's errors in place of Ray's."""
    from ray.exceptions import RayActorError, RayTaskError

    answer: Future[Any] = Future()

    def take(done: Future[Any]) -> None:
        error = done.exception()
        if error is None:
            answer.set_result(done.result())
        elif isinstance(error, RayActorError):
            answer.set_exception(MemberLostError(str(error).splitlines()[0]))
        elif isinstance(error, RayTaskError) and isinstance(error.cause, JobError):
            answer.set_exception(error.cause)
        else:
            answer.set_exception(JobError(f"{type(error).__name__}: {error}"))

    reference.future().add_done_callback(take)
    return answer


def fill_actors(count: int, setup: Setup) -> list[Any]:
    """Make the actors, one processor each, and a GPU each if the model runs there. Ray spreads them."""
    ray = importlib.import_module("ray")
    actor = ray.remote(FillHost).options(
        num_cpus=1,
        num_gpus=1 if setup.device.startswith("cuda") else 0,
        max_restarts=-1,
        max_task_retries=0,
        scheduling_strategy="SPREAD",
    )
    return [actor.remote(setup) for _ in range(count)]


def fill_pool(actors: Sequence[Any], setup: Setup) -> FillPool | None:
    """Return the pool as one media host uses it. None without actors."""
    if not actors:
        return None
    return FillPool([RayMember(str(number), actor) for number, actor in enumerate(actors)], setup)
