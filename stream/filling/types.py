"""Types of the fill worker: requests, configuration, jobs and status."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from inpaint.weights import STEPS

if TYPE_CHECKING:
    from inpaint.fills.jobs import Check, Filler


class JobError(RuntimeError):
    """A fill job has no result. The message says why. The old reference stays in use."""


class WorkerClosedError(JobError):
    """The worker closed before the job was done."""


class Priority(IntEnum):
    """Kind of a job. Jobs with smaller values go first."""

    MASKED = 0
    GAP = 1
    RENDER = 2
    LOOK = 3


class Request(Protocol):
    """What a job works on. It is pickled."""

    @property
    def nbytes(self) -> int:
        """Size of its arrays, bytes."""
        ...


class Renderer(Protocol):
    """Edits a piece of a recording anew. `stream.recording.render.render` is one."""

    def __call__(self, job: Any, filler: Filler, check: Check, /) -> Any:
        """Edit one piece and return the result.

        Args:
            job: the request as it was submitted.
            filler: invents uncertain places.
            check: called between frames. It raises if the job is no longer wanted.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the fill process works with. The ranges are checked.

    Attributes:
        weights: folder of the diffusion model's weights. None means classical methods.
        device: "cpu" or a CUDA device.
        steps: number of sampler steps, 1 to 50.
        threads: number of threads of torch and OpenCV on the CPU.
        memory_mb: resident memory in megabytes above which the process is replaced after a job. On CUDA it
            also limits the card's memory that the process may use.
        render: edits a piece of a recording anew. It is pickled and must therefore be a function of a module.
            None means that the process takes no such jobs.
    """

    weights: Path | None = None
    device: str = "cpu"
    steps: int = STEPS
    threads: int = 1
    memory_mb: int = 4000
    render: Renderer | None = None

    def __post_init__(self) -> None:
        if self.threads < 1 or self.memory_mb < 100 or not 1 <= self.steps <= 50:
            raise ValueError(f"threads >= 1, memory_mb >= 100 and steps in 1 to 50 are needed, got {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """Limits of the worker. All must be positive.

    Attributes:
        max_jobs: largest number of waiting jobs.
        max_bytes: largest size of the pictures of waiting jobs, bytes.
        back_off_s: wait before the first restart after a crash. It doubles with each further crash.
        longest_back_off_s: longest wait before a restart.
        idle_s: a process without work for this long is ended. The next job starts another.
        grace_s: time that a job has to stop before its process is killed.
    """

    max_jobs: int = 8
    max_bytes: int = 256_000_000
    back_off_s: float = 0.5
    longest_back_off_s: float = 30.0
    idle_s: float = 120.0
    grace_s: float = 3.0

    def __post_init__(self) -> None:
        if self.max_jobs < 1 or self.max_bytes < 1 or min(self.back_off_s, self.idle_s, self.grace_s) <= 0:
            raise ValueError(f"limits of the worker must be positive, got {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """State of the worker, for the page and the metrics.

    Attributes:
        state: "idle", "starting", "running masked" (or another kind), "restarting", "refused" or "closed".
        method: how the process fills. Empty before the first process is ready.
        queued: number of waiting jobs.
        done: number of jobs done so far.
        failed: number of jobs that failed.
        dropped: number of jobs that were late, stale, pushed out or cancelled.
        restarts: number of processes that died or were killed.
        retried: number of jobs that were tried again after that.
        last_s: duration of the last job, seconds. None before the first.
        last_error: the last error. Empty if there was none.
    """

    state: str
    method: str
    queued: int
    done: int
    failed: int
    dropped: int
    restarts: int
    retried: int
    last_s: float | None
    last_error: str


@dataclass(slots=True, eq=False)
class Job:
    """One submitted job. `future` ends with the job's result or a `JobError`, or is cancelled."""

    kind: Priority
    request: Request
    until_s: float
    fresh: Callable[[], bool]
    number: int
    future: Future[Any] = field(default_factory=Future)
    attempts: int = 0

    def __lt__(self, other: Job) -> bool:
        return (self.kind, self.number) < (other.kind, other.number)

    def cancel(self) -> None:
        """Give the job up. It is dropped before it starts, or stopped at its next step."""
        self.fresh = _never

    def why_not(self, now_s: float) -> str | None:
        """Return why the job should not run or go on. None if it should."""
        if now_s > self.until_s:
            return "its deadline has passed"
        return None if self.fresh() else "it is no longer wanted"


class Worker(Protocol):
    """Takes jobs: `stream.filling.worker.FillWorker`, or `stream.filling.pool.FillPool`."""

    setup: Setup

    def submit(
        self,
        kind: Priority,
        request: Request,
        *,
        deadline_s: float = 30.0,
        fresh: Callable[[], bool] = lambda: True,
    ) -> Job:
        """Submit a job. This returns at once. Raises `JobError` if it cannot be taken."""
        ...

    def status(self) -> WorkerStatus:
        """The present state."""
        ...

    def describe(self) -> dict[str, object]:
        """The result of `status()` as JSON values."""
        ...

    def close(self) -> None:
        """Drop all jobs and take no more."""
        ...


def _never() -> bool:
    return False
