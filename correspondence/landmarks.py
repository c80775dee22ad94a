"""FaceMesh landmarks: of one picture, or of a face followed over time and smoothed."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from correspondence.types import LANDMARK_COUNT, Float, Image, Landmarks, check_image

LONGEST_SIDE = 1280  # larger pictures are shrunk to it first: FaceMesh looks at 192 x 192 of the face
MOST_FACES = 4  # faces told apart when one must be chosen
_STEM = 0.5  # pixel centres on integers: MediaPipe's unit coordinates put them on halves


def detect_landmarks(image: Image) -> Landmarks | None:
    """The landmarks of the largest face of a picture; None where there is none.

    Stateless and thread-safe (one detector behind a lock).

    Args:
        image: RGB uint8 (H, W, 3).

    Raises:
        ValueError: another dtype or shape.
    """
    check_image(image)
    return _still_detector()(image)


class _StillDetector:
    """FaceMesh on unrelated pictures, one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mesh = _face_mesh(static_image_mode=True, max_num_faces=MOST_FACES)

    def __call__(self, image: Image) -> Landmarks | None:
        with self._lock:
            found = _run(self._mesh, image)
        return max(found, key=_extent, default=None)


_still: _StillDetector | None = None
_still_lock = threading.Lock()


def _still_detector() -> _StillDetector:
    global _still
    with _still_lock:
        if _still is None:
            _still = _StillDetector()
        return _still


def _extent(landmarks: Landmarks) -> float:
    x0, y0, x1, y1 = landmarks.box
    return (x1 - x0) * (y1 - y0)


def _face_mesh(**options: Any) -> Any:
    os.environ.setdefault("GLOG_minloglevel", "2")
    from mediapipe.python.solutions.face_mesh import FaceMesh

    return FaceMesh(refine_landmarks=True, **options)


def _shrink(image: Image) -> Image:
    """The picture with its longer side at most LONGEST_SIDE."""
    longest = max(image.shape[:2])
    if longest <= LONGEST_SIDE:
        return np.ascontiguousarray(image)
    size = (
        max(1, round(image.shape[1] * LONGEST_SIDE / longest)),
        max(1, round(image.shape[0] * LONGEST_SIDE / longest)),
    )
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _run(mesh: Any, image: Image) -> list[Landmarks]:
    """All faces FaceMesh finds, in pixels of `image`."""
    result = mesh.process(_shrink(image))
    faces = result.multi_face_landmarks or []
    return [_to_landmarks(face, image.shape[0], image.shape[1]) for face in faces]


def _to_landmarks(face: Any, height: int, width: int) -> Landmarks:
    raw = np.array([(point.x, point.y, point.z) for point in face.landmark], np.float32)
    if len(raw) != LANDMARK_COUNT:
        raise ValueError(f"FaceMesh with irises has {LANDMARK_COUNT} landmarks, got {len(raw)}")
    points = raw * np.array([width, height, width], np.float32)  # z is in units of the width
    points[:, :2] -= _STEM
    return Landmarks(points, (height, width))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerConfig:
    """Smoothing (One-Euro, Casiez et al. 2012) and patience of the tracker."""

    min_cutoff_hz: float = 1.5  # cut-off at rest
    beta: float = 12.0  # cut-off gained per face side a second of speed, Hz
    speed_cutoff_hz: float = 3.0  # of the speed's own low-pass
    patience_s: float = 0.7  # a lost face is looked for near its place for this long, then any face is taken

    def __post_init__(self) -> None:
        if self.min_cutoff_hz <= 0 or self.speed_cutoff_hz <= 0 or self.beta < 0 or self.patience_s < 0:
            raise ValueError(f"cut-offs must be positive, beta and patience_s at least 0, got {self}")


class OneEuro:
    """One-Euro filter of a set of points (Casiez, Roussel, Vogel 2012), speeds in face sides a second."""

    def __init__(self, config: TrackerConfig) -> None:
        self._config = config
        self._points: Float | None = None
        self._speed: Float | None = None
        self._last_s = 0.0

    def reset(self) -> None:
        """Forget the past."""
        self._points = None

    def __call__(self, points: Float, scale: float, now_s: float) -> Float:
        """The smoothed points.

        Args:
            points: float32 (N, 3), pixels.
            scale: length that counts as one, pixels (the face's side).
            now_s: time of the points, seconds; not after an earlier call's means the past is forgotten.
        """
        if self._points is None or self._speed is None or now_s <= self._last_s:
            self._points, self._speed = points.copy(), np.zeros_like(points)
            self._last_s = now_s
            return points
        step_s = now_s - self._last_s
        self._last_s = now_s
        speed = (points - self._points) / (scale * step_s)
        self._speed += _alpha(self._config.speed_cutoff_hz, step_s) * (speed - self._speed)
        fast = np.linalg.norm(self._speed[:, :2], axis=1, keepdims=True)
        cutoff = self._config.min_cutoff_hz + self._config.beta * fast
        self._points = self._points + _alpha(cutoff, step_s) * (points - self._points)
        return np.asarray(self._points, np.float32)


def _alpha(cutoff_hz: Any, step_s: float) -> Any:
    """Weight of the newest sample of a first-order low-pass."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * step_s))


class LandmarkTracker:
    """Follows one face over time; one tracker a session, used from one thread at a time."""

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self._config = config or TrackerConfig()
        self._mesh = _face_mesh(static_image_mode=False, max_num_faces=1)
        self._filter = OneEuro(self._config)

    def __call__(self, image: Image, now_s: float) -> Landmarks | None:
        """The followed face's smoothed landmarks; None where it is not seen.

        Args:
            image: RGB uint8 (H, W, 3).
            now_s: time of the picture, seconds.
        """
        check_image(image)
        found = _run(self._mesh, image)
        if not found:
            self._filter.reset()
            return None
        raw = found[0]
        x0, y0, x1, y1 = raw.box
        points = self._filter(raw.points, max(x1 - x0, y1 - y0, 1.0), now_s)
        return Landmarks(points.copy(), raw.image_size)

    def close(self) -> None:
        """Free MediaPipe's graph."""
        self._mesh.close()
