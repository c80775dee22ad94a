"""A bounded set of keyframes. One is chosen by head pose and expression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from correspondence import Float, Image, Landmarks, Prepared
from reference.edits.edit import Edit
from reference.face.view import ViewChange, view_change
from reference.keyframes.keyframe_info import KeyframeInfo

MOST_VIEWS = 48  # views remembered per keyframe
HOPE = 0.7  # share of `turn_deg` up to which an untried view is worth trying
SAME_VIEW = 0.6  # views nearer than this, in units of `nearby_deg`, count as the same view
MOST_COUNTED = 5.0  # largest number of observations counted for one view; beyond it older ones fade
_ids = count(1)


def next_id() -> int:
    """Returns a number that no keyframe of this process has had."""
    return next(_ids)


def number_from(first: int) -> None:
    """Makes `next_id` return no number below `first`, so that ids of an earlier process are not reused."""
    global _ids
    _ids = count(max(first, next(_ids)))


@dataclass(frozen=True, slots=True, kw_only=True)
class BankConfig:
    """Bounds of a `Bank` and the scales of its coverage prediction.

    Raises:
        ValueError: `max_keyframes` is below 1, or `max_mib` is not above 0.
    """

    max_keyframes: int = 12
    max_mib: float = 256.0
    turn_deg: float = 38.0  # prior: the turn at which coverage has fallen to 1 / e
    log_scale: float = 0.7  # likewise for size
    expression: float = 0.9  # likewise for lip gap and lid opening together
    nearby_deg: float = 6.0  # turn within which an observed coverage also predicts neighbouring views
    prior_weight: float = 0.5  # number of observations that the prior counts as

    def __post_init__(self) -> None:
        if self.max_keyframes < 1 or self.max_mib <= 0:
            raise ValueError(
                f"the bank needs room for one keyframe, got {self.max_keyframes} and {self.max_mib} MiB"
            )


@dataclass(eq=False, slots=True)
class Keyframe:
    """A reference in the bank, with its edited picture and the coverage observed so far.

    Attributes:
        image, edited: uint8 (H, W, 3), the reference and its edited picture.
        prepared: `image` made ready for matching.
        pinned: whether the user edited it. A pinned keyframe is never overwritten and never dropped.
        made_s: time at which it was made, seconds.
        edit: the change as an `Edit`, or None. It is kept for the user's keyframes only, because these are
            few and comparing their pictures is slow.
        used: number of frames it served; halved from time to time, see `Bank.served`.
        id: identifies the keyframe; it stays the same when the keyframe is edited.
        version: identifies one picture of the edit; it changes with each edit.
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
    _views: Float = field(default_factory=lambda: np.zeros((0, 5), np.float32))  # observed views, see `_row`
    _coverage: Float = field(default_factory=lambda: np.zeros(0, np.float32))  # coverage of each view
    _counts: Float = field(default_factory=lambda: np.zeros(0, np.float32))  # observations of each view

    @property
    def nbytes(self) -> int:
        """Memory that the keyframe holds, bytes. A kept edit adds a mask and a difference to the pictures."""
        kept = 0 if self.edit is None else 10 * (self.edited.size // 3)
        return self.prepared.nbytes + self.edited.nbytes + kept

    def same_edit(self, other: Keyframe | None) -> bool:
        """Whether `other` holds the same edited picture (the same array) and is pinned or not as this one."""
        return other is not None and self.edited is other.edited and self.pinned == other.pinned

    def describe(self, *, active: bool, first: Keyframe) -> KeyframeInfo:
        """Returns the keyframe's description for the page's film strip.

        Args:
            active: whether it serves now.
            first: the user's first keyframe; the turn of the head is measured from its view.
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
        """Remembers which share of the edit it covered in a view.

        A view that is like a remembered one updates that entry. Without a face nothing is remembered.

        Args:
            landmarks: of the frame that shows the view.
            coverage: [0, 1].
            config: scales of the distance between views.
        """
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
        """Predicts the coverage of a view.

        The prediction is the mean of the coverage observed in nearby views and of a prior, which falls as the
        view changes.

        Args:
            landmarks: of the frame that shows the view.
            config: scales of the prediction.
            hopeful: sets the prior to 1 for views that are turned little, so that untried ones are tried.

        Returns:
            Expected coverage, [0, 1]; 0 for a keyframe without a face.
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
    """A view change as a point, float32 (5,): yaw, pitch, size, lips and eyes.

    Angles are in units of `nearby_deg`. The other components are scaled to weigh as much.
    """
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
    """Distance between two views of a face, in the units of `_row`: 1 is a turn by `nearby_deg`."""
    return float(np.linalg.norm(_row(view_change(a, b), config)))


class Bank:
    """Keyframes within a limit of count and memory.

    The user's keyframes always stay. When a limit is exceeded, the least useful of the others is dropped.
    """

    def __init__(self, config: BankConfig | None = None) -> None:
        self.config = config or BankConfig()
        self._keyframes: list[Keyframe] = []

    def __len__(self) -> int:
        return len(self._keyframes)

    def __iter__(self) -> Iterator[Keyframe]:
        """Iterates over the keyframes, oldest first."""
        return iter(tuple(self._keyframes))

    @property
    def nbytes(self) -> int:
        """Memory that the keyframes hold, bytes."""
        return sum(k.nbytes for k in self._keyframes)

    def add(self, keyframe: Keyframe) -> list[Keyframe]:
        """Adds a keyframe.

        Returns:
            The keyframes that were dropped to make room.

        Raises:
            ValueError: the pinned keyframes alone fill the bank and leave no room for this one.
        """
        held = [k for k in self._keyframes if k.pinned]
        self._check_room(len(held) + 1, sum(k.nbytes for k in held) + keyframe.nbytes)
        self._keyframes.append(keyframe)
        return self._trim(keyframe)

    def has_room(self, nbytes: int) -> bool:
        """Whether one more keyframe of `nbytes` bytes fits without dropping another one."""
        fits = self.nbytes + nbytes <= self.config.max_mib * 2**20
        return fits and len(self._keyframes) < self.config.max_keyframes

    def _check_room(self, number: int, nbytes: int) -> None:
        if number > self.config.max_keyframes or nbytes > self.config.max_mib * 2**20:
            raise ValueError(
                f"keyframes edited by hand fill the bank ({self.config.max_keyframes} keyframes,"
                f" {self.config.max_mib} MiB): remove one, or raise max_keyframes or max_mib"
            )

    def remove(self, keyframe: Keyframe) -> None:
        """Removes a keyframe.

        Raises:
            ValueError: it is not in the bank.
        """
        self._keyframes.remove(keyframe)

    def changed(self, own: Sequence[Keyframe]) -> list[Keyframe]:
        """Returns the keyframes of `own` that the bank does not hold with the same edit."""
        held = {k.id: k for k in self._keyframes}
        return [k for k in own if not k.same_edit(held.get(k.id))]

    def follow(self, own: Sequence[Keyframe]) -> None:
        """Updates the bank to the user's current keyframes, matched by id.

        - A new keyframe is added.
        - A keyframe whose edit changed replaces its old version. Keyframes that Livery made since the old
          version are removed, because they may have been drawn from it.
        - A pinned keyframe that is not in `own` is removed.

        Raises:
            ValueError: the pinned keyframes do not fit into the bank.
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
        """Replaces keyframe `old` by `new`, at the same place in the order.

        Raises:
            ValueError: `old` is not in the bank, or the pinned keyframes would not fit into it.
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
        """Drops the least useful keyframes until the bounds hold, never a pinned one or `kept`.

        Returns the dropped ones.
        """
        limit = self.config.max_mib * 2**20
        dropped = []
        while len(self._keyframes) > self.config.max_keyframes or self.nbytes > limit:
            worst = min((k for k in self._keyframes if not k.pinned and k is not kept), key=self._usefulness)
            self._keyframes.remove(worst)
            dropped.append(worst)
        return dropped

    def served(self, keyframe: Keyframe) -> None:
        """Counts a frame served by `keyframe`. When its count reaches 4,096, all counts are halved."""
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
        """Finds the keyframe with the highest predicted coverage of a view.

        Args:
            landmarks: of the frame.
            without: a keyframe to leave out, such as the one in use.
            hopeful: see `Keyframe.predict`.
            pinned: only considers the user's keyframes.

        Returns:
            The keyframe and its predicted coverage, [0, 1]; the earliest among equals. None if there is none.
        """
        choices = [
            (k, k.predict(landmarks, self.config, hopeful=hopeful))
            for k in self._keyframes
            if k is not without and (k.pinned or not pinned)
        ]
        return max(choices, key=lambda choice: choice[1], default=None)

    def sources(self, landmarks: Landmarks, most: int) -> list[Keyframe]:
        """Chooses the keyframes that a new keyframe of a view is drawn from.

        These are the user's first keyframe and the others with the highest predicted coverage.

        Args:
            landmarks: of the frame.
            most: largest number of keyframes.

        Returns:
            The user's keyframes, then the made ones; each group oldest first.
        """
        first = next(k for k in self._keyframes if k.pinned)
        others = [k for k in self._keyframes if k is not first]
        others.sort(key=lambda k: k.predict(landmarks, self.config), reverse=True)
        chosen = [first, *others[: most - 1]]
        return sorted(chosen, key=lambda k: (not k.pinned, self._keyframes.index(k)))

    def _usefulness(self, keyframe: Keyframe) -> float:
        """Number of frames served, times the share that no other keyframe would cover in its view."""
        own = keyframe.prepared.landmarks
        if own is None:
            return 0.0
        others = [k.predict(own, self.config) for k in self._keyframes if k is not keyframe]
        return (1 + keyframe.used) * (1.001 - max(others, default=0.0))
