"""The job that finds or makes a keyframe for a poorly covered view. It runs beside the frame's path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from correspondence import Image, Landmarks, Match, Matcher, Prepared
from reference.face.parts import face_size
from reference.keyframes.crossfade import Apart
from reference.keyframes.drawn import Drawn, KeyframeFill, LaterFill, checked, draw, filled, hint_of
from reference.keyframes.keyframe import Keyframe
from reference.keyframes.learned import LearnedFill, drawn_in_look, look_on
from reference.keyframes.lookout import Wanted
from reference.keyframes.passed import Passed
from reference.keyframes.refusal import RefusalConfig, why_not_by_looks, why_not_by_sights
from reference.keyframes.sights import EditStyle, ReadyKeyframe, Sight, glance_at, sight_of

Observed = tuple[Keyframe, Landmarks, float]  # keyframe, view, and coverage of that view in [0, 1]


@dataclass(frozen=True, slots=True, eq=False)
class JobView:
    """The view that a job works on.

    Attributes:
        frame: uint8 (H, W, 3).
        landmarks: landmarks of the frame's face.
        now_s: time of the frame, seconds.
        wanted: what the job should do.
        served: the keyframe that served the frame, and the frame's match with it.
        passed: poorly covered views before this one, in order of time.
    """

    frame: Image
    landmarks: Landmarks
    now_s: float
    wanted: Wanted
    served: tuple[Keyframe, Match] | None = None
    passed: tuple[Passed, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class JobTools:
    """The models, settings and callbacks of a job.

    Attributes:
        matcher: the stream's matcher.
        style: how edits are worn.
        radius, threshold: define coverage, see `KeeperConfig`.
        refusal: what a frame needs to become a keyframe.
        fill: invents the parts of the edit that no keyframe knows; None leaves them live.
        look: paints what is not carried of a look of the whole picture; None for other edits.
        enough: coverage from which a keyframe of the bank serves and no new one is made, [0, 1].
        sources: returns the held keyframes that a view is drawn from, see `Bank.sources`.
        report: called with each result as soon as it is found.
        wants: returns whether a keyframe is still held, so that filling it is worthwhile.
        counts: returns whether results of the job still count. The job stops at its next stage if not.
    """

    matcher: Matcher
    style: EditStyle
    radius: float
    threshold: float
    refusal: RefusalConfig
    fill: KeyframeFill | None
    look: LearnedFill | None
    enough: float
    sources: Callable[[Landmarks], list[Keyframe]]
    report: Callable[[Found], None]
    wants: Callable[[Keyframe], bool]
    counts: Callable[[], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Swap:
    """A keyframe that should serve from now on, or join the bank.

    Attributes:
        worn: the keyframe, made ready.
        reason: why, in words for the user.
        known: for a new keyframe, the share of its edit that earlier ones gave, [0, 1]; None for a keyframe
            of the bank.
        replaces: the keyframe of the bank that this one replaces, with its hole filled; None for none.
        apart: another keyframe, and how its match differs from this one's.
        serves: False for a new keyframe that waits in the bank until its view comes back.
        fills: whether its hole is being filled, so that another keyframe replaces it soon.
        passed: views before a new keyframe that may join the bank after it.
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
    """The result of a job.

    Attributes:
        observed: coverage that was measured.
        swap: the keyframe to serve or to add; None if nothing better was found.
    """

    observed: tuple[Observed, ...] = ()
    swap: Swap | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FrameRefused(Found):
    """The frame was not made a keyframe; `reason` says why, in words for the user."""

    reason: str


class ViewJob:
    """Tries a keyframe of the bank on a view, or makes a new one. A worker calls it once.

    Args:
        view: the view.
        tools: models, settings and callbacks.
        fresh: takes the frame's time, seconds, and returns whether it is recent enough for the work.
    """

    def __init__(self, view: JobView, tools: JobTools, fresh: Callable[[float], bool]) -> None:
        self._view, self._tools, self._fresh = view, tools, fresh
        self.running = self.over = False

    def __call__(self) -> None:
        """Tries or makes a keyframe and reports the result. A failure changes nothing."""
        try:
            if not self._fresh(self._view.now_s) or not self._tools.counts():
                return
            self.running = True
            if self._view.wanted.candidate is not None:
                self._try(self._view.wanted.candidate)
            else:
                self._make()
        finally:
            self.running, self.over = False, True

    def _glance(self, keyframe: Keyframe) -> tuple[Swap, float]:
        """The swap to a keyframe of the bank, and its coverage of the view, [0, 1]."""
        view, tools = self._view, self._tools
        worn = tools.style.ready(keyframe)
        match, covered = glance_at(
            view.frame, view.landmarks, worn, tools.matcher, tools.radius, tools.threshold
        )
        return Swap(worn, view.wanted.reason, apart=self._apart(match)), covered

    def _apart(self, match: Match | None) -> tuple[Keyframe, Apart] | None:
        """The serving keyframe and how its match differs from `match`.

        None as `match` stands for the match of the frame with itself.
        """
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
        if not tools.counts():
            return
        seen = recognised(view.frame, view.landmarks, sources, tools)
        if not tools.counts():
            return
        drawn = seen if isinstance(seen, str) else drawn_on(view.frame, seen[1], tools)
        if isinstance(seen, str) or isinstance(drawn, str):
            self._tools.report(FrameRefused(observed=observed, reason=str(drawn)))
            return
        prepared, sights = seen
        if tools.look is not None:
            self._paint(prepared, drawn, sights[0], tools.look)
            return
        keyframe = Keyframe(prepared.image, drawn.edited, prepared, made_s=view.now_s)
        fill = tools.fill if drawn.hole.any() else None
        swap = Swap(
            tools.style.ready(keyframe), view.wanted.reason, known=drawn.known, apart=self._apart(None),
            fills=fill is not None, passed=view.passed,
        )  # fmt: skip
        self._tools.report(Found(observed=observed, swap=swap))
        if fill is not None and tools.counts():
            self._fill(keyframe, drawn, sights[0], fill)

    def _fill(self, keyframe: Keyframe, drawn: Drawn, own: Sight, fill: KeyframeFill) -> None:
        """Fills the hole of a new keyframe, now or later, and reports the filled keyframe."""
        landmarks = keyframe.prepared.landmarks
        if isinstance(fill, LaterFill):
            fill.later(
                drawn.edited,
                drawn.hole,
                hint_of(drawn, landmarks, own),
                lambda picture: self._whole(keyframe, checked(drawn, picture)),
                lambda: self._tools.wants(keyframe),
            )
        else:
            self._whole(keyframe, filled(drawn, landmarks, own, fill))

    def _paint(self, prepared: Prepared, drawn: Drawn, own: Sight, look: LearnedFill) -> None:
        """Paints the rest of a look's keyframe later. It then waits in the bank until its view comes back."""
        tools, made_s, reason = self._tools, self._view.now_s, self._view.wanted.reason

        def take(picture: Image) -> None:
            edit = look_on(own.edit, prepared.image, checked(drawn, picture))
            keyframe = Keyframe(prepared.image, edit.edited, prepared, made_s=made_s, edit=edit)
            swap = Swap(tools.style.ready(keyframe), reason, known=drawn.known, serves=False)
            tools.report(Found(swap=swap))

        hint = hint_of(drawn, prepared.landmarks, own)
        look.later(drawn.edited, drawn.hole, hint, take, tools.counts)

    def _whole(self, keyframe: Keyframe, picture: Image) -> None:
        """Reports the keyframe with its hole filled."""
        whole = replace(keyframe, edited=picture)
        swap = Swap(self._tools.style.ready(whole), "its hole was filled", replaces=keyframe)
        self._tools.report(Found(swap=swap))


def recognised(
    frame: Image, landmarks: Landmarks, sources: Sequence[Keyframe], tools: JobTools
) -> tuple[Prepared, list[Sight]] | str:
    """Prepares a frame and matches it with earlier keyframes, if it may become a keyframe.

    Args:
        frame: uint8 (H, W, 3).
        landmarks: landmarks of the face that wears the edit.
        sources: the earlier keyframes, the user's own first.
        tools: models and settings.

    Returns:
        The frame made ready and its sights in the order of `sources`; or, in words for the user, why it
        should not become a keyframe.
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
    """Draws the edit on a frame, see `drawn.draw`.

    Returns:
        The drawn edit; or, in words for the user, why it is not enough for a keyframe.
    """
    if tools.look is not None:
        return drawn_in_look(frame, sights[0], tools.style)
    drawn = draw(frame, sights, tools.style)
    known = drawn.known >= tools.refusal.least_known
    return drawn if known else "too little of the edit is known from this side"


def _same_face(a: Landmarks, b: Landmarks) -> bool:
    """Whether two sets of landmarks of one frame belong to the same face."""
    apart = a.points[:468, :2].mean(axis=0) - b.points[:468, :2].mean(axis=0)
    return float(np.linalg.norm(apart)) < 0.5 * face_size(b)
