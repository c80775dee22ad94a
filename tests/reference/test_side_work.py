from __future__ import annotations

import ctypes
import logging
import os
import sys
import threading
from typing import Any

import pytest

from reference.side_work import InlineWorker, SideWorker, make_worker, step_aside


def boom() -> None:
    raise RuntimeError("no such luck")


class Native:
    """Stands in for what a system's library offers; keeps the calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[object, ...]]] = []
        self.kernel32 = self

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: object) -> object:
            self.calls.append((name, arguments))
            return 7

        setattr(self, name, call)
        return call


def test_each_system_lowers_the_thread_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("this would change the process")

    native = Native()
    monkeypatch.setattr(os, "setpriority", refuse)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: native)
    monkeypatch.setattr(ctypes, "windll", native, raising=False)
    for system in ("darwin", "win32", "freebsd14"):
        monkeypatch.setattr(sys, "platform", system)
        step_aside()
    assert native.calls == [
        ("pthread_set_qos_class_self_np", (0x11, 0)),
        ("GetCurrentThread", ()),
        ("SetThreadPriority", (7, -1)),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="threads have nice values on Linux")
def test_on_linux_the_thread_becomes_nicer_and_the_process_stays() -> None:
    seen: list[int] = []

    def look() -> None:
        step_aside()
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [max(10, os.getpriority(os.PRIO_PROCESS, 0))]


def test_the_newest_waiting_job_drops_the_older() -> None:
    worker = SideWorker()
    started, leave, ran = threading.Event(), threading.Event(), []

    def first() -> None:
        started.set()
        assert leave.wait(10)
        ran.append(1)

    done = threading.Event()

    def last() -> None:
        ran.append(3)
        done.set()

    worker.submit(first)
    assert started.wait(10)
    worker.submit(lambda: ran.append(2))
    worker.submit(last)
    leave.set()
    assert done.wait(10)
    worker.close()
    assert ran == [1, 3]


def test_a_failing_job_is_logged_counted_and_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    worker = SideWorker()
    done = threading.Event()
    with caplog.at_level(logging.ERROR, "reference.side_work"):
        ended = threading.Event()

        def failing() -> None:
            ended.set()
            boom()

        worker.submit(failing)
        assert ended.wait(10)
        worker.submit(done.set)
        assert done.wait(10)
        worker.close()
    assert worker.failures == 1
    assert "no such luck" in caplog.text


def test_close_ends_the_thread_and_drops_what_comes_later() -> None:
    before = threading.active_count()
    worker = SideWorker()
    assert threading.active_count() == before  # it starts with the first job
    ran = threading.Event()
    worker.submit(ran.set)
    assert ran.wait(10)
    worker.close()
    assert threading.active_count() == before
    late = threading.Event()
    worker.submit(late.set)
    assert not late.wait(0.05)


def test_inline_work_is_done_on_return() -> None:
    worker = make_worker(background=False)
    assert isinstance(worker, InlineWorker)
    ran: list[int] = []
    worker.submit(lambda: ran.append(1))
    worker.submit(boom)
    worker.close()
    assert ran == [1]
    assert worker.failures == 1
