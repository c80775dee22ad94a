"""One-Euro smoothing of landmarks: still at rest, quick in motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from correspondence.types import Float


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothingConfig:
    """Cut-offs of the One-Euro filter; `__post_init__` checks the ranges.

    With a speed of s face sides a second the cut-off is min_cutoff_hz + beta * s, so the lag in length
    never exceeds 1 / (2 pi beta) = 0.4 % of the face's side.
    """

    min_cutoff_hz: float = 0.8  # at rest
    beta: float = 40.0  # Hz per face side a second
    speed_cutoff_hz: float = 5.0  # of the low-pass that the speed itself goes through

    def __post_init__(self) -> None:
        if self.min_cutoff_hz <= 0 or self.speed_cutoff_hz <= 0 or self.beta < 0:
            raise ValueError(f"cut-offs must be positive and beta at least 0, got {self}")


class OneEuro:
    """One-Euro filter of a set of points (Casiez, Roussel and Vogel 2012), speeds in face sides a second."""

    def __init__(self, config: SmoothingConfig | None = None) -> None:
        self._config = config or SmoothingConfig()
        self._points: Float | None = None
        self._speed: Float | None = None
        self._last_s = 0.0

    def reset(self) -> None:
        """Forget the past."""
        self._points = self._speed = None

    def __call__(self, points: Float, scale: float, now_s: float) -> Float:
        """The smoothed points.

        Args:
            points: float32 (N, D), pixels; x and y first.
            scale: length that counts as one, pixels (the face's side).
            now_s: time of the points, seconds; the past is forgotten where it does not advance.

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
    """Share of the newest sample in a first-order low-pass."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * step_s))
