"""Shoulders and person mask, made beside the frame's path: newest frame only, every few frames."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import cv2
import numpy as np

from correspondence.face.mediapipe_graphs import Pose, Segmenter
from correspondence.types import Float, Image, check_image

_SEEN_SIDE = 256  # frames are shrunk to this before the models look at them
_SHOULDERS = [11, 12]  # BlazePose's numbers: the person's left, then right
_LEAST_VISIBLE = 0.5  # below it a shoulder counts as not seen


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """Where the person was at one time.

    Attributes:
        shoulders: float32 (2, 2), the person's left and right shoulder in pixels; None where not seen.
        mask: float32 (h, w), share of person at each cell of a coarse grid over the frame, [0, 1].
        frame_size: (H, W) of the frame.
        time_s: time of the frame, seconds.
    """

    shoulders: Float | None
    mask: Float
    frame_size: tuple[int, int]
    time_s: float


class BodyDetector:
    """Runs the pose model and the selfie segmentation on one frame after another; not thread-safe."""

    def __init__(self) -> None:
        self._pose = Pose()
        self._segmenter = Segmenter()

    def __call__(self, image: Image, now_s: float) -> Body:
        """The person in a frame.

        Args:
            image: RGB uint8 (H, W, 3).
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
    """Finds the person in a picture; `BodyDetector` is one."""

    def __call__(self, image: Image, now_s: float) -> Body:
        """The person in a frame."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


class BodyWatcher:
    """Keeps a `Body` fresh in a thread of its own; the frame's path only offers frames and reads.

    Takes every `every`-th frame offered, and of those only the newest when it is still busy. A failure
    in the models ends the watching and is raised by the next `offer`.
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

    @property
    def latest(self) -> Body | None:
        """The newest result, None before the first; its `time_s` tells its age."""
        return self._latest

    def offer(self, image: Image, now_s: float) -> None:
        """Hand over a frame; returns at once. The frame must not be changed afterwards.

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
        """The newest frame, None once closed."""
        with self._wake:
            while self._waiting is None and not self._closed:
                self._wake.wait()
            job, self._waiting = self._waiting, None
            return None if self._closed else job
