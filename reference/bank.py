"""A bounded set of keyframes, chosen from by head pose and expression."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from correspondence.types import Image, Landmarks, Prepared
from reference.view import ViewChange, view_change


@dataclass(frozen=True, slots=True, kw_only=True)
class BankConfig:
    """Bounds of a `Bank` and the scales of its prediction.

    Raises:
        ValueError: fewer than one keyframe, or no memory.
    """

    max_keyframes: int = 12
    max_mib: float = 256.0
    turn_deg: float = 38.0  # prior: the turn at which coverage has fallen to 1 / e
    log_scale: float = 0.7  # likewise for size
    expression: float = 0.9  # likewise for lip gap and lid opening together
    nearby_deg: float = 6.0  # how far an observed coverage speaks for its neighbours
    prior_weight: float = 0.5  # how many observations the prior is worth

    def __post_init__(self) -> None:
        if self.max_keyframes < 1 or self.max_mib <= 0:
            raise ValueError(
                f"the bank needs room for one keyframe, got {self.max_keyframes} and {self.max_mib} MiB"
            )


@dataclass(eq=False, slots=True)
class Keyframe:
    """A reference in the bank.

    Attributes:
        image, edited: uint8 (H, W, 3), the picture and its edit.
        prepared: `image` made ready for matching.
        pinned: edited by the user: never overwritten, never dropped.
        made_s: when it was made.
    """

    image: Image
    edited: Image
    prepared: Prepared
    pinned: bool = False
    made_s: float = 0.0
    used: int = 0  # frames it served, halved as others serve
    _seen: deque[tuple[ViewChange, float]] = field(default_factory=lambda: deque(maxlen=48))

    @property
    def nbytes(self) -> int:
        """Memory it holds, bytes."""
        return self.prepared.nbytes + self.edited.nbytes

    def observe(self, landmarks: Landmarks, coverage: float) -> None:
        """Remember how much of a view it covered, [0, 1]."""
        if self.prepared.landmarks is not None:
            self._seen.append((view_change(self.prepared.landmarks, landmarks), coverage))

    def predict(self, landmarks: Landmarks, config: BankConfig) -> float:
        """Expected coverage of a view, [0, 1]: what was seen nearby, else a prior that falls with change."""
        if self.prepared.landmarks is None:
            return 0.0
        change = view_change(self.prepared.landmarks, landmarks)
        weights, values = [config.prior_weight], [_prior(change, config)]
        for seen, coverage in self._seen:
            weights.append(float(np.exp(-0.5 * _separation(seen, change, config) ** 2)))
            values.append(coverage)
        return float(np.average(values, weights=weights))


def _prior(change: ViewChange, config: BankConfig) -> float:
    expression = abs(change.lips) + abs(change.eyes)
    parts = (
        change.turn_deg / config.turn_deg,
        change.log_scale / config.log_scale,
        expression / config.expression,
    )
    return float(np.exp(-sum(p**2 for p in parts)))


def _separation(a: ViewChange, b: ViewChange, config: BankConfig) -> float:
    """Distance of two changes from one keyframe, in units of `nearby_deg` and its likes."""
    near = config.nearby_deg
    turn = np.hypot(a.yaw_deg - b.yaw_deg, a.pitch_deg - b.pitch_deg) / near
    size = (a.log_scale - b.log_scale) / (near / config.turn_deg * config.log_scale)
    face = (abs(a.lips - b.lips) + abs(a.eyes - b.eyes)) / (near / config.turn_deg * config.expression)
    return float(np.sqrt(turn**2 + size**2 + face**2))


class Bank:
    """Keyframes within a count and a memory; the user's own stay, of the others the least useful goes."""

    def __init__(self, config: BankConfig | None = None) -> None:
        self.config = config or BankConfig()
        self._keyframes: list[Keyframe] = []

    def __len__(self) -> int:
        return len(self._keyframes)

    def __iter__(self) -> Iterator[Keyframe]:
        """Oldest first."""
        return iter(tuple(self._keyframes))

    @property
    def nbytes(self) -> int:
        """Memory the keyframes hold, bytes."""
        return sum(k.nbytes for k in self._keyframes)

    def add(self, keyframe: Keyframe) -> list[Keyframe]:
        """Take a keyframe in; what had to leave for it comes back.

        Raises:
            ValueError: the pinned keyframes alone fill the bank, so that it could not be kept.
        """
        limit = self.config.max_mib * 2**20
        held = [k for k in self._keyframes if k.pinned]
        if len(held) + 1 > self.config.max_keyframes or sum(k.nbytes for k in held) + keyframe.nbytes > limit:
            raise ValueError(
                f"{len(held)} keyframes edited by hand fill the bank ({self.config.max_keyframes} keyframes,"
                f" {self.config.max_mib} MiB): remove one, or raise max_keyframes or max_mib"
            )
        self._keyframes.append(keyframe)
        dropped = []
        while len(self._keyframes) > self.config.max_keyframes or self.nbytes > limit:
            worst = min(
                (k for k in self._keyframes if not k.pinned and k is not keyframe), key=self._usefulness
            )
            self._keyframes.remove(worst)
            dropped.append(worst)
        return dropped

    def remove(self, keyframe: Keyframe) -> None:
        """Take a keyframe out.

        Raises:
            ValueError: it is not in the bank.
        """
        self._keyframes.remove(keyframe)

    def served(self, keyframe: Keyframe) -> None:
        """Count a frame for `keyframe`; the others' counts fade with a half-life of 4,096 frames."""
        keyframe.used += 1
        if keyframe.used >= 4096:
            for k in self._keyframes:
                k.used //= 2

    def best(self, landmarks: Landmarks, *, without: Keyframe | None = None) -> tuple[Keyframe, float] | None:
        """The keyframe with the highest predicted coverage of a view, and that; the earliest among equals.

        Args:
            landmarks: of the frame.
            without: a keyframe to leave out (the one in use).
        """
        choices = [(k, k.predict(landmarks, self.config)) for k in self._keyframes if k is not without]
        return max(choices, key=lambda choice: choice[1], default=None)

    def _usefulness(self, keyframe: Keyframe) -> float:
        """Frames served, times how little the others would cover in its place."""
        own = keyframe.prepared.landmarks
        if own is None:
            return 0.0
        others = [k.predict(own, self.config) for k in self._keyframes if k is not keyframe]
        return (1 + keyframe.used) * (1.001 - max(others, default=0.0))
