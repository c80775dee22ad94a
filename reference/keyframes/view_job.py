"""Beside the frame's path: a view that is badly covered gets a keyframe that covers it, or a new one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from correspondence import Image, Landmarks, Match, Matcher, Prepared
from reference.face.parts import face_size
from reference.keyframes.bank import Keyframe
from reference.keyframes.crossfade import Apart
from reference.keyframes.drawn import Drawn, KeyframeFill, LaterFill, checked, draw, filled, hint_of
from reference.keyframes.lookout import Wanted
from reference.keyframes.passed import Passed
from reference.keyframes.refusal import RefusalConfig, why_not_by_looks, why_not_by_sights
from reference.keyframes.sights import EditStyle, ReadyKeyframe, Sight, glance_at, sight_of

Observed = tuple[Keyframe, Landmarks, float]  # a keyframe, a view, and what it covered of it


@dataclass(frozen=True, slots=True, eq=False)
class JobView:
    """The view that a job works on.

    Attributes:
        frame: uint8 (H, W, 3); landmarks: of its face; now_s: its time.
        wanted: what should be done.
        served: the keyframe that serves the frame, and its match.
        passed: poorly covered views before it, by time.
    """

    frame: Image
    landmarks: Landmarks
    now_s: float
    wanted: Wanted
    served: tuple[Keyframe, Match] | None = None
    passed: tuple[Passed, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class JobTools:
    """What a job works with; see `KeeperConfig`.

    Attributes:
        enough: coverage at which a keyframe of the bank serves and none is made.
        sources: the keyframes held that a view is drawn from, the user's own first, then by age.
        report: takes what is found, as soon as it is.
        wants: tells whether a keyframe is still held, so that filling it is worth while.
    """

    matcher: Matcher
    style: EditStyle
    radius: float
    threshold: float
    refusal: RefusalConfig
    fill: KeyframeFill | None
    enough: float
    sources: Callable[[Landmarks], list[Keyframe]]
    report: Callable[[Found], None]
    wants: Callable[[Keyframe], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Swap:
    """A keyframe to serve from now on, or to join the bank.

    Attributes:
        worn: the keyframe; reason: why, in words.
        known: of a new keyframe, share of its edit that earlier ones gave; None for one of the bank.
        replaces: the keyframe of the bank whose place it takes, with its hole filled.
        apart: a keyframe, and how its match differs from this one's.
        serves: False for a new one that waits in the bank until its view comes back.
        fills: its hole is being filled: another one replaces it soon.
        passed: views on the way to a new one that may join the bank after it.
    """

    worn: ReadyKeyframe
    reason: str
    known: float | None = None
    replaces: Keyframe | None = None
    apart: tuple[Keyframe, Apart] | None = None
    serves: bool = True
    fills: bool = False
    passed: tuple[Passed, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Found:
    """What a job found out; `swap` is None where nothing better was found."""

    observed: tuple[Observed, ...] = ()
    swap: Swap | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FrameRefused(Found):
    """The frame is no good as keyframe."""

    reason: str


class ViewJob:
    """One job on one view; called once, by a worker.

    Args:
        view: the view.
        tools: what the job works with.
        fresh: tells by a frame's time whether it is still worth the work.
    """

    def __init__(self, view: JobView, tools: JobTools, fresh: Callable[[float], bool]) -> None:
        self._view, self._tools, self._fresh = view, tools, fresh
        self.running = self.over = False

    def __call__(self) -> None:
        """Try or make a keyframe, and report; a failure leaves everything as it was."""
        try:
            if not self._fresh(self._view.now_s):
                return
            self.running = True
            if self._view.wanted.candidate is not None:
                self._try(self._view.wanted.candidate)
            else:
                self._make()
        finally:
            self.running, self.over = False, True

    def _glance(self, keyframe: Keyframe) -> tuple[Swap, float]:
        """The change to a keyframe of the bank, and what it covers of the view."""
        view, tools = self._view, self._tools
        worn = tools.style.ready(keyframe)
        match, covered = glance_at(
            view.frame, view.landmarks, worn, tools.matcher, tools.radius, tools.threshold
        )
        return Swap(worn, view.wanted.reason, apart=self._apart(match)), covered

    def _apart(self, match: Match | None) -> tuple[Keyframe, Apart] | None:
        """How the serving keyframe's match differs from another one; None: from the frame's with itself."""
        served = self._view.served
        if served is None:
            return None
        return served[0], Apart.between(served[1], match, self._view.landmarks)

    def _try(self, candidate: Keyframe) -> None:
        swap, covered = self._glance(candidate)
        observed = ((candidate, self._view.landmarks, covered),)
        self._tools.report(
            Found(observed=observed, swap=swap if covered >= self._view.wanted.least else None)
        )

    def _make(self) -> None:
        view, tools = self._view, self._tools
        sources = tools.sources(view.landmarks)
        glances = [(k, *self._glance(k)) for k in sources]
        observed = tuple((k, view.landmarks, covered) for k, _, covered in glances)
        _, best, covered = max(glances, key=lambda g: g[2])
        if covered >= tools.enough:
            best = replace(best, reason=f"a keyframe of the bank covers {covered:.0%}")
            self._tools.report(Found(observed=observed, swap=best))
            return
        seen = recognised(view.frame, view.landmarks, sources, tools)
        drawn = seen if isinstance(seen, str) else drawn_on(view.frame, seen[1], tools)
        if isinstance(seen, str) or isinstance(drawn, str):
            self._tools.report(FrameRefused(observed=observed, reason=str(drawn)))
            return
        prepared, sights = seen
        keyframe = Keyframe(prepared.image, drawn.edited, prepared, made_s=view.now_s)
        fill = tools.fill if drawn.hole.any() else None
        swap = Swap(
            tools.style.ready(keyframe), view.wanted.reason, known=drawn.known, apart=self._apart(None),
            fills=fill is not None, passed=view.passed,
        )  # fmt: skip
        self._tools.report(Found(observed=observed, swap=swap))
        if fill is not None:
            self._fill(keyframe, drawn, prepared.landmarks, sights[0], fill)

    def _fill(
        self, keyframe: Keyframe, drawn: Drawn, landmarks: Landmarks | None, own: Sight, fill: KeyframeFill
    ) -> None:
        """Have what is unknown invented."""
        if isinstance(fill, LaterFill):
            fill.later(
                drawn.edited,
                drawn.hole,
                hint_of(landmarks, own),
                lambda picture: self._whole(keyframe, checked(drawn, picture)),
                lambda: self._tools.wants(keyframe),
            )
        else:
            self._whole(keyframe, filled(drawn, landmarks, own, fill))

    def _whole(self, keyframe: Keyframe, picture: Image) -> None:
        """Report the keyframe with its hole filled."""
        whole = replace(keyframe, edited=picture)
        swap = Swap(self._tools.style.ready(whole), "its hole was filled", replaces=keyframe)
        self._tools.report(Found(swap=swap))


def recognised(
    frame: Image, landmarks: Landmarks, sources: Sequence[Keyframe], tools: JobTools
) -> tuple[Prepared, list[Sight]] | str:
    """A frame made ready and seen from earlier keyframes; or why it should not become one, in words.

    Args:
        frame: uint8 (H, W, 3); landmarks: of the face that wears the edit.
        sources: the user's own first.
    """
    prepared = tools.matcher.prepare(frame)
    found, own = prepared.landmarks, sources[0]
    reason = why_not_by_looks(frame, found, (own.image, own.prepared.landmarks), tools.refusal)
    if found is None or reason is not None:
        return reason or "no face found"
    if not _same_face(found, landmarks):
        return "another face is more in view"
    sights = [
        sight_of(frame, found, k, tools.matcher, tools.style, tools.radius, tools.threshold) for k in sources
    ]
    return why_not_by_sights(found, sights, tools.refusal) or (prepared, sights)


def drawn_on(frame: Image, sights: Sequence[Sight], tools: JobTools) -> Drawn | str:
    """The edit drawn on a frame, see `keyframes.draw`; or why it is not enough for a keyframe, in words."""
    drawn = draw(frame, sights, tools.style)
    known = drawn.known >= tools.refusal.least_known
    return drawn if known else "too little of the edit is known from this side"


def _same_face(a: Landmarks, b: Landmarks) -> bool:
    """Whether two landmark sets of one frame belong to one face."""
    apart = a.points[:468, :2].mean(axis=0) - b.points[:468, :2].mean(axis=0)
    return float(np.linalg.norm(apart)) < 0.5 * face_size(b)
