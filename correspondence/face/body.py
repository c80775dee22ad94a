"""Shoulders and person mask, computed on a separate thread for the newest of every few frames."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import cv2
import numpy as np

from correspondence.at_exit import close_at_exit
from correspondence.face.mediapipe_graphs import Pose, Segmenter
from correspondence.types import Float, Image, check_image

_SEEN_SIDE = 256  # longer side to which frames are shrunk for the models, pixels
_SHOULDERS = [11, 12]  # BlazePose's landmark numbers: the person's left, then right
_LEAST_VISIBLE = 0.5  # a shoulder of lower visibility counts as not seen


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """The person in one frame.

    Attributes:
        shoulders: the person's left and right shoulder, float32 (2, 2), pixels; None if not seen.
        mask: share of person at each cell of a coarse grid over the frame, float32 (h, w), [0, 1].
        frame_size: (H, W) of the frame.
        time_s: time of the frame, seconds.
    """

    shoulders: Float | None
    mask: Float
    frame_size: tuple[int, int]
    time_s: float


class BodyDetector:
    """Runs the pose model and selfie segmentation on successive frames. It is not thread-safe."""

    def __init__(self) -> None:
        self._pose = Pose()
        self._segmenter = Segmenter()

    def __call__(self, image: Image, now_s: float) -> Body:
        """Find the person in a frame.

        Args:
            image: the frame, RGB uint8 (H, W, 3).
            now_s: time of the frame, seconds.
        """
        height, width = check_image(image)
        ratio = min(1.0, _SEEN_SIDE / max(height, width))
        size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
        seen = np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        shoulders = _shoulders(self._pose(seen), height, width)
        return Body(shoulders, self._segmenter(seen), (height, width), now_s)

    def close(self) -> None:
        """Free MediaPipe's tasks."""
        self._pose.close()
        self._segmenter.close()


def _shoulders(found: Float | None, height: int, width: int) -> Float | None:
    if found is None or found[_SHOULDERS, 2].min() < _LEAST_VISIBLE:
        return None
    return found[_SHOULDERS, :2] * np.array([width, height], np.float32)


class PersonFinder(Protocol):
    """Interface of an object that finds the person in a picture, such as `BodyDetector`."""

    def __call__(self, image: Image, now_s: float) -> Body:
        """Find the person in a frame."""
        ...

    def close(self) -> None:
        """Free its resources."""
        ...


class BodyWatcher:
    """Updates a `Body` on a thread of its own. Callers offer frames and read the latest result.

    The watcher takes every `every`-th frame that is offered. While it is busy, only the newest of these is
    kept. A failure in the models ends the thread and is raised by the next `offer`.
    """

    def __init__(self, every: int = 5, detector: PersonFinder | None = None) -> None:
        if every < 1:
            raise ValueError(f"every must be at least 1, got {every}")
        self._every = every
        self._count = 0
        self._detector = detector
        self._waiting: tuple[Image, float] | None = None
        self._latest: Body | None = None
        self._failure: BaseException | None = None
        self._closed = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="body", daemon=True)
        self._thread.start()
        close_at_exit(self)

    @property
    def latest(self) -> Body | None:
        """The newest result; None before the first. Its `time_s` is the time of its frame."""
        return self._latest

    def offer(self, image: Image, now_s: float) -> None:
        """Offer a frame and return at once. The frame must not be changed afterwards.

        Args:
            image: the frame, RGB uint8 (H, W, 3).
            now_s: time of the frame, seconds.

        Raises:
            RuntimeError: the watcher was closed, or its thread has failed.
        """
        if self._failure is not None:
            raise RuntimeError("the body models failed") from self._failure
        if self._closed:
            raise RuntimeError("this BodyWatcher was closed: make a new one")
        self._count += 1
        if (self._count - 1) % self._every:
            return
        with self._wake:
            self._waiting = image, now_s
            self._wake.notify()

    def close(self, timeout_s: float = 2.0) -> None:
        """Stop the thread and free the models."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join(timeout_s)

    def __enter__(self) -> BodyWatcher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _work(self) -> None:
        detector = self._detector
        try:
            detector = detector or BodyDetector()
            while (job := self._next()) is not None:
                self._latest = detector(*job)
        except Exception as error:  # handed to the next offer
            self._failure = error
        finally:
            if detector is not None:
                detector.close()

    def _next(self) -> tuple[Image, float] | None:
        """Wait for a frame and return the newest; None once the watcher is closed."""
        with self._wake:
            while self._waiting is None and not self._closed:
                self._wake.wait()
            job, self._waiting = self._waiting, None
            return None if self._closed else job
