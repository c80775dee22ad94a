"""One-Euro smoothing of landmarks: strong smoothing at rest, little lag in motion.

The noise of the points is measured. Motion that noise alone could be counts as rest, so that a still face
stays still in the dark, where the noise is large.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from correspondence.types import Float

FOURTH = np.array([1, -4, 6, -4, 1], np.float32)  # weights of five frames in their fourth difference
MEDIAN_ABS = 0.6745  # median of |x| of a normal law of deviation 1
NOISE_FRAMES = 8  # over which the noise is measured
MOST_NOISE = 0.004  # largest noise that is believed, face sides; beyond it is a motion


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothingConfig:
    """Cut-off frequencies of the One-Euro filter.

    At a speed of s face sides a second the cut-off is min_cutoff_hz + beta * s. So the lag in length never
    exceeds 1 / (2 pi beta) = 0.4 % of the face's side. The distance that noise makes between two frames,
    at most `MOST_NOISE` of the face's side, is no motion and adds to that.

    Attributes:
        min_cutoff_hz: cut-off at rest, Hz, positive.
        beta: increase of the cut-off with speed, Hz per face side a second, at least 0.
        speed_cutoff_hz: cut-off of the low-pass on the speed itself, Hz, positive.
        noise: multiple of the measured noise that counts as no motion, at least 0.
    """

    min_cutoff_hz: float = 0.8
    beta: float = 40.0
    speed_cutoff_hz: float = 5.0
    noise: float = 1.5

    def __post_init__(self) -> None:
        if min(self.min_cutoff_hz, self.speed_cutoff_hz) <= 0 or min(self.beta, self.noise) < 0:
            raise ValueError(f"cut-offs must be positive, beta and noise at least 0, got {self}")


class _Noise:
    """Measures the noise of points in motion.

    A smooth motion has hardly a fourth difference over frames, but white noise of deviation d has one of
    sqrt(70) d. The median over points leaves out lids and lips that move suddenly, that over frames a jerk
    of the head.

    Attributes:
        level: deviation of each coordinate, units of length; 0 until five frames are known.
    """

    def __init__(self) -> None:
        self.level = 0.0
        self._points: deque[Float] = deque(maxlen=len(FOURTH))
        self._levels: deque[float] = deque(maxlen=NOISE_FRAMES)

    def note(self, points: Float, scale: float) -> None:
        """Note the points of the next frame, as in `OneEuro`."""
        self._points.append(points[:, :2].copy())
        if len(self._points) == len(FOURTH):
            apart = np.abs(FOURTH @ np.stack(self._points).reshape(len(FOURTH), -1))
            low, high = (apart.size - 1) // 2, apart.size // 2
            middle = float(np.partition(apart, (low, high))[low : high + 1].mean())
            self._levels.append(middle / (MEDIAN_ABS * 70**0.5 * scale))
            self.level = min(MOST_NOISE, median(self._levels))


class OneEuro:
    """One-Euro filter of a set of points (Casiez, Roussel and Vogel 2012).

    Args:
        config: cut-off frequencies; None for the defaults.
    """

    def __init__(self, config: SmoothingConfig | None = None) -> None:
        self._config = config or SmoothingConfig()
        self._points: Float | None = None
        self._speed: Float | None = None
        self._noise = _Noise()
        self._last_s = 0.0

    def reset(self) -> None:
        """Forget all earlier points."""
        self._points = self._speed = None
        self._noise = _Noise()

    def __call__(self, points: Float, scale: float, now_s: float) -> Float:
        """Smooth the points of the next frame.

        Args:
            points: float32 (N, D), pixels, with x and y first.
            scale: unit of length for the speed, pixels (the face's side).
            now_s: time of the points, seconds. If it does not advance, earlier points are forgotten.

        Returns:
            float32 (N, D), a new array.
        """
        if self._points is None or self._speed is None or now_s <= self._last_s:
            self.reset()
            self._noise.note(points, scale)
            self._points, self._speed = points.copy(), np.zeros_like(points)
            self._last_s = now_s
            return points.copy()
        step_s, self._last_s = now_s - self._last_s, now_s
        self._noise.note(points, scale)
        speed = (points - self._points) / np.float32(scale * step_s)
        self._speed = self._speed + _weight(self._config.speed_cutoff_hz, step_s) * (speed - self._speed)
        fast = np.linalg.norm(self._speed[:, :2], axis=1, keepdims=True)
        fast = np.maximum(0, fast - np.float32(self._config.noise * self._noise.level / step_s))
        cutoff = self._config.min_cutoff_hz + self._config.beta * fast
        moved = self._points + _weight(cutoff, step_s) * (points - self._points)
        self._points = np.asarray(moved, np.float32)
        return self._points.copy()


def _weight(cutoff_hz: Any, step_s: float) -> Any:
    """Compute the weight of the newest sample in a first-order low-pass."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * step_s))
