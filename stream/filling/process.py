"""One fill process as its parent sees it: started, talked to, ended."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

from stream.filling.child import main
from stream.filling.types import Setup

POLL_S = 0.05  # how often a running job is asked whether it is still wanted
START_S = 120.0  # longest start: imports and weights at the lowest priority


class Crashed(Exception):  # noqa: N818  # caught by the worker alone
    """The process died, or was killed since it did not answer."""


class ProcessRefused(Exception):  # noqa: N818
    """The process started and says it cannot work: weights or packages are missing."""


class FillProcess:
    """Starts a process; every method belongs to one thread, but for `end`.

    Args:
        setup: what it works with.
        grace_s: how long it may take to stop a job before it is killed.
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
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.is_alive()

    def await_ready(self, give_up: Callable[[], bool]) -> str:
        """Wait until it can work; returns what it fills with.

        Raises:
            Refused: it cannot. Crashed: it died, is not ready in two minutes, or `give_up` says so.
        """
        until_s = time.monotonic() + START_S
        while not self._readable():
            if give_up() or time.monotonic() > until_s:
                raise Crashed(f"it was not ready within {START_S:.0f} s")
        kind, text = self._receive()
        if kind == "refused":
            raise ProcessRefused(text)
        self.ready = True
        return str(text)

    def converse(
        self, number: int, kind: str, request: object, why_not: Callable[[], str | None]
    ) -> tuple[Any, ...]:
        """Have a job done; returns the process's answer.

        Args:
            number: of the job; kind, request: what to do.
            why_not: asked all along; a reason stops the job.

        Raises:
            Crashed: the process died, or was killed since it did not stop.
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
        """End it: asked to, and killed where that takes longer than `wait_s`."""
        if wait_s > 0 and self._process.is_alive():
            threading.Thread(target=self._send, args=(None,), daemon=True).start()
            self._process.join(wait_s)
        with self._ending:  # two threads may want its end
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
            if self._pipe.poll():  # its last words came before its end
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
            return  # it is gone; who waits for its answer finds out

    def _how(self) -> str:
        """How it ended, in words."""
        until_s = time.monotonic() + 1.0
        while (code := self._process.exitcode) is None and time.monotonic() < until_s:
            time.sleep(0.005)  # its files are closed a moment before its exit can be read
        if code is None:
            return "it closed its pipe"
        return f"signal {-code}" if code < 0 else f"exit code {code}"
