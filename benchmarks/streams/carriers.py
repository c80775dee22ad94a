"""The methods of keeping an edit on an endless stream that the endurance benchmark compares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, cast

import numpy as np

from benchmarks.streams.passes import Shown
from correspondence import DETECT, Box, Float, Image, Landmarks, Match, Matcher, MaybeLandmarks, Prepared
from correspondence.certainty.uncertainty import confidence_of
from correspondence.matchers.coarse import Begun
from inpaint import fill_classical
from reference import (
    CompositeConfig,
    Composition,
    Compositor,
    Edit,
    FillHint,
    KeeperConfig,
    KeyframeMade,
    Propagator,
    PropagatorConfig,
    ReferenceSwitched,
)
from reference.face.parts import face_size
from reference.keyframes.drawn import draw, filled
from reference.keyframes.keyframe import Keyframe
from reference.keyframes.policy import Action, KeyframePolicy, coverage
from reference.keyframes.sights import ALL_TRUST, EditStyle, radius_px, sight_of

ALL = CompositeConfig(trust_low=0.0, trust_high=ALL_TRUST)


def fill(image: Image, mask: Float, hint: FillHint) -> Image:
    """Inpaint with OpenCV (Telea). All rows use it."""
    return fill_classical(image, mask)


@dataclass(eq=False)
class Counts:
    """Counters of a carrier."""

    keyframes: int = 0
    switches: int = 0


class Carrier(Protocol):
    """A method of keeping an edit on a stream."""

    counts: Counts
    covered: float  # coverage of the last frame's edit by the reference in use, [0, 1]; NaN if not measured

    def step(self, shown: Shown) -> Image:
        """Return the next frame with the edit."""
        ...

    def nbytes(self) -> int:
        """Memory of its references, bytes."""
        ...


class GivenLandmarks:
    """A matcher and a tracker that know only the given half of a frame's landmarks."""

    def __init__(self, matcher: Matcher, first: Landmarks) -> None:
        self._matcher, self.now = matcher, first
        self.kind = matcher.kind

    def __call__(self, image: Image, now_s: float) -> Landmarks | None:
        """Return the given landmarks, as a tracker."""
        return self.now

    def prepare(self, image: Image, landmarks: MaybeLandmarks = DETECT) -> Prepared:
        """Prepare a reference as the matcher does, with the given landmarks only."""
        return self._matcher.prepare(image, self.now if landmarks is DETECT else landmarks)

    def begin(self, frame: Image, prepared: Prepared) -> Begun:
        """Begin a match as the matcher does."""
        return self._matcher.begin(frame, prepared)

    def match(
        self,
        frame: Image,
        prepared: Prepared,
        previous: Match | None = None,
        landmarks: MaybeLandmarks = DETECT,
        begun: Begun | None = None,
        window: Box | None = None,
        thin: int = 0,
    ) -> Match:
        """Match as the matcher does, with the given landmarks only."""
        given = self.now if landmarks is DETECT else landmarks
        return self._matcher.match(frame, prepared, previous, given, begun, window, thin)

    def wants_begin(
        self, prepared: Prepared, previous: Match | None, thin: int = 0, *, whole: bool = False
    ) -> bool:
        """Answer as the matcher does."""
        return self._matcher.wants_begin(prepared, previous, thin, whole=whole)


class Propagated:
    """Livery's own propagator."""

    def __init__(self, edit: Edit, first: Landmarks, matcher: Matcher, references: KeeperConfig) -> None:
        self._given = GivenLandmarks(matcher, first)
        config = PropagatorConfig(references=references)
        self.propagator = Propagator(edit, cast("Matcher", self._given), self._given, config, fill)
        self.counts = Counts()
        self.covered = float("nan")

    def step(self, shown: Shown) -> Image:
        """Return the next frame with the edit."""
        self._given.now = shown.given
        result = self.propagator.step(shown.frame, shown.now_s)
        self.counts.keyframes += sum(isinstance(e, KeyframeMade) for e in result.events)
        self.counts.switches += sum(isinstance(e, ReferenceSwitched) for e in result.events)
        decision = self.propagator.decision
        self.covered = float("nan") if decision is None or decision.coverage is None else decision.coverage
        return result.image

    def nbytes(self) -> int:
        """Memory of the keyframes in the bank, bytes."""
        return sum(k.image.nbytes + k.edited.nbytes for k in self.propagator.keyframes())


Rule = Callable[[float, float, float], bool]  # coverage, mean scale of the field's error (face sizes), now_s


@dataclass(eq=False)
class ByPolicy:
    """Replaces the reference when Livery's policy would make a keyframe."""

    policy: KeyframePolicy = field(default_factory=KeyframePolicy)

    def __call__(self, covered: float, scale: float, now_s: float) -> bool:
        """Whether to replace the reference now."""
        if self.policy.decide(coverage=covered, now_s=now_s).action is not Action.MAKE:
            return False
        self.policy.made(now_s=now_s)
        return True


@dataclass(eq=False)
class ByWindow:
    """StreamEdit 3.2: the last frame of a window is matched.

    If it is too uncertain, it is the next reference.

    Attributes:
        threshold: mean Laplace scale over the edit above which the window is split, face sizes.
        window_s: length of a window, seconds.
    """

    threshold: float
    window_s: float
    _end_s: float | None = None

    def __call__(self, covered: float, scale: float, now_s: float) -> bool:
        """Whether to replace the reference now."""
        if self._end_s is None:
            self._end_s = now_s + self.window_s
        if now_s < self._end_s - 1e-6:
            return False
        self._end_s = now_s + self.window_s
        return scale > self.threshold


class Rolling:
    """Keeps one reference at a time. The next one replaces it and is drawn from it alone.

    Args:
        edit: the user's edit.
        first: landmarks of its reference.
        rule: when to replace.
        own_way: True draws a new reference as Livery does, but from the last one only. False does what
            StreamEdit 3.3 describes: the edited picture is warped, uncertain pixels are inpainted, and it
            replaces later frames where something is edited. The paper replaces whole pictures.
    """

    def __init__(self, edit: Edit, first: Landmarks, matcher: Matcher, rule: Rule, *, own_way: bool) -> None:
        self._given = GivenLandmarks(matcher, first)
        self._matcher = cast("Matcher", self._given)
        self._rule, self._own_way = rule, own_way
        self._config = KeeperConfig()
        self._style = EditStyle("auto" if own_way else "replace", 1.0, CompositeConfig())
        prepared = self._given.prepare(edit.reference)
        self._worn = self._style.ready(Keyframe(prepared.image, edit.edited, prepared))
        self._previous: Match | None = None
        self.counts = Counts()
        self.covered = float("nan")

    def step(self, shown: Shown) -> Image:
        """Return the next frame with the edit."""
        self._given.now = shown.given
        match = self._given.match(shown.frame, self._worn.keyframe.prepared, self._previous)
        self._previous = match
        made = self._worn.compositor.compose(shown.frame, match)
        self.covered, scale = self._judge(made, shown)
        if self._rule(self.covered, scale, shown.now_s):
            self._replace(shown, match)
        return made.image

    def nbytes(self) -> int:
        """Memory of the reference, bytes."""
        return self._worn.keyframe.image.nbytes + self._worn.keyframe.edited.nbytes

    def _judge(self, made: Composition, shown: Shown) -> tuple[float, float]:
        """Return coverage of the edit, and the mean Laplace scale over it in face sizes."""
        if made.seen is None or not made.seen.mask.any():
            return 1.0, 0.0
        reach = radius_px(self._config.radius, shown.given, shown.given.image_size)
        sure = confidence_of(made.seen.log_b, reach)
        scale = float(np.average(np.exp(made.seen.log_b), weights=made.seen.mask)) / face_size(shown.given)
        return coverage(sure, made.seen.mask, self._config.threshold), scale

    def _replace(self, shown: Shown, match: Match) -> None:
        edited = self._drawn(shown) if self._own_way else self._warped(shown, match)
        prepared = self._given.prepare(shown.frame)
        self._worn = self._style.ready(Keyframe(prepared.image, edited, prepared))
        self._previous = None
        self.counts.keyframes += 1

    def _drawn(self, shown: Shown) -> Image:
        config = self._config
        own = sight_of(
            shown.frame,
            shown.given,
            self._worn.keyframe,
            self._matcher,
            self._style,
            config.radius,
            config.threshold,
        )
        drawn = draw(shown.frame, [own], self._style)
        return filled(drawn, shown.given, own, fill) if drawn.hole.any() else drawn.edited

    def _warped(self, shown: Shown, match: Match) -> Image:
        compositor = Compositor(self._worn.edit, self._worn.keyframe.prepared.landmarks, ALL)
        carried = compositor.compose(shown.frame, match)
        if carried.box is None or carried.seen is None:
            return carried.image
        reach = radius_px(self._config.radius, shown.given, shown.given.image_size)
        sure = confidence_of(match.log_b, reach) >= self._config.threshold
        changed = (carried.image != shown.frame).any(axis=2)
        return fill_classical(carried.image, (changed & ~sure).astype(np.float32))
