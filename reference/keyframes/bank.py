"""A bounded set of keyframes, chosen from by head pose and expression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from correspondence import Float, Image, Landmarks, Prepared
from reference.edits.edit import Edit
from reference.face.view import ViewChange, view_change
from reference.keyframes.keyframe_info import KeyframeInfo

MOST_VIEWS = 48  # remembered of each keyframe
HOPE = 0.7  # share of `turn_deg` up to which an untried view is worth trying
SAME_VIEW = 0.6  # views nearer than this, in units of `nearby_deg`, are one
MOST_COUNTED = 5.0  # observations of one view; beyond it the older ones fade
_ids = count(1)


def next_id() -> int:
    """A number no keyframe of this process has had."""
    return next(_ids)


def number_from(first: int) -> None:
    """Let `next_id` give no number below `first`, so that none of an earlier process comes again."""
    global _ids
    _ids = count(max(first, next(_ids)))


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
        edit: the change itself where it is kept: for the user's own, which are few and slow to compare.
        used: frames it served, halved as others serve.
        id: its name, which it keeps when it is edited; version: another one for each picture of the edit.
    """

    image: Image
    edited: Image
    prepared: Prepared
    pinned: bool = False
    made_s: float = 0.0
    edit: Edit | None = None
    used: int = 0
    id: int = field(default_factory=next_id)
    version: int = field(init=False, default_factory=next_id)
    _views: Float = field(default_factory=lambda: np.zeros((0, 5), np.float32))  # seen from it, `_row` each
    _coverage: Float = field(default_factory=lambda: np.zeros(0, np.float32))  # what it covered there
    _counts: Float = field(default_factory=lambda: np.zeros(0, np.float32))  # and how often that was seen

    @property
    def nbytes(self) -> int:
        """Memory it holds, bytes; a kept edit is a mask and a difference beside its pictures."""
        kept = 0 if self.edit is None else 10 * (self.edited.size // 3)
        return self.prepared.nbytes + self.edited.nbytes + kept

    def same_edit(self, other: Keyframe | None) -> bool:
        """Whether another one has the very same edited picture, by the same hand."""
        return other is not None and self.edited is other.edited and self.pinned == other.pinned

    def describe(self, *, active: bool, first: Keyframe) -> KeyframeInfo:
        """It as the film strip shows it.

        Args:
            active: whether it serves now.
            first: the user's first one, from whose view its own is measured.
        """
        turn = None
        own, start = self.prepared.landmarks, first.prepared.landmarks
        if own is not None and start is not None:
            change = view_change(start, own)
            turn = (change.yaw_deg, change.pitch_deg)
        total = float(self._counts.sum())
        covered = float((self._counts * self._coverage).sum()) / total if total > 0 else None
        return KeyframeInfo(
            self.image, self.edited, self.pinned, self.made_s, self.used, active,
            id=self.id, version=self.version, turn_deg=turn, covered=covered, landmarks=own,
        )  # fmt: skip

    def observe(self, landmarks: Landmarks, coverage: float, config: BankConfig) -> None:
        """Remember how much of a view it covered, [0, 1]; a view like one remembered updates that."""
        if self.prepared.landmarks is None:
            return
        row = _row(view_change(self.prepared.landmarks, landmarks), config)
        apart = ((self._views - row) ** 2).sum(axis=1)
        if len(apart) and apart.min() < SAME_VIEW**2:
            near = int(apart.argmin())
            self._counts[near] = min(MOST_COUNTED, self._counts[near] + 1)
            self._coverage[near] += (coverage - self._coverage[near]) / self._counts[near]
            return
        self._views = np.concatenate([self._views, row[None]])[-MOST_VIEWS:]
        self._coverage = np.append(self._coverage, np.float32(coverage))[-MOST_VIEWS:]
        self._counts = np.append(self._counts, np.float32(1))[-MOST_VIEWS:]

    def predict(self, landmarks: Landmarks, config: BankConfig, *, hopeful: bool = False) -> float:
        """Expected coverage of a view, [0, 1]: what was seen nearby, else a prior that falls with change.

        Where `hopeful`, a view that is turned little and was not tried yet counts as covered: worth trying.
        """
        if self.prepared.landmarks is None:
            return 0.0
        change = view_change(self.prepared.landmarks, landmarks)
        near = np.exp(-0.5 * ((self._views - _row(change, config)) ** 2).sum(axis=1))
        weights = near * self._counts
        prior = _prior(change, config)
        if hopeful and change.turn_deg < HOPE * config.turn_deg:
            prior = 1.0
        total = config.prior_weight * prior + float((weights * self._coverage).sum())
        return total / (config.prior_weight + float(weights.sum()))


def _prior(change: ViewChange, config: BankConfig) -> float:
    expression = abs(change.lips) + abs(change.eyes)
    parts = (
        change.turn_deg / config.turn_deg,
        change.log_scale / config.log_scale,
        expression / config.expression,
    )
    return float(np.exp(-sum(p**2 for p in parts)))


def _row(change: ViewChange, config: BankConfig) -> Float:
    """A change as a point, float32 (5,), in units of `nearby_deg` and what weighs as much."""
    near = config.nearby_deg / config.turn_deg
    return np.array(
        [
            change.yaw_deg / config.nearby_deg,
            change.pitch_deg / config.nearby_deg,
            change.log_scale / (near * config.log_scale),
            change.lips / (near * config.expression),
            change.eyes / (near * config.expression),
        ],
        np.float32,
    )


def apart(a: Landmarks, b: Landmarks, config: BankConfig) -> float:
    """How far two views are from each other, in units of `nearby_deg` and what weighs as much."""
    return float(np.linalg.norm(_row(view_change(a, b), config)))


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
        held = [k for k in self._keyframes if k.pinned]
        self._check_room(len(held) + 1, sum(k.nbytes for k in held) + keyframe.nbytes)
        self._keyframes.append(keyframe)
        return self._trim(keyframe)

    def has_room(self, nbytes: int) -> bool:
        """Whether one more keyframe of this size fits and nothing has to leave for it."""
        fits = self.nbytes + nbytes <= self.config.max_mib * 2**20
        return fits and len(self._keyframes) < self.config.max_keyframes

    def _check_room(self, number: int, nbytes: int) -> None:
        if number > self.config.max_keyframes or nbytes > self.config.max_mib * 2**20:
            raise ValueError(
                f"keyframes edited by hand fill the bank ({self.config.max_keyframes} keyframes,"
                f" {self.config.max_mib} MiB): remove one, or raise max_keyframes or max_mib"
            )

    def remove(self, keyframe: Keyframe) -> None:
        """Take a keyframe out.

        Raises:
            ValueError: it is not in the bank.
        """
        self._keyframes.remove(keyframe)

    def changed(self, own: Sequence[Keyframe]) -> list[Keyframe]:
        """Those of `own` that the bank does not hold with the same edit."""
        held = {k.id: k for k in self._keyframes}
        return [k for k in own if not k.same_edit(held.get(k.id))]

    def follow(self, own: Sequence[Keyframe]) -> None:
        """Hold the user's keyframes as they are now, each by its id.

        New ones join; one with another edit takes its place, and what was made after it, perhaps of it, goes;
        pinned ones that are not in `own` go.

        Raises:
            ValueError: they do not fit.
        """
        pinned = [k for k in own if k.pinned]
        self._check_room(len(pinned), sum(k.nbytes for k in pinned))
        ids = {k.id for k in own}
        self._keyframes = [k for k in self._keyframes if k.id in ids or not k.pinned]
        for keyframe in self.changed(own):
            old = next((k for k in self._keyframes if k.id == keyframe.id), None)
            if old is None:
                self.add(keyframe)
                continue
            self.replace(old, keyframe)
            later = (k for k in self if not k.pinned and k is not keyframe and k.made_s >= old.made_s)
            for k in later:
                self.remove(k)

    def replace(self, old: Keyframe, new: Keyframe) -> None:
        """Put a keyframe in another's place.

        Raises:
            ValueError: `old` is not in the bank, or the keyframes edited by hand would not fit into it.
        """
        pinned = sum(k.nbytes for k in self._keyframes if k.pinned and k is not old)
        if new.pinned and pinned + new.nbytes > self.config.max_mib * 2**20:
            raise ValueError(
                f"keyframes edited by hand would take more than {self.config.max_mib} MiB: remove one, or "
                "raise max_mib"
            )
        self._keyframes[self._keyframes.index(old)] = new
        self._trim(new)

    def _trim(self, kept: Keyframe) -> list[Keyframe]:
        """Drop the least useful until the bounds hold; never the user's own or `kept`."""
        limit = self.config.max_mib * 2**20
        dropped = []
        while len(self._keyframes) > self.config.max_keyframes or self.nbytes > limit:
            worst = min((k for k in self._keyframes if not k.pinned and k is not kept), key=self._usefulness)
            self._keyframes.remove(worst)
            dropped.append(worst)
        return dropped

    def served(self, keyframe: Keyframe) -> None:
        """Count a frame for `keyframe`; the others' counts fade with a half-life of 4,096 frames."""
        keyframe.used += 1
        if keyframe.used >= 4096:
            for k in self._keyframes:
                k.used //= 2

    def best(
        self,
        landmarks: Landmarks,
        *,
        without: Keyframe | None = None,
        hopeful: bool = False,
        pinned: bool = False,
    ) -> tuple[Keyframe, float] | None:
        """The keyframe with the highest predicted coverage of a view, and that; the earliest among equals.

        Args:
            landmarks: of the frame.
            without: a keyframe to leave out (the one in use).
            hopeful: see `Keyframe.predict`.
            pinned: of the user's own only.
        """
        choices = [
            (k, k.predict(landmarks, self.config, hopeful=hopeful))
            for k in self._keyframes
            if k is not without and (k.pinned or not pinned)
        ]
        return max(choices, key=lambda choice: choice[1], default=None)

    def sources(self, landmarks: Landmarks, most: int) -> list[Keyframe]:
        """What a new keyframe of a view is drawn from: the user's first and the likeliest others.

        Args:
            landmarks: of the frame.
            most: how many.

        Returns:
            The user's own first, each group by age.
        """
        first = next(k for k in self._keyframes if k.pinned)
        others = [k for k in self._keyframes if k is not first]
        others.sort(key=lambda k: k.predict(landmarks, self.config), reverse=True)
        chosen = [first, *others[: most - 1]]
        return sorted(chosen, key=lambda k: (not k.pinned, self._keyframes.index(k)))

    def _usefulness(self, keyframe: Keyframe) -> float:
        """Frames served, times how little the others would cover in its place."""
        own = keyframe.prepared.landmarks
        if own is None:
            return 0.0
        others = [k.predict(own, self.config) for k in self._keyframes if k is not keyframe]
        return (1 + keyframe.used) * (1.001 - max(others, default=0.0))
