"""What goes into the fill worker and what it says of itself."""

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
    """A fill job that brought nothing; the message says why. The old reference serves on."""


class WorkerClosedError(JobError):
    """The worker closed before the job was done."""


class Priority(IntEnum):
    """Which job is next: the smallest."""

    MASKED = 0
    GAP = 1
    RENDER = 2


class Request(Protocol):
    """What a job works on; it is pickled."""

    @property
    def nbytes(self) -> int:
        """Size of its arrays."""
        ...


class Renderer(Protocol):
    """Makes a piece of a recording; `stream.recording.render.render` is one."""

    def __call__(self, job: Any, filler: Filler, check: Check, /) -> Any:
        """What became of the piece.

        Args:
            job: the request as it was submitted.
            filler: invents what is unsure.
            check: called between frames; raises where the job is no longer wanted.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the fill process works with; `__post_init__` checks the ranges.

    Attributes:
        weights: folder of the diffusion model's weights; None: classical methods.
        device: "cpu" or a CUDA device.
        steps: of the sampler.
        threads: of torch and OpenCV, on the CPU.
        memory_mb: resident memory at which the process is replaced after a job; on CUDA also the card's
            memory it may use.
        render: makes a piece of a recording, a function of a module, since it is pickled; None: the process
            takes no such jobs.
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
    """Limits of the worker; `__post_init__` checks the ranges.

    Attributes:
        max_jobs: jobs that wait, at most; max_bytes: of their pictures.
        back_off_s: wait before the first restart after a crash, doubled with each further one ...
        longest_back_off_s: ... up to this.
        idle_s: a process that had nothing to do for so long is ended; the next job starts another.
        grace_s: how long a job that should stop may take to, before its process is killed.
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
    """How the worker is, for the page and the metrics.

    Attributes:
        state: "idle", "starting", "running masked" (or another kind), "restarting", "refused" or "closed".
        method: what the process fills with; empty before it ran.
        queued: jobs that wait.
        done, failed, dropped: jobs so far; dropped: late, stale, pushed out or cancelled.
        restarts: processes that died or were killed; retried: jobs that were tried again for it.
        last_s: how long the last job ran; last_error: the last thing that went wrong, empty where none did.
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
    """One job on its way; `future` ends with its result, a `JobError`, or cancelled."""

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
        """Bring nothing: taken out of the queue, or stopped at its next step."""
        self.fresh = _never

    def why_not(self, now_s: float) -> str | None:
        """Why it should not run (any longer); None where it should."""
        if now_s > self.until_s:
            return "its deadline has passed"
        return None if self.fresh() else "it is no longer wanted"


def _never() -> bool:
    return False
