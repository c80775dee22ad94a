"""The fill worker with a real process: order, limits, deadlines, crashes, the end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from inpaint.fills.jobs import GapJob, MaskedJob
from stream.filling.child import gpu_turn
from stream.filling.process import Crashed, FillProcess
from stream.filling.types import Job, JobError, Priority, Setup, WorkerConfig
from stream.filling.worker import FillWorker

WAIT_S = 60.0


def masked(side: int = 48) -> MaskedJob:
    image = np.full((side, side, 3), 120, np.uint8)
    image[: side // 2] = 60
    mask = np.zeros((side, side), np.float32)
    mask[20:28, 20:28] = 1
    return MaskedJob(image=image, mask=mask)


def gap(count: int = 3) -> GapJob:
    a, b = np.full((32, 32, 3), 40, np.uint8), np.full((32, 32, 3), 200, np.uint8)
    return GapJob(references={0: a, count + 1: b}, landmarks=dict.fromkeys(range(count + 2)))


@pytest.fixture(scope="module")
def shared() -> Iterator[FillWorker]:
    worker = FillWorker(config=WorkerConfig(max_jobs=2, back_off_s=0.05, grace_s=0.3))
    yield worker
    worker.close()


@pytest.fixture
def worker(shared: FillWorker) -> FillWorker:
    """The shared worker, warm: its process runs and waits."""
    shared.submit(Priority.MASKED, masked(), deadline_s=WAIT_S).future.result(WAIT_S)
    return shared


class Frozen:
    """The worker's process stopped (SIGSTOP) with a job in its hands."""

    def __init__(self, worker: FillWorker) -> None:
        self._worker = worker
        pid = worker.pid
        assert pid is not None
        self.pid = pid

    def __enter__(self) -> Frozen:
        os.kill(self.pid, signal.SIGSTOP)
        self.job = self._worker.submit(Priority.MASKED, masked(), deadline_s=WAIT_S)
        eventually(lambda: self._worker.status().state == "running masked")
        return self

    def __exit__(self, *_: object) -> None:
        if self._worker.pid == self.pid:
            os.kill(self.pid, signal.SIGCONT)


def eventually(holds: Callable[[], bool]) -> None:
    until_s = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < until_s, "waited too long"
        time.sleep(0.01)


def test_a_hole_is_filled_in_a_process_of_its_own(worker: FillWorker) -> None:
    request = masked()
    made = worker.submit(Priority.MASKED, request, deadline_s=WAIT_S).future.result(WAIT_S)
    np.testing.assert_array_equal(made[request.mask == 0], request.image[request.mask == 0])
    pid = worker.pid
    assert pid is not None
    assert pid != os.getpid()
    assert worker.status().method == "classical (OpenCV)"


def test_the_process_takes_the_lowest_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIVERY_SIDE_PRIORITY")  # tests/conftest.py sets it
    process = FillProcess(Setup(), 0.3)
    try:
        pid = process.pid
        assert pid is not None
        eventually(lambda: os.sched_getscheduler(pid) == os.SCHED_IDLE)
        assert os.getpriority(os.PRIO_PROCESS, pid) == 19
    finally:
        process.end(0.0)


def test_a_start_that_is_slow_is_waited_for_and_one_that_hangs_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stream.filling.process.START_S", 0.5)
    used_s = count(0.0, 0.001)  # of a process to which others leave little
    monkeypatch.setattr("stream.filling.process.processor_s", lambda pid: next(used_s))
    process = FillProcess(Setup(), 0.3)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    threading.Timer(1.5, os.kill, (process.pid, signal.SIGCONT)).start()
    assert process.await_ready(lambda: False) == "classical (OpenCV)"
    process.end(0.0)
    for used in (0.0, 0.6):  # stuck, or at work on something else
        monkeypatch.setattr("stream.filling.process.processor_s", lambda pid, used=used: used)
        process = FillProcess(Setup(), 0.3)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(Crashed, match=f"not ready after {used:.0f} s of processor time"):
            process.await_ready(lambda: False)
        process.end(0.0)


def test_a_gap_is_made_frame_by_frame(worker: FillWorker) -> None:
    made = worker.submit(Priority.GAP, gap(), deadline_s=WAIT_S).future.result(WAIT_S)
    assert sorted(made) == [1, 2, 3]
    means = [made[n].mean() for n in (1, 2, 3)]
    assert means == pytest.approx([80, 120, 160], abs=3)


def test_masked_fills_go_before_gaps(worker: FillWorker) -> None:
    order: list[str] = []

    def note(job: Job, name: str) -> None:
        job.future.add_done_callback(lambda _: order.append(name))

    with Frozen(worker) as frozen:
        late = worker.submit(Priority.GAP, gap(), deadline_s=WAIT_S)
        soon = worker.submit(Priority.MASKED, masked(), deadline_s=WAIT_S)
        for job, name in ((frozen.job, "first"), (late, "gap"), (soon, "masked")):
            note(job, name)
        assert worker.status().queued == 2
    late.future.result(WAIT_S)
    assert order == ["first", "masked", "gap"]


def test_a_full_queue_says_so_and_gives_up_the_least_urgent(worker: FillWorker) -> None:
    with Frozen(worker):
        gaps = [worker.submit(Priority.GAP, gap(), deadline_s=WAIT_S) for _ in range(2)]
        with pytest.raises(JobError, match=r"holds 2 jobs .* try again later"):
            worker.submit(Priority.GAP, gap())
        urgent = worker.submit(Priority.MASKED, masked(), deadline_s=WAIT_S)
        with pytest.raises(JobError, match="more urgent"):
            gaps[1].future.result(WAIT_S)
    assert urgent.future.result(WAIT_S).shape == (48, 48, 3)
    assert sorted(gaps[0].future.result(WAIT_S)) == [1, 2, 3]


def test_a_job_too_large_for_the_queue_is_refused() -> None:
    small = FillWorker(config=WorkerConfig(max_bytes=1000))
    with pytest.raises(JobError, match="larger than the fill queue's"):
        small.submit(Priority.MASKED, masked())
    small.close()


def test_late_and_stale_jobs_are_dropped_without_running(worker: FillWorker) -> None:
    before = worker.status()
    with Frozen(worker):
        late = worker.submit(Priority.MASKED, masked(), deadline_s=0.0)
        stale = worker.submit(Priority.MASKED, masked(), fresh=lambda: False)
    with pytest.raises(JobError, match="deadline"):
        late.future.result(WAIT_S)
    with pytest.raises(JobError, match="no longer wanted"):
        stale.future.result(WAIT_S)
    after = worker.status()
    assert after.dropped == before.dropped + 2
    assert after.done == before.done + 1


def test_a_killed_process_costs_one_more_try(worker: FillWorker) -> None:
    before = worker.status()
    with Frozen(worker) as frozen:
        os.kill(frozen.pid, signal.SIGKILL)
        assert frozen.job.future.result(WAIT_S).shape == (48, 48, 3)
    after = worker.status()
    assert after.restarts == before.restarts + 1
    assert after.retried == before.retried + 1
    assert "died during a masked job (signal 9); it is tried again" in after.last_error
    assert worker.pid != frozen.pid


def test_a_job_that_hangs_is_killed_at_its_deadline(worker: FillWorker) -> None:
    before = worker.status()
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    job = worker.submit(Priority.MASKED, masked(), deadline_s=0.3)
    with pytest.raises(JobError, match="deadline"):
        job.future.result(WAIT_S)
    assert worker.status().restarts == before.restarts + 1
    assert worker.submit(Priority.MASKED, masked(), deadline_s=WAIT_S).future.result(WAIT_S) is not None


def test_a_job_that_fails_leaves_the_process_alone(worker: FillWorker) -> None:
    pid = worker.pid
    wrong = MaskedJob(image=masked().image, mask=np.zeros((3, 3), np.float32))
    with pytest.raises(JobError, match="mask must be float32"):
        worker.submit(Priority.MASKED, wrong, deadline_s=WAIT_S).future.result(WAIT_S)
    assert worker.pid == pid
    assert "mask must be float32" in worker.status().last_error


def test_closing_leaves_no_process_and_no_job(tmp_path: Path) -> None:
    worker = FillWorker()
    first = worker.submit(Priority.MASKED, masked(), deadline_s=WAIT_S)
    first.future.result(WAIT_S)
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    running = worker.submit(Priority.MASKED, masked(), deadline_s=WAIT_S)
    eventually(lambda: worker.status().state == "running masked")
    waiting = worker.submit(Priority.GAP, gap(), deadline_s=WAIT_S)
    started_s = time.monotonic()
    worker.close()
    assert time.monotonic() - started_s < 3
    for job in (running, waiting):
        with pytest.raises(JobError, match="closed"):
            job.future.result(5)
    assert not Path(f"/proc/{pid}").exists()
    assert worker.status().state == "closed"
    with pytest.raises(JobError, match="closed"):
        worker.submit(Priority.MASKED, masked())


def test_missing_weights_are_told_once(tmp_path: Path) -> None:
    worker = FillWorker(Setup(weights=tmp_path))
    with pytest.raises(JobError, match=r"no diffusion weights at .* `livery train autoencoder"):
        worker.submit(Priority.MASKED, masked(), deadline_s=WAIT_S).future.result(WAIT_S)
    assert worker.status().state == "refused"
    worker.close()


def test_a_worker_without_a_renderer_says_so(worker: FillWorker) -> None:
    job = worker.submit(Priority.RENDER, masked(), deadline_s=WAIT_S)
    with pytest.raises(JobError, match="takes no render jobs"):
        job.future.result(WAIT_S)


def test_an_idle_process_is_ended_and_started_again() -> None:
    worker = FillWorker(config=WorkerConfig(idle_s=0.2))
    worker.submit(Priority.MASKED, masked(), deadline_s=WAIT_S).future.result(WAIT_S)
    eventually(lambda: worker.pid is None)
    worker.submit(Priority.MASKED, masked(), deadline_s=WAIT_S).future.result(WAIT_S)
    assert worker.status().restarts == 0
    worker.close()


def test_processes_of_one_card_take_turns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def give_up() -> None:
        raise TimeoutError

    with gpu_turn("cuda:0"):
        with pytest.raises(TimeoutError), gpu_turn("cuda:0", give_up, wait_s=0.01):
            pass
        with gpu_turn("cuda:1", give_up):
            pass
    with gpu_turn("cuda:0", give_up):
        pass
