"""The parent's side of one fill process: start it, exchange messages with it, end it."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

from stream.filling.child import main
from stream.filling.types import Setup
from stream.processes import processor_s

POLL_S = 0.05  # how often it is checked whether a running job is still wanted
START_S = 120.0  # most processor time of a start, and the longest time in which none is used


class Crashed(Exception):  # noqa: N818  # caught by the worker alone
    """The process died, or was killed because it did not answer."""


class ProcessRefused(Exception):  # noqa: N818
    """The process started but cannot work because weights or packages are missing."""


class FillProcess:
    """Starts a fill process and exchanges messages with it.

    All methods except `end` belong to one thread.

    Args:
        setup: what the process works with.
        grace_s: time that the process has to stop a job before it is killed, seconds.
    """

    def __init__(self, setup: Setup, grace_s: float) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold
        self._pipe: Connection
        self._pipe, theirs = context.Pipe()
        self._grace_s = grace_s
        self.ready = False
        self._ending = threading.Lock()
        self._process = context.Process(target=main, args=(theirs, setup), name="livery-fill", daemon=True)
        self._process.start()
        theirs.close()  # so that the pipe ends with the process

    @property
    def pid(self) -> int | None:
        """Id of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.is_alive()

    def await_ready(self, give_up: Callable[[], bool]) -> str:
        """Wait until the process can work. Returns the method with which it fills.

        At the lowest priority a start may take long while other programs keep the processor busy. The process
        hangs if it uses two minutes of the processor, or none for two minutes.

        Raises:
            ProcessRefused: the process cannot work.
            Crashed: the process died or hangs, or `give_up` returned True.
        """
        pid, used_s, since_s = self._process.pid, 0.0, time.monotonic()
        assert pid is not None
        while not self._readable():
            if give_up():
                raise Crashed("it is no longer wanted")
            if (now_s := processor_s(pid)) > used_s:
                used_s, since_s = now_s, time.monotonic()
            if used_s > START_S or time.monotonic() - since_s > START_S:
                raise Crashed(f"it was not ready after {used_s:.0f} s of processor time")
        kind, text = self._receive()
        if kind == "refused":
            raise ProcessRefused(text)
        self.ready = True
        return str(text)

    def converse(
        self, number: int, kind: str, request: object, why_not: Callable[[], str | None]
    ) -> tuple[Any, ...]:
        """Have the process do a job. Returns its answer.

        Args:
            number: number of the job.
            kind: kind of the job.
            request: what the job works on.
            why_not: called repeatedly while the job runs. A returned reason stops the job.

        Raises:
            Crashed: the process died, or was killed because it did not stop.
        """
        # a thread sends, since a process that hangs does not empty the pipe
        sender = threading.Thread(target=self._send, args=(("job", number, kind, request),), daemon=True)
        sender.start()
        kill_s: float | None = None
        while not self._readable():
            reason = why_not()
            if kill_s is None and reason is not None:
                kill_s = time.monotonic() + self._grace_s
                threading.Thread(target=self._cancel, args=(sender, number), daemon=True).start()
            elif kill_s is not None and time.monotonic() > kill_s:
                self._process.kill()
                raise Crashed(f"it did not stop within {self._grace_s:g} s, though {reason}")
        return self._receive()

    def _cancel(self, sender: threading.Thread, number: int) -> None:
        sender.join()  # the pipe takes one message at a time
        self._send(("cancel", number))

    def end(self, wait_s: float) -> None:
        """Ask the process to end, and kill it if that takes longer than `wait_s` seconds."""
        if wait_s > 0 and self._process.is_alive():
            threading.Thread(target=self._send, args=(None,), daemon=True).start()
            self._process.join(wait_s)
        with self._ending:  # two threads may end it at once
            if self._process.is_alive():
                self._process.kill()
            self._process.join(1.0)
            self._pipe.close()

    def _readable(self) -> bool:
        try:
            ready = wait([self._pipe, self._process.sentinel], POLL_S)
        except OSError:  # closed by another thread
            raise Crashed("it was ended") from None
        if self._pipe in ready:
            return True
        if ready:
            if self._pipe.poll():  # it sent a last message before its end
                return True
            raise Crashed(self._how())
        return False

    def _receive(self) -> tuple[Any, ...]:
        try:
            message: tuple[Any, ...] = self._pipe.recv()
        except (EOFError, OSError):
            raise Crashed(self._how()) from None
        return message

    def _send(self, message: object) -> None:
        try:
            self._pipe.send(message)
        except (OSError, ValueError):
            return  # it has ended; the caller that waits for its answer notices

    def _how(self) -> str:
        """Describe how the process ended."""
        until_s = time.monotonic() + 1.0
        while (code := self._process.exitcode) is None and time.monotonic() < until_s:
            time.sleep(0.005)  # its pipe closes a moment before its exit code can be read
        if code is None:
            return "it closed its pipe"
        return f"signal {-code}" if code < 0 else f"exit code {code}"
