"""Shoulders and person mask, and the thread that keeps them fresh."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from correspondence import Image
from correspondence.face.body import Body, BodyDetector, BodyWatcher


class Slow(BodyDetector):
    """Stands in for the models: waits to be let go, then says which frame it saw."""

    def __init__(self) -> None:
        self.seen: list[float] = []
        self.busy, self.go = threading.Event(), threading.Event()
        self.closed = False

    def __call__(self, image: Image, now_s: float) -> Body:
        self.busy.set()
        assert self.go.wait(5)
        self.seen.append(now_s)
        if now_s < 0:
            raise ValueError("a model that fails")
        return Body(None, np.zeros((2, 2), np.float32), (image.shape[0], image.shape[1]), now_s)

    def close(self) -> None:
        self.closed = True


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


FRAME = np.zeros((8, 8, 3), np.uint8)


def test_shoulders_and_mask_of_a_person(astronaut: Image) -> None:
    detector = BodyDetector()
    body = detector(astronaut, 3.5)
    detector.close()
    assert body.time_s == 3.5
    assert body.shoulders is not None
    left, right = body.shoulders
    assert left[0] > right[0] + 150, "the person's left is on the picture's right"
    assert 180 < left[1] < 330
    assert body.frame_size == (512, 512)
    mask = cv2.resize(body.mask, (512, 512))
    assert mask[130, 225] > 0.9, "the face is person"
    assert mask[40, 30] < 0.2, "the flag is not"


def test_an_empty_room_has_no_shoulders() -> None:
    detector = BodyDetector()
    body = detector(np.full((90, 160, 3), 128, np.uint8), 0.0)
    detector.close()
    assert body.shoulders is None
    assert body.frame_size == (90, 160)


def test_only_the_newest_waiting_frame_is_looked_at() -> None:
    slow = Slow()
    with BodyWatcher(every=1, detector=slow) as watcher:
        assert watcher.latest is None
        watcher.offer(FRAME, 0.0)
        assert slow.busy.wait(5)
        start = time.monotonic()
        for now_s in (1.0, 2.0, 3.0):
            watcher.offer(FRAME, now_s)
        assert time.monotonic() - start < 1, "offering never waits for the models"
        slow.go.set()
        wait_until(lambda: watcher.latest is not None and watcher.latest.time_s == 3.0)
        assert slow.seen == [0.0, 3.0]
    assert slow.closed


def test_every_nth_frame_is_taken() -> None:
    slow = Slow()
    slow.go.set()
    with BodyWatcher(every=3, detector=slow) as watcher:
        for now_s in range(7):
            watcher.offer(FRAME, float(now_s))
            if now_s % 3 == 0:
                wait_until(lambda now_s=now_s: slow.seen[-1:] == [float(now_s)])  # type: ignore[misc]
    assert slow.seen == [0.0, 3.0, 6.0]


def test_a_failure_is_raised_at_the_next_offer() -> None:
    slow = Slow()
    slow.go.set()
    watcher = BodyWatcher(every=1, detector=slow)
    watcher.offer(FRAME, -1.0)
    wait_until(lambda: slow.closed)
    with pytest.raises(RuntimeError, match="body models failed"):
        watcher.offer(FRAME, 1.0)


def test_a_closed_watcher_says_so() -> None:
    watcher = BodyWatcher(detector=Slow())
    watcher.close()
    with pytest.raises(RuntimeError, match="closed: make a new one"):
        watcher.offer(FRAME, 0.0)
