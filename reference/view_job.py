"""A look beside the frame's path at a view that is badly covered: a keyframe that covers it, or a new one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from correspondence import Matcher
from correspondence.types import Image, Landmarks, Match
from reference.bank import Keyframe
from reference.crossfade import Apart
from reference.keyframes import Drawn, Fill, LaterFill, checked, draw, filled, hint_of
from reference.parts import face_size
from reference.refusal import RefusalConfig, why_not_by_looks, why_not_by_sights
from reference.sights import Look, Sight, Worn, glance_at, sight_of

Observed = tuple[Keyframe, Landmarks, float]  # a keyframe, a view, and what it covered of it


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a job looks at.

    Attributes:
        frame: uint8 (H, W, 3); landmarks: of its face; now_s: its time.
        candidate: the keyframe to try, None to make one; least: what it must cover; reason: of the request.
        served: the keyframe that serves the frame, and its match.
    """

    frame: Image
    landmarks: Landmarks
    now_s: float
    candidate: Keyframe | None
    least: float
    reason: str
    served: tuple[Keyframe, Match] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Tools:
    """What a job works with; see `KeeperConfig`."""

    matcher: Matcher
    look: Look
    radius: float
    threshold: float
    refusal: RefusalConfig
    fill: Fill | None


@dataclass(frozen=True, slots=True, eq=False)
class Swap:
    """A keyframe to serve from now on.

    Attributes:
        worn: the keyframe; reason: why, in words.
        known: of a new keyframe, share of its edit that earlier ones gave; None for one of the bank.
        replaces: the keyframe of the bank whose place it takes, with its hole filled.
        apart: a keyframe, and how its match differs from this one's.
    """

    worn: Worn
    reason: str
    known: float | None = None
    replaces: Keyframe | None = None
    apart: tuple[Keyframe, Apart] | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Found:
    """What a job found out; `swap` is None where nothing better was found."""

    observed: tuple[Observed, ...] = ()
    swap: Swap | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Refused(Found):
    """The frame is no good as keyframe."""

    reason: str


class ViewJob:
    """One look; called once, by a worker.

    Args:
        view: what at.
        sources: keyframes a new one may be drawn from, the earliest first.
        tools: what with.
        enough: coverage at which a keyframe of the bank serves and none is made.
        report: takes what is found, as soon as it is.
        fresh: tells by a frame's time whether it is still worth looking at.
        wants: tells whether a keyframe that was made is still held, so that filling it is worth while.
    """

    def __init__(
        self,
        view: View,
        sources: Sequence[Keyframe],
        tools: Tools,
        enough: float,
        report: Callable[[Found], None],
        fresh: Callable[[float], bool],
        wants: Callable[[Keyframe], bool] = lambda keyframe: True,
    ) -> None:
        self._view, self._sources, self._tools = view, sources, tools
        self._enough, self._report, self._fresh, self._wants = enough, report, fresh, wants
        self.running = False

    def __call__(self) -> None:
        """Look, and report; a failure leaves everything as it was."""
        if not self._fresh(self._view.now_s):
            return
        self.running = True
        try:
            if self._view.candidate is not None:
                self._try(self._view.candidate)
            else:
                self._make()
        finally:
            self.running = False

    def _see(self, keyframe: Keyframe, landmarks: Landmarks) -> Sight:
        tools = self._tools
        return sight_of(
            self._view.frame, landmarks, keyframe, tools.matcher, tools.look, tools.radius, tools.threshold
        )

    def _glance(self, keyframe: Keyframe) -> tuple[Swap, float]:
        """The change to a keyframe of the bank, and what it covers of the view."""
        view, tools = self._view, self._tools
        worn = tools.look.worn(keyframe)
        match, covered = glance_at(
            view.frame, view.landmarks, worn, tools.matcher, tools.radius, tools.threshold
        )
        return Swap(worn, view.reason, apart=self._apart(match)), covered

    def _apart(self, match: Match | None) -> tuple[Keyframe, Apart] | None:
        """How the serving keyframe's match differs from another one; None: from the frame's with itself."""
        served = self._view.served
        if served is None:
            return None
        return served[0], Apart.between(served[1], match, self._view.landmarks)

    def _try(self, candidate: Keyframe) -> None:
        swap, covered = self._glance(candidate)
        observed = ((candidate, self._view.landmarks, covered),)
        self._report(Found(observed=observed, swap=swap if covered >= self._view.least else None))

    def _make(self) -> None:
        view, tools = self._view, self._tools
        glances = [(k, *self._glance(k)) for k in self._sources]
        observed = tuple((k, view.landmarks, covered) for k, _, covered in glances)
        _, best, covered = max(glances, key=lambda g: g[2])
        if covered >= self._enough:
            best = replace(best, reason=f"a keyframe of the bank covers {covered:.0%}")
            self._report(Found(observed=observed, swap=best))
            return
        prepared = tools.matcher.prepare(view.frame)
        landmarks = prepared.landmarks
        own = self._sources[0]
        reason = why_not_by_looks(view.frame, landmarks, (own.image, own.prepared.landmarks), tools.refusal)
        if landmarks is None or reason is not None:
            self._report(Refused(observed=observed, reason=reason or "no face found"))
            return
        if not _same_face(landmarks, view.landmarks):
            self._report(Refused(observed=observed, reason="another face is more in view"))
            return
        sights = [self._see(keyframe, landmarks) for keyframe in self._sources]
        reason = why_not_by_sights(landmarks, sights, tools.refusal)
        drawn = None if reason is not None else draw(view.frame, sights, tools.look)
        if drawn is None or drawn.known < tools.refusal.least_known:
            unknown = "too little of the edit is known from this side"
            self._report(Refused(observed=observed, reason=reason or unknown))
            return
        keyframe = Keyframe(prepared.image, drawn.edited, prepared, made_s=view.now_s)
        swap = Swap(tools.look.worn(keyframe), view.reason, known=drawn.known, apart=self._apart(None))
        self._report(Found(observed=observed, swap=swap))
        self._fill(keyframe, drawn, landmarks, sights[0])

    def _fill(self, keyframe: Keyframe, drawn: Drawn, landmarks: Landmarks, own: Sight) -> None:
        """Invent what is unknown, where there is something to and someone who can."""
        fill = self._tools.fill
        if fill is None or not drawn.hole.any():
            return
        if isinstance(fill, LaterFill):
            fill.later(
                drawn.edited,
                drawn.hole,
                hint_of(landmarks, own),
                lambda picture: self._whole(keyframe, checked(drawn, picture)),
                lambda: self._wants(keyframe),
            )
        else:
            self._whole(keyframe, filled(drawn, landmarks, own, fill))

    def _whole(self, keyframe: Keyframe, picture: Image) -> None:
        """Report the keyframe with its hole filled."""
        whole = replace(keyframe, edited=picture)
        swap = Swap(self._tools.look.worn(whole), "its hole was filled", replaces=keyframe)
        self._report(Found(swap=swap))


def _same_face(a: Landmarks, b: Landmarks) -> bool:
    """Whether two landmark sets of one frame belong to one face."""
    apart = a.points[:468, :2].mean(axis=0) - b.points[:468, :2].mean(axis=0)
    return float(np.linalg.norm(apart)) < 0.5 * face_size(b)
