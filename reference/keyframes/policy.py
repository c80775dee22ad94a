"""The policy that decides from coverage and time whether to keep, switch or make a keyframe."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from statistics import median

import numpy as np

from correspondence import Float

MOST_DOUBLINGS = 4  # largest number of times that `retry_s` is doubled


class Action(Enum):
    """What to do about the reference in use."""

    KEEP = "keep"
    SWITCH = "switch"  # a keyframe of the bank covers the view better
    MAKE = "make"  # nothing in the bank covers it: make a new keyframe


@dataclass(frozen=True, slots=True)
class Decision:
    """An action and its reason.

    Attributes:
        action: what to do.
        reason: why, in words for the log and the page.
        coverage: coverage of the judged frame by the reference in use, [0, 1]; None if no frame was judged.
    """

    action: Action
    reason: str
    coverage: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyConfig:
    """Thresholds of `KeyframePolicy`. Coverage is a share in [0, 1], times are in seconds.

    Raises:
        ValueError: a share outside [0, 1], `recover` below `min_coverage`, or a negative time.
    """

    min_coverage: float = 0.91  # below this the reference no longer covers the view
    recover: float = 0.95  # hysteresis: from this coverage on it covers the view again
    window_s: float = 0.14  # sliding window; its median coverage decides (StreamEdit 3.2)
    cooldown_s: float = 0.6  # shortest time between two new keyframes
    urgent: float = 0.85  # if less than this is covered and the last new keyframe did help, ...
    urgent_s: float = 0.3  # ... this is the shortest time instead
    retry_s: float = 0.24  # shortest time between a refused keyframe and the next; doubles with each refusal
    switch_gain: float = 0.03  # a keyframe of the bank must be predicted to cover this much more
    switch_cooldown_s: float = 0.3  # shortest time between two switches while coverage is at least `urgent`

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
    """Computes the share of `weight` at the places where `confidence` is at least `threshold`.

    Args:
        confidence: float32 (H, W), P(|error| < r), in [0, 1].
        weight: float32 (H, W), at least 0: how much was edited at each place; for global edits the
            foreground.
        threshold: in [0, 1].

    Returns:
        The share, in [0, 1]. It is 1 if the weight is 0 everywhere: nothing edited is in view, so nothing is
        uncovered.

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
    """Decides for each frame whether to keep, switch or make a keyframe.

    It is based on the adaptive replacement of StreamEdit 3.2, which uses a single threshold on the mean
    uncertainty. This policy uses the median coverage of a sliding window, two thresholds (hysteresis) and
    cool-down times, and it switches to a keyframe of the bank before it makes a new one.
    """

    def __init__(self, config: PolicyConfig | None = None) -> None:
        self.config = config or PolicyConfig()
        self._seen: deque[tuple[float, float]] = deque()  # (now_s, coverage)
        self._low = False
        self._low_s = -np.inf  # time since which coverage is low
        self._made_s = -np.inf
        self._switched_s = -np.inf
        self._refused_s = -np.inf
        self._refusals = 0  # in a row
        self._helped = True  # whether the view was covered since the last keyframe was made

    def decide(self, *, coverage: float, now_s: float, best_other: float | None = None) -> Decision:
        """Decides what to do about the reference at one frame.

        Args:
            coverage: coverage of the frame by the reference in use, [0, 1].
            now_s: the frame's time, seconds, not decreasing.
            best_other: predicted coverage of the best other keyframe of the bank; None if there is none.

        Returns:
            The action and its reason.

        Raises:
            ValueError: a coverage outside [0, 1], or a time before the last one.
        """
        if not 0 <= coverage <= 1:
            raise ValueError(f"coverage must lie in [0, 1], got {coverage}")
        if self._seen and now_s < self._seen[-1][0]:
            raise ValueError(f"now_s must not decrease, got {now_s} after {self._seen[-1][0]}")
        self._seen.append((now_s, coverage))
        while self._seen[0][0] < now_s - self.config.window_s:
            self._seen.popleft()
        level = median(c for _, c in self._seen)
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
        """Tells the policy that a switch was carried out. The window starts anew."""
        self._switched_s = now_s
        self._restart()

    def made(self, *, now_s: float) -> None:
        """Tells the policy that a new keyframe was requested. The cool-down starts."""
        self._made_s = now_s
        self._helped = False
        self._restart()

    def refused(self, *, now_s: float) -> None:
        """Tells the policy that the frame was refused as keyframe.

        The next one may be requested after `retry_s`, which doubles with each refusal in a row.
        """
        self._made_s, self._refused_s = -np.inf, now_s
        self._refusals += 1

    def _restart(self) -> None:
        self._seen.clear()
        self._low = False
