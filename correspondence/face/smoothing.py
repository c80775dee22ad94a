"""One-Euro smoothing of landmarks: strong smoothing at rest, little lag in motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from correspondence.types import Float


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothingConfig:
    """Cut-off frequencies of the One-Euro filter.

    At a speed of s face sides a second the cut-off is min_cutoff_hz + beta * s. So the lag in length never
    exceeds 1 / (2 pi beta) = 0.4 % of the face's side.

    Attributes:
        min_cutoff_hz: cut-off at rest, Hz, positive.
        beta: increase of the cut-off with speed, Hz per face side a second, at least 0.
        speed_cutoff_hz: cut-off of the low-pass on the speed itself, Hz, positive.
    """

    min_cutoff_hz: float = 0.8
    beta: float = 40.0
    speed_cutoff_hz: float = 5.0

    def __post_init__(self) -> None:
        if self.min_cutoff_hz <= 0 or self.speed_cutoff_hz <= 0 or self.beta < 0:
            raise ValueError(f"cut-offs must be positive and beta at least 0, got {self}")


class OneEuro:
    """One-Euro filter of a set of points (Casiez, Roussel and Vogel 2012).

    Args:
        config: cut-off frequencies; None for the defaults.
    """

    def __init__(self, config: SmoothingConfig | None = None) -> None:
        self._config = config or SmoothingConfig()
        self._points: Float | None = None
        self._speed: Float | None = None
        self._last_s = 0.0

    def reset(self) -> None:
        """Forget all earlier points."""
        self._points = self._speed = None

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
            self._points, self._speed = points.copy(), np.zeros_like(points)
            self._last_s = now_s
            return points.copy()
        step_s, self._last_s = now_s - self._last_s, now_s
        speed = (points - self._points) / np.float32(scale * step_s)
        self._speed = self._speed + _weight(self._config.speed_cutoff_hz, step_s) * (speed - self._speed)
        fast = np.linalg.norm(self._speed[:, :2], axis=1, keepdims=True)
        cutoff = self._config.min_cutoff_hz + self._config.beta * fast
        moved = self._points + _weight(cutoff, step_s) * (points - self._points)
        self._points = np.asarray(moved, np.float32)
        return self._points.copy()


def _weight(cutoff_hz: Any, step_s: float) -> Any:
    """Compute the weight of the newest sample in a first-order low-pass."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * step_s))
