"""The pipeline's thread: newest frame only, failures passed through, stalls left behind."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from correspondence import Image
from reference import Decision, Outfit, Result, StageError, Workshop
from stream.live import pipeline as session_pipeline
from stream.live.pipeline import LiveFrame, Pipeline
from stream.live.thinning import MOST_THIN
from stream.metrics import Registry, SessionMetrics
from tests.stream.rig import publishing, serving, watching


class Brighter:
    """A propagator that adds one to every pixel, and fails or dawdles when told to."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.error: Exception | None = None
        self.threads: set[str] = set()
        self.closed = False
        self.levels: list[int] = []  # what it was told by `give_way`

    def step(self, frame: Image, now_s: float) -> Result:
        self.threads.add(threading.current_thread().name)
        time.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        return Result(frame + np.uint8(1), None, None, None, 0.5, None, [], {"match": 0.001})

    @property
    def workshop(self) -> Workshop:
        raise NotImplementedError

    def limit_faces(self, faces: int) -> None: ...

    def give_way(self, thin: int) -> None:
        self.levels.append(thin)

    def put_on(self, outfit: Outfit | None, *, enabled: bool = True, strength: float = 1.0) -> None:
        raise AssertionError("not used here")

    @property
    def decision(self) -> Decision | None:
        return None

    def close(self) -> None:
        self.closed = True


class Sink:
    """Collects what the pipeline delivers: first pixel, capture time and delay of each picture."""

    def __init__(self) -> None:
        self.got: list[tuple[int, float, float]] = []

    def __call__(self, image: Image, captured_s: float) -> None:
        self.got.append((int(image[0, 0, 0]), captured_s, time.monotonic() - captured_s))

    def wait(self, count: int) -> None:
        end_s = time.monotonic() + 5
        while len(self.got) < count:
            assert time.monotonic() < end_s, f"{len(self.got)} of {count} pictures came"
            time.sleep(0.002)


def frame(value: int) -> LiveFrame:
    return LiveFrame(np.full((4, 6, 3), value, np.uint8), time.monotonic())


Made = tuple[Pipeline, Brighter, Sink, SessionMetrics]


@pytest.fixture
def make() -> Callable[[], Made]:
    def build() -> Made:
        propagator, sink, metrics = Brighter(), Sink(), SessionMetrics(Registry())
        pipeline = Pipeline(propagator, sink, metrics, name="pipeline-test")
        pipeline.start()
        return pipeline, propagator, sink, metrics

    return build


def test_frames_go_through_in_its_own_thread(make: Callable[[], Made]) -> None:
    pipeline, propagator, sink, metrics = make()
    for value in range(3):
        pipeline.submit(frame(value))
        sink.wait(value + 1)
    pipeline.close()
    assert [value for value, *_ in sink.got] == [1, 2, 3]
    assert propagator.threads == {"pipeline-test"}
    assert propagator.closed
    figures = metrics.snapshot(0.0)
    assert figures["dropped"] == 0
    assert set(figures["stages_ms"]) == {"match", "step"}  # type: ignore[call-overload]


def test_a_session_that_is_held_back_thins_its_frames_evenly(make: Callable[[], Made]) -> None:
    pipeline, _, sink, metrics = make()
    pipeline.most_fps = 10.0
    for number in range(90):
        pipeline.submit(LiveFrame(np.zeros((4, 6, 3), np.uint8), 1.0 + number / 30))
        sink.wait(number // 3 + 1)
    assert len(sink.got) == 30
    dropped = metrics.snapshot(0.0)["dropped_at"]
    assert dropped == {"pipeline": 0, "overload": 60}
    pipeline.most_fps = None
    pipeline.submit(frame(1))
    sink.wait(31)
    pipeline.close()
    step_s, cpu_s, fps = metrics.load()
    assert step_s > 0
    assert cpu_s >= 0
    assert fps > 0


def test_the_match_gives_way_while_a_stage_is_slow(make: Callable[[], Made]) -> None:
    pipeline, propagator, sink, _ = make()
    propagator.delay_s = 0.04
    for value in range(40):
        pipeline.submit(LiveFrame(np.zeros((4, 6, 3), np.uint8), 1.0 + value / 30))
        sink.wait(value + 1)
    assert propagator.levels == [1, MOST_THIN]
    assert pipeline.thin == MOST_THIN
    pipeline.close()


def test_a_session_that_is_held_back_has_the_thinnest_match(make: Callable[[], Made]) -> None:
    pipeline, propagator, sink, _ = make()
    pipeline.most_fps = 10.0
    pipeline.submit(frame(1))
    sink.wait(1)
    pipeline.close()
    assert propagator.levels == [MOST_THIN]


def test_a_slow_stage_costs_frames_not_time(make: Callable[[], Made]) -> None:
    pipeline, propagator, sink, metrics = make()
    propagator.delay_s = 0.05
    for value in range(40):
        pipeline.submit(frame(value))
        time.sleep(0.005)
    sink.wait(3)
    time.sleep(0.3)
    pipeline.close()
    assert 3 <= len(sink.got) < 40
    assert sink.got[-1][0] == 40, "the newest frame is never lost"
    assert max(delay for *_, delay in sink.got) < 1.0, "a queue would have grown to 2 s"
    assert metrics.snapshot(0.0)["dropped"] == 40 - len(sink.got)


def test_a_failing_stage_passes_the_frame_and_says_so_once(
    make: Callable[[], Made], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "stream.live.pipeline")
    pipeline, propagator, sink, metrics = make()
    for episode in range(2):
        propagator.error = StageError("match")
        for _ in range(3):
            pipeline.submit(frame(7))
            sink.wait(len(sink.got) + 1)
        assert [value for value, *_ in sink.got[-3:]] == [7, 7, 7], "unedited"
        assert "match" in str(pipeline.reason)
        propagator.error = None
        pipeline.submit(frame(7))
        sink.wait(4 * (episode + 1))
        assert sink.got[-1][0] == 8
        assert pipeline.reason is None
    pipeline.close()
    assert metrics.snapshot(0.0)["failed"] == {"match": 6}
    warned = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 2, "once per episode"


def test_any_exception_stays_inside(make: Callable[[], Made]) -> None:
    pipeline, propagator, sink, metrics = make()
    propagator.error = MemoryError("no room")
    pipeline.submit(frame(1))
    sink.wait(1)
    pipeline.close()
    assert sink.got[0][0] == 1
    assert metrics.snapshot(0.0)["failed"] == {"step": 1}


def test_a_stage_that_hangs_is_passed_by(
    make: Callable[[], Made], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_pipeline, "HANG_S", 0.3)
    pipeline, propagator, sink, metrics = make()
    for done in range(1, session_pipeline.SETTLED + 1):  # its usual duration is known after these
        pipeline.submit(frame(100 + done))
        sink.wait(done)
    propagator.delay_s = 1.5
    pipeline.submit(frame(1))
    time.sleep(0.05)  # the step has begun
    propagator.delay_s = 0.0
    for value in range(10, 100, 10):
        pipeline.submit(frame(value))
        time.sleep(0.1)
    passed = sink.got[session_pipeline.SETTLED :]
    assert len(passed) >= 4
    assert all(value % 10 == 0 for value, *_ in passed), "unedited"
    assert max(delay for *_, delay in passed) < 0.3, "at once"
    assert "live picture is shown" in str(pipeline.reason)
    time.sleep(0.8)
    pipeline.submit(frame(200))
    sink.wait(len(sink.got) + 1)
    time.sleep(0.1)
    pipeline.close()
    values = [value for value, *_ in sink.got]
    assert 2 not in values, "what the hanging step made is stale"
    assert values[-1] == 201, "edited again"
    assert [at for _, at, _ in sink.got] == sorted(at for _, at, _ in sink.got)
    assert metrics.snapshot(0.0)["failed"] == {"hang": 1}
    assert len([r for r in caplog.records if "takes over" in r.getMessage()]) == 1


def test_the_first_steps_of_an_edit_may_take_longer(
    make: Callable[[], Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow machine's first step of a large picture is no hang: nobody knows yet how long it takes."""
    monkeypatch.setattr(session_pipeline, "HANG_S", 0.1)
    pipeline, propagator, sink, metrics = make()
    propagator.delay_s = 0.5
    pipeline.submit(frame(1))
    time.sleep(0.3)
    pipeline.submit(frame(10))
    sink.wait(1)
    pipeline.close()
    assert sink.got[0][0] == 2, "edited, not passed by"
    assert metrics.snapshot(0.0)["failed"] == {}


def test_a_machine_that_is_slow_throughout_shows_what_it_makes(
    make: Callable[[], Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_pipeline, "HANG_S", 0.2)
    pipeline, propagator, sink, _ = make()
    propagator.delay_s = 0.4
    for _ in range(30):
        pipeline.submit(frame(10))
        time.sleep(0.1)
    pipeline.close()
    values = [value for value, *_ in sink.got]
    assert values[-3:] == [11, 11, 11], "edited, if seldom"
    assert values.count(10) < 10, "only the first step was taken for a hang"


async def test_viewers_are_live_again_after_a_stall() -> None:
    async with serving(debug=True) as server:
        client = await server.open()
        session = server.session(client)
        async with publishing(client), watching(client) as screen:
            await screen.after(10)
            await client.ok("POST", "/debug/stall", json={"seconds": 2.0})
            await screen.after(2, limit_s=10)  # unedited ones, after a second
            await asyncio.sleep(0.2)
            await screen.after(8)
            figures = session.status.stats()
            assert figures["dropped_at"]["pipeline"] >= 10  # type: ignore[index]
            newest = [value for _, value in session.status.metrics._latency[False]._samples][-8:]
            assert max(newest) < 1.0, f"soon after a stall of 2 s the latency is back: {newest}"
