"""The fill process. It has the lowest scheduling class, does one job at a time and is stopped by its pipe."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from typing import Any

from stream.filling.types import Setup
from stream.processes import lower_priority, resident_mb, turn

CANCEL_EVERY_S = 0.02  # shortest time between two looks at the pipe while a job runs


class JobStopped(Exception):  # noqa: N818  # a signal from a check, no error
    """The job is no longer wanted."""


class Ended(Exception):  # noqa: N818
    """The process was told to end, or its parent has ended."""


Handler = Callable[[Any, Callable[[], None]], Any]  # request, check -> result


def main(pipe: Connection, setup: Setup) -> None:
    """Run jobs until told to end. This is the main function of the fill process.

    Messages in: ("job", number, kind, request), ("cancel", number), None to end.

    Messages out: ("ready", method), ("refused", why), ("done", number, result, seconds, replace), ("failed",
    number, why), ("stopped", number). `replace` says that the process should be replaced.

    Args:
        pipe: connection to the parent.
        setup: what the process works with.
    """
    try:
        step_back()
        handlers, method = _handlers(setup)
    except Exception as exc:  # any error is reported to the parent, once
        _tell(pipe, ("refused", f"{type(exc).__name__}: {exc}"))
        return
    if not _tell(pipe, ("ready", method)):
        return
    with lowest_stream(setup.device if setup.weights is not None else "cpu"):
        while True:
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                return
            if message is None:
                return
            if message[0] == "job" and not _one(pipe, message, handlers, setup):
                return


def step_back() -> None:
    """Take the lowest scheduling priority and ignore Ctrl-C, which the parent process handles.

    Raises:
        ValueError: see `lower_priority`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lower_priority()


def _handlers(setup: Setup) -> tuple[Mapping[str, Handler], str]:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(setup.threads)  # the libraries read it when they are loaded below
    import cv2

    cv2.setNumThreads(setup.threads)
    from inpaint.fills.jobs import Filler

    filler = Filler(setup.weights, setup.device, setup.steps)
    if setup.weights is not None:
        import torch

        torch.set_num_threads(setup.threads)
        if setup.device.startswith("cuda"):
            total = torch.cuda.get_device_properties(setup.device).total_memory
            share = min(1.0, setup.memory_mb * 1e6 / total)
            torch.cuda.set_per_process_memory_fraction(share, torch.device(setup.device))

    handlers: dict[str, Handler] = {"masked": filler.masked, "gap": filler.gap, "look": filler.look}
    if (render := setup.render) is not None:
        handlers["render"] = lambda job, check: render(job, filler, check)
    return handlers, filler.method


def _one(pipe: Connection, message: tuple[Any, ...], handlers: Mapping[str, Handler], setup: Setup) -> bool:
    """Do one job and report its result. Returns False if the process should end."""
    _, number, kind, request = message
    looked_s = 0.0

    def check() -> None:
        nonlocal looked_s
        now_s = time.monotonic()
        if now_s - looked_s < CANCEL_EVERY_S:
            return
        looked_s = now_s
        while pipe.poll():
            try:
                told = pipe.recv()
            except (EOFError, OSError):
                raise Ended from None
            if told is None:
                raise Ended
            if told == ("cancel", number):
                raise JobStopped

    try:
        with gpu_turn(setup.device, check):
            started_s = time.perf_counter()
            if kind not in handlers:
                raise LookupError(f"this process takes no {kind} jobs")
            result = handlers[kind](request, check)
            seconds = time.perf_counter() - started_s
    except Ended:
        return False
    except JobStopped:
        return _tell(pipe, ("stopped", number))
    except Exception as exc:  # the job failed, but the process goes on
        return _tell(pipe, ("failed", number, f"{type(exc).__name__}: {exc}"))
    full = resident_mb() > setup.memory_mb
    return _tell(pipe, ("done", number, result, seconds, full)) and not full


def _tell(pipe: Connection, message: tuple[Any, ...]) -> bool:
    """Send a message. Returns False if the parent has ended."""
    try:
        pipe.send(message)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def lowest_stream(device: str) -> Iterator[None]:
    """Run the block on a CUDA stream of the lowest priority. Does nothing on other devices."""
    if not device.startswith("cuda"):
        yield
        return
    import torch

    lowest = torch.cuda.Stream.priority_range()[0]  # type: ignore[call-arg]  # static, the stub says else
    stream = torch.cuda.Stream(torch.device(device), priority=lowest)  # type: ignore[no-untyped-call]
    with torch.cuda.stream(stream):
        yield


@contextlib.contextmanager
def gpu_turn(device: str, check: Callable[[], None] = lambda: None, wait_s: float = 0.05) -> Iterator[None]:
    """Hold this machine's lock for fills on a GPU. Processes that use the same card take turns.

    Args:
        device: device of the fill. "cpu" needs no lock.
        check: called while waiting. It raises to give up.
        wait_s: time between two attempts, seconds.
    """
    if device == "cpu":
        yield
        return
    with turn(f"fill {device}", check, wait_s):
        yield
