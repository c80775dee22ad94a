"""When the reference no longer covers the view: coverage and time in, a decision and its reason out."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum

import numpy as np

from correspondence import Float

MOST_DOUBLINGS = 4  # of the time after which a refused keyframe is tried again


class Action(Enum):
    """What to do about the references."""

    KEEP = "keep"
    SWITCH = "switch"  # a keyframe of the bank covers the view better
    MAKE = "make"  # nothing in the bank covers it: make a new keyframe


@dataclass(frozen=True, slots=True)
class Decision:
    """An action and, for the log and the page, why.

    Attributes:
        coverage: of the reference in use in the frame that was judged, [0, 1]; None where none was.
    """

    action: Action
    reason: str
    coverage: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyConfig:
    """Thresholds of `KeyframePolicy`; coverage is a share in [0, 1], times are seconds.

    Raises:
        ValueError: a share outside [0, 1], `recover` below `min_coverage`, or a negative time.
    """

    min_coverage: float = 0.91  # below this the reference no longer covers the view
    recover: float = 0.95  # hysteresis: above this it does again
    window_s: float = 0.14  # sliding window whose median coverage decides (StreamEdit 3.2)
    cooldown_s: float = 0.6  # shortest time between two new keyframes ...
    urgent: float = 0.85  # ... and where less than this is covered, and the last one did help, ...
    urgent_s: float = 0.3  # ... this one
    retry_s: float = 0.24  # shortest time between a refused keyframe and the next; doubles with each
    switch_gain: float = 0.03  # a keyframe of the bank must cover this much more
    switch_cooldown_s: float = 0.3  # shortest time between two switches, unless `urgent`

    def __post_init__(self) -> None:
        for name in ("min_coverage", "recover", "urgent", "switch_gain"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        if self.recover < self.min_coverage:
            raise ValueError(f"recover must be at least min_coverage {self.min_coverage}, got {self.recover}")
        for name in ("window_s", "cooldown_s", "urgent_s", "retry_s", "switch_cooldown_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0 s, got {getattr(self, name)}")


def coverage(confidence: Float, weight: Float, threshold: float = 0.5) -> float:
    """Share of `weight` that lies where `confidence` is at least `threshold`.

    Args:
        confidence: float32 (H, W), P(|error| < r), in [0, 1].
        weight: float32 (H, W), at least 0: how much was edited there; for global edits the foreground.
        threshold: in [0, 1].

    Returns:
        In [0, 1]; 1 where the weight is 0 everywhere (nothing edited is in view, so nothing is uncovered).

    Raises:
        ValueError: shapes that differ, or a negative weight.
    """
    if confidence.shape != weight.shape:
        raise ValueError(f"confidence {confidence.shape} and weight {weight.shape} must have one shape")
    if weight.size and float(weight.min()) < 0:
        raise ValueError(f"weight must be at least 0, got {float(weight.min())}")
    total = float(weight.sum(dtype=np.float64))
    if total == 0:
        return 1.0
    return float(weight[confidence >= threshold].sum(dtype=np.float64) / total)


class KeyframePolicy:
    """Keep, switch or make a keyframe: hysteresis, cool-down and a sliding window over coverage.

    The adaptive replacement of StreamEdit 3.2, whose single threshold on the mean uncertainty becomes: the
    median coverage of a window, two thresholds, and a bank to switch to before anything new is made.
    """

    def __init__(self, config: PolicyConfig | None = None) -> None:
        self.config = config or PolicyConfig()
        self._seen: deque[tuple[float, float]] = deque()  # (now_s, coverage)
        self._low = False
        self._low_s = -np.inf  # since when
        self._made_s = -np.inf
        self._switched_s = -np.inf
        self._refused_s = -np.inf
        self._refusals = 0  # in a row
        self._helped = True  # the view was covered since the last keyframe was made

    def decide(self, *, coverage: float, now_s: float, best_other: float | None = None) -> Decision:
        """One frame's decision.

        Args:
            coverage: of the reference in use, [0, 1].
            now_s: the frame's time, not decreasing.
            best_other: predicted coverage of the best other keyframe of the bank; None without one.

        Raises:
            ValueError: a coverage outside [0, 1] or time running backwards.
        """
        if not 0 <= coverage <= 1:
            raise ValueError(f"coverage must lie in [0, 1], got {coverage}")
        if self._seen and now_s < self._seen[-1][0]:
            raise ValueError(f"now_s must not decrease, got {now_s} after {self._seen[-1][0]}")
        self._seen.append((now_s, coverage))
        while self._seen[0][0] < now_s - self.config.window_s:
            self._seen.popleft()
        level = float(np.median([c for _, c in self._seen]))
        was_low = self._low
        self._low = level < (self.config.recover if was_low else self.config.min_coverage)
        if self._low and not was_low:
            self._low_s = now_s
        if not self._low:
            self._helped, self._refusals = True, 0
        return self._act(level, now_s, best_other) if self._low else Decision(Action.KEEP, "covered")

    def _act(self, level: float, now_s: float, best_other: float | None) -> Decision:
        config = self.config
        seen = f"covers {level:.0%} of the edit, {config.min_coverage:.0%} wanted"
        if best_other is not None and best_other >= level + config.switch_gain:
            if level >= config.urgent and now_s - self._switched_s < config.switch_cooldown_s:
                return Decision(Action.KEEP, f"{seen}; just switched")
            return Decision(Action.SWITCH, f"{seen}; a keyframe of the bank may cover {best_other:.0%}")
        if best_other is not None and best_other >= config.min_coverage:
            return Decision(Action.KEEP, f"{seen}; no keyframe is clearly better")
        urgent = self._helped and level < config.urgent
        wait_s = config.urgent_s if urgent else config.cooldown_s
        due_s = max(self._made_s + wait_s, self._switched_s + config.switch_cooldown_s)
        due_s = max(due_s, self._refused_s + config.retry_s * 2 ** min(self._refusals - 1, MOST_DOUBLINGS))
        if now_s < due_s:
            return Decision(Action.KEEP, f"{seen}; next keyframe in {due_s - now_s:.1f} s at the earliest")
        if now_s - self._low_s < 0.5 * config.window_s:
            return Decision(Action.KEEP, f"{seen}; not yet for long enough")
        return Decision(Action.MAKE, f"{seen}; no keyframe covers the view")

    def switched(self, *, now_s: float) -> None:
        """A switch was carried out: the window starts anew."""
        self._switched_s = now_s
        self._restart()

    def made(self, *, now_s: float) -> None:
        """A new keyframe was asked for: the cool-down starts."""
        self._made_s = now_s
        self._helped = False
        self._restart()

    def refused(self, *, now_s: float) -> None:
        """The frame was no good as keyframe: another may be asked for after `retry_s`, later each time."""
        self._made_s, self._refused_s = -np.inf, now_s
        self._refusals += 1

    def _restart(self) -> None:
        self._seen.clear()
        self._low = False
