"""A look on a live stream: learned in slices, the best serves, and it ends with its edit."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest

from correspondence import Image
from inpaint.fills.jobs import MaskedJob
from inpaint.looks.jobs import LookJob
from inpaint.looks.learned import LearnedLook
from reference import Edit, FillHint
from reference.keyframes.learned import LookLearner
from stream.filling.fill import WorkerFill
from stream.filling.live_look import LiveLook
from stream.filling.types import Job, Priority, Setup, Worker
from stream.filling.worker import FillWorker
from tests.stream.filling.test_look_painter import drawn, picture

WAIT_S = 300.0  # the worker runs when nothing else does
pytestmark = pytest.mark.timeout(700)


class HandWorker:
    """Keeps jobs until they are answered by hand."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def submit(
        self, kind: Priority, request: Any, *, deadline_s: float = 30.0,
        fresh: Callable[[], bool] = lambda: True,
    ) -> Job:  # fmt: skip
        self.jobs.append(Job(kind, request, deadline_s, fresh, len(self.jobs)))
        return self.jobs[-1]


def edit() -> Edit:
    return Edit(picture(1), drawn(picture(1)))


def learned(job: Job, ahead_db: float, steps: int) -> None:
    request: LookJob = cast(Any, job.request)
    job.future.set_result(LearnedLook({}, request.colours, (96, 96), ahead_db=ahead_db, steps=steps))


def test_it_learns_in_slices_and_the_best_serves() -> None:
    worker = HandWorker()
    look = LiveLook(cast(Worker, worker), edit(), lambda: True, slices_s=(1.0, 2.0, 3.0))
    assert not look.ready
    for ahead_db, ready, steps in ((-0.5, False, 0), (3.0, True, 20), (2.0, True, 20)):
        job = worker.jobs[-1]
        assert job.kind is Priority.LOOK is max(Priority)
        learned(job, ahead_db, 10 * len(worker.jobs))
        assert look.ready is ready
        assert (0 if look.learned is None else look.learned.steps) == steps
    assert [cast(Any, job.request).seconds for job in worker.jobs] == [1.0, 2.0, 3.0]
    starts = [cast(Any, job.request).start for job in worker.jobs]
    assert starts[0] is None
    assert [start.steps for start in starts[1:]] == [10, 20], "each goes on where the last one ended"


def test_it_ends_with_its_edit() -> None:
    worker, held = HandWorker(), [True]
    look = LiveLook(cast(Worker, worker), edit(), lambda: held[0])
    assert worker.jobs[0].why_not(0.0) is None
    held[0] = False
    assert worker.jobs[0].why_not(0.0) == "it is no longer wanted"
    learned(worker.jobs[0], 3.0, 10)
    assert len(worker.jobs) == 1
    assert look.ready


def test_it_paints_one_keyframe_at_a_time() -> None:
    worker, brought = HandWorker(), list[Image]()
    look = LiveLook(cast(Worker, worker), edit(), lambda: True, slices_s=(1.0,))
    learned(worker.jobs[0], 3.0, 10)
    live, mask = picture(2), np.ones((96, 96), np.float32)
    hint = FillHint(landmarks=None, reference=live, reference_landmarks=None, live=live)
    look.later(picture(3), mask, hint, brought.append, lambda: True)
    assert not look.ready
    job = worker.jobs[-1]
    assert job.kind is Priority.MASKED
    request: MaskedJob = cast(Any, job.request)
    assert request.look is look.learned
    assert request.context.live is live
    job.future.set_result(live)
    assert look.ready
    assert brought[0] is live


def test_without_torch_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    worker = HandWorker()
    assert not LiveLook(cast(Worker, worker), edit(), lambda: True).ready
    assert not worker.jobs


def test_the_process_learns_and_paints() -> None:
    pytest.importorskip("torch")
    worker = FillWorker(Setup())
    fill = WorkerFill(worker)
    assert isinstance(fill, LookLearner)
    own, live = edit(), picture(2)
    try:
        assert own.stand_in is not None
        request = LookJob(live=own.reference, edited=own.edited, mask=None, colours=own.stand_in, seconds=0.5)
        look: LearnedLook = worker.submit(Priority.LOOK, request, deadline_s=WAIT_S).future.result(WAIT_S)
        assert look.steps > 0
        mask = np.zeros((96, 96), np.float32)
        mask[:, 48:] = 1
        hint = FillHint(landmarks=None, reference=live, reference_landmarks=None, live=live)
        painter = LiveLook(cast(Worker, HandWorker()), own, lambda: True)
        painter._worker, painter._best = worker, look
        brought: list[Image] = []
        plain = own.stand_in.apply(live)
        painter.later(plain, mask, hint, brought.append, lambda: True)
        until_s = time.monotonic() + WAIT_S
        while not brought:
            assert time.monotonic() < until_s
            time.sleep(0.01)
        np.testing.assert_array_equal(brought[0][:, :48], plain[:, :48])
        right = [look.paint(live)[:, 52:], brought[0][:, 52:]]
        assert np.abs(right[0].astype(int) - right[1]).mean() < 1
    finally:
        worker.close()
