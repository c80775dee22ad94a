"""One keyframe: a reference with its edited picture, and how well it has covered which views."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

import numpy as np

from correspondence import Float, Image, Landmarks, Prepared
from reference.edits.edit import Edit
from reference.face.view import ViewChange, view_change

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
class ViewScales:
    """How fast the coverage of a keyframe is expected to fall as the view changes."""

    turn_deg: float = 38.0  # prior: the turn at which coverage has fallen to 1 / e
    log_scale: float = 0.7  # likewise for size
    expression: float = 0.9  # likewise for lip gap and lid opening together
    nearby_deg: float = 6.0  # turn within which an observed coverage also predicts neighbouring views
    prior_weight: float = 0.5  # number of observations that the prior counts as


@dataclass(frozen=True, slots=True, eq=False)
class KeyframeInfo:
    """A keyframe as the page's film strip shows it.

    Attributes:
        image, edited: the reference and its edited picture, uint8 (H, W, 3).
        pinned: whether the user edited it.
        made_s: time of its frame, seconds.
        used: number of frames it served, see `Bank.served`.
        active: whether it serves now.
        id: identifies the keyframe for as long as it is kept.
        version: changes with `edited`.
        turn_deg: yaw and pitch of its head relative to the first keyframe's, degrees; None without a face.
        covered: mean share of the edit that it covered in the views where it was tried, [0, 1]; None if it
            was not tried yet.
        landmarks: landmarks of `image`; None without a face.
    """

    image: Image
    edited: Image
    pinned: bool
    made_s: float
    used: int
    active: bool
    id: int
    version: int
    turn_deg: tuple[float, float] | None
    covered: float | None
    landmarks: Landmarks | None


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

    def observe(self, landmarks: Landmarks, coverage: float, scales: ViewScales) -> None:
        """Remembers which share of the edit it covered in a view.

        A view that is like a remembered one updates that entry. Without a face nothing is remembered.

        Args:
            landmarks: landmarks of the frame that shows the view.
            coverage: [0, 1].
            scales: scales of the distance between views.
        """
        if self.prepared.landmarks is None:
            return
        row = _row(view_change(self.prepared.landmarks, landmarks), scales)
        apart = ((self._views - row) ** 2).sum(axis=1)
        if len(apart) and apart.min() < SAME_VIEW**2:
            near = int(apart.argmin())
            self._counts[near] = min(MOST_COUNTED, self._counts[near] + 1)
            self._coverage[near] += (coverage - self._coverage[near]) / self._counts[near]
            return
        self._views = np.concatenate([self._views, row[None]])[-MOST_VIEWS:]
        self._coverage = np.append(self._coverage, np.float32(coverage))[-MOST_VIEWS:]
        self._counts = np.append(self._counts, np.float32(1))[-MOST_VIEWS:]

    def predict(self, landmarks: Landmarks, scales: ViewScales, *, hopeful: bool = False) -> float:
        """Predicts the coverage of a view.

        The prediction is the mean of the coverage observed in nearby views and of a prior, which falls as the
        view changes.

        Args:
            landmarks: landmarks of the frame that shows the view.
            scales: scales of the prediction.
            hopeful: sets the prior to 1 for views that are turned little, so that untried ones are tried.

        Returns:
            Expected coverage, [0, 1]; 0 for a keyframe without a face.
        """
        if self.prepared.landmarks is None:
            return 0.0
        change = view_change(self.prepared.landmarks, landmarks)
        near = np.exp(-0.5 * ((self._views - _row(change, scales)) ** 2).sum(axis=1))
        weights = near * self._counts
        prior = _prior(change, scales)
        if hopeful and change.turn_deg < HOPE * scales.turn_deg:
            prior = 1.0
        total = scales.prior_weight * prior + float((weights * self._coverage).sum())
        return total / (scales.prior_weight + float(weights.sum()))


def _prior(change: ViewChange, scales: ViewScales) -> float:
    expression = abs(change.lips) + abs(change.eyes)
    parts = (
        change.turn_deg / scales.turn_deg,
        change.log_scale / scales.log_scale,
        expression / scales.expression,
    )
    return float(np.exp(-sum(p**2 for p in parts)))


def _row(change: ViewChange, scales: ViewScales) -> Float:
    """A view change as a point, float32 (5,): yaw, pitch, size, lips and eyes.

    Angles are in units of `nearby_deg`. The other components are scaled to weigh as much.
    """
    near = scales.nearby_deg / scales.turn_deg
    return np.array(
        [
            change.yaw_deg / scales.nearby_deg,
            change.pitch_deg / scales.nearby_deg,
            change.log_scale / (near * scales.log_scale),
            change.lips / (near * scales.expression),
            change.eyes / (near * scales.expression),
        ],
        np.float32,
    )


def apart(a: Landmarks, b: Landmarks, scales: ViewScales) -> float:
    """Distance between two views of a face, in the units of `_row`: 1 is a turn by `nearby_deg`."""
    return float(np.linalg.norm(_row(view_change(a, b), scales)))
