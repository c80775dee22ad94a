"""Keyframes' holes filled through the worker: nobody waits, the stream shows it, the page says how it is."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from correspondence import Float, Image, Landmarks, WeightsError
from inpaint import fill_classical
from inpaint.fills.jobs import Filler
from reference import FillHint
from reference.keyframes.drawn import GapFill, KeyframeGap, LaterFill
from stream.filling.fill import WorkerFill, make_worker
from stream.filling.jobs import gap_job
from stream.filling.types import JobError, Setup, WorkerConfig
from stream.filling.worker import FillWorker
from stream.offline.made import DirectFill

WAIT_S = 300.0  # what a busy machine may take
pytestmark = pytest.mark.timeout(700)


@pytest.fixture(autouse=True)
def no_deadline_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer than a live keyframe is of use, only to start the process."""
    monkeypatch.setattr("stream.filling.fill.LIVE_DEADLINE_S", WAIT_S)


@pytest.fixture
def worker() -> Iterator[FillWorker]:
    made = FillWorker(Setup(), WorkerConfig(max_jobs=1, back_off_s=0.05))
    yield made
    made.close()


def hole() -> tuple[Image, Float, FillHint]:
    image = np.random.default_rng(3).integers(0, 255, (64, 64, 3), np.uint8)
    mask = np.zeros((64, 64), np.float32)
    mask[20:40, 24:44] = 1
    return image, mask, FillHint(landmarks=None, reference=image, reference_landmarks=None, live=image)


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


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    from inpaint.model.checkpoints import AUTOENCODER, DENOISER, save
    from tests.inpaint.tiny import tiny_autoencoder, tiny_denoiser

    folder: Path = tmp_path_factory.mktemp("weights")
    save(folder / AUTOENCODER, tiny_autoencoder(), {})
    save(folder / DENOISER, tiny_denoiser(), {})
    return folder


def gap(size: tuple[int, int] = (96, 96)) -> KeyframeGap:
    """Two frames between two larger pictures, each with another hole."""
    rng = np.random.default_rng(7)

    def posed(height: int, width: int) -> tuple[Image, Landmarks]:
        smooth = np.kron(rng.integers(0, 255, (height // 8, width // 8, 3)), np.ones((8, 8, 1)))
        points = rng.normal((width / 2, height / 2, 0), 0.1 * height, (478, 3)).astype(np.float32)
        return smooth.astype(np.uint8), Landmarks(points, (height, width))

    holes = [np.zeros(size, np.float32) for _ in range(2)]
    holes[0][30:50, 20:50], holes[1][50:70, 40:80] = 1, 1
    frames = (posed(*size), posed(*size))
    return KeyframeGap(ends=(posed(192, 256), posed(*size)), frames=frames, holes=tuple(holes))


def test_a_gap_becomes_a_job_of_one_size() -> None:
    asked = gap()
    job = gap_job(asked)
    assert sorted(job.references) == [0, 3]
    assert sorted(job.bases) == [1, 2]
    assert {p.shape for p in job.references.values()} == {(96, 96, 3)}
    np.testing.assert_array_equal(job.references[3], asked.ends[1][0])
    for n in (1, 2):
        np.testing.assert_array_equal(job.bases[n][0], asked.frames[n - 1][0])
        np.testing.assert_array_equal(job.bases[n][1], asked.holes[n - 1])
    fitted, points = job.references[0], job.landmarks[0]
    assert points is not None
    assert points.image_size == (96, 96)
    assert (fitted[:12] == fitted[12]).all()  # 192 x 256 becomes 72 x 96: 12 rows are left
    there = asked.ends[0][1]
    assert there is not None
    scale = 96 / 256  # of both sides: no face is stretched
    np.testing.assert_allclose(points.points[:, 0], (there.points[:, 0] + 0.5) * scale - 0.5, atol=1e-3)
    np.testing.assert_allclose(points.points[:, 1], (there.points[:, 1] + 0.5) * scale + 11.5, atol=1e-3)


def check_filled(asked: KeyframeGap, made: Sequence[Image]) -> None:
    assert len(made) == 2
    for (picture, _), hole, new in zip(asked.frames, asked.holes, made, strict=True):
        np.testing.assert_array_equal(new[hole == 0], picture[hole == 0])
        inner = np.zeros_like(hole)
        inner[8:-8, 8:-8] = hole[8:-8, 8:-8]
        assert (new != picture).any(axis=2)[inner > 0].mean() > 0.5


def test_frames_between_two_keyframes_are_filled_by_the_model(weights: Path) -> None:
    worker = FillWorker(Setup(weights=weights, steps=1))
    fill, asked = WorkerFill(worker), gap()
    assert isinstance(fill, GapFill)
    try:
        made: Future[Sequence[Image]] = Future()
        fill.between(asked, made.set_result, lambda: True)
        check_filled(asked, made.result(WAIT_S))
        brought: list[Sequence[Image]] = []
        fill.between(asked, brought.append, lambda: False)
        until_s = time.monotonic() + WAIT_S
        while worker.status().dropped == 0:
            assert time.monotonic() < until_s
            time.sleep(0.01)
        assert brought == []
        assert worker.status().done == 1
    finally:
        worker.close()
    fill.between(asked, brought.append, lambda: True)  # told in the log, not raised
    assert brought == []


def test_nothing_is_asked_of_a_worker_that_cannot_invent(worker: FillWorker) -> None:
    brought: list[Sequence[Image]] = []
    WorkerFill(worker).between(gap(), brought.append, lambda: True)
    assert brought == []
    assert worker.pid is None
    assert worker.status().state == "idle"


def test_a_file_waits_for_its_fills(weights: Path) -> None:
    asked, brought = gap(), list[Sequence[Image]]()
    fill = DirectFill(Filler(weights, steps=1))
    assert isinstance(fill, GapFill)
    assert not isinstance(fill, LaterFill)
    fill.between(asked, brought.append, lambda: False)
    assert brought == []
    fill.between(asked, brought.append, lambda: True)
    check_filled(asked, brought[0])
    DirectFill(Filler(None)).between(asked, brought.append, lambda: True)
    assert len(brought) == 1
    image, mask, hint = hole()
    np.testing.assert_array_equal(DirectFill(Filler(None))(image, mask, hint), fill_classical(image, mask))
