"""Keyframes' holes filled through the worker: nobody waits, the stream shows it, the page says how it is."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from correspondence.errors import WeightsError
from correspondence.types import Float, Image
from inpaint import fill_classical
from reference.keyframes import FillHint, LaterFill
from stream.fill import WorkerFill, make_worker
from stream.worker import FillWorker
from stream.worker_child import Setup
from stream.worker_types import JobError, WorkerConfig

WAIT_S = 60.0


@pytest.fixture
def worker() -> Iterator[FillWorker]:
    made = FillWorker(Setup(), WorkerConfig(max_jobs=1, back_off_s=0.05))
    yield made
    made.close()


def hole() -> tuple[Image, Float, FillHint]:
    image = np.random.default_rng(3).integers(0, 255, (64, 64, 3), np.uint8)
    mask = np.zeros((64, 64), np.float32)
    mask[20:40, 24:44] = 1
    return image, mask, FillHint(landmarks=None, reference=image, reference_landmarks=None)


def test_a_direct_call_gives_what_the_classical_fill_gives(worker: FillWorker) -> None:
    image, mask, hint = hole()
    np.testing.assert_array_equal(WorkerFill(worker)(image, mask, hint), fill_classical(image, mask))


def test_later_returns_at_once_however_slow_the_process_is(worker: FillWorker) -> None:
    image, mask, hint = hole()
    fill = WorkerFill(worker)
    assert isinstance(fill, LaterFill)
    fill(image, mask, hint)
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # as slow as can be
    made: Future[Image] = Future()
    started_s = time.perf_counter()
    fill.later(image, mask, hint, made.set_result, lambda: True)
    unwanted: list[Image] = []
    for _ in range(3):  # more than the queue takes: told in the log, not raised
        fill.later(image, mask, hint, unwanted.append, lambda: False)
    assert time.perf_counter() - started_s < 0.2
    os.kill(pid, signal.SIGCONT)
    np.testing.assert_array_equal(made.result(WAIT_S), fill_classical(image, mask))
    assert unwanted == []


def test_a_fill_no_longer_wanted_brings_nothing(worker: FillWorker) -> None:
    image, mask, hint = hole()
    fill = WorkerFill(worker)
    brought: list[Image] = []
    fill.later(image, mask, hint, brought.append, lambda: False)
    until_s = time.monotonic() + WAIT_S
    while worker.status().dropped == 0:
        assert time.monotonic() < until_s
        time.sleep(0.01)
    assert worker.pid is None  # no process was started for it
    assert brought == []


def test_a_closed_worker_tells_a_direct_caller(worker: FillWorker) -> None:
    worker.close()
    with pytest.raises(JobError, match="closed"):
        WorkerFill(worker)(*hole())


def test_asked_for_weights_must_be_there(tmp_path: Any) -> None:
    with pytest.raises(WeightsError, match="no diffusion weights at"):
        make_worker(tmp_path)
