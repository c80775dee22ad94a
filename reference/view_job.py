"""A look beside the frame's path at a view that is badly covered: a keyframe that covers it, or a new one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from correspondence import Matcher
from correspondence.types import Image, Landmarks
from reference.bank import Keyframe
from reference.keyframes import Drawn, Fill, LaterFill, checked, draw, filled, hint_of
from reference.parts import face_size
from reference.refusal import RefusalConfig, why_not_by_looks, why_not_by_sights
from reference.sights import Look, Sight, Worn, sight_of

Observed = tuple[Keyframe, Landmarks, float]  # a keyframe, a view, and what it covered of it


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a job looks at.

    Attributes:
        frame: uint8 (H, W, 3); landmarks: of its face; now_s: its time.
        candidate: the keyframe to try, None to make one; least: what it must cover; reason: of the request.
    """

    frame: Image
    landmarks: Landmarks
    now_s: float
    candidate: Keyframe | None
    least: float
    reason: str


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
    """

    worn: Worn
    reason: str
    known: float | None = None
    replaces: Keyframe | None = None


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

    def _try(self, candidate: Keyframe) -> None:
        view = self._view
        sight = self._see(candidate, view.landmarks)
        observed = ((candidate, view.landmarks, sight.covered),)
        swap = Swap(self._tools.look.worn(candidate), view.reason) if sight.covered >= view.least else None
        self._report(Found(observed=observed, swap=swap))

    def _make(self) -> None:
        view, tools = self._view, self._tools
        prepared = tools.matcher.prepare(view.frame)
        landmarks = prepared.landmarks
        own = self._sources[0]
        reason = why_not_by_looks(view.frame, landmarks, (own.image, own.prepared.landmarks), tools.refusal)
        if landmarks is None or reason is not None:
            self._report(Refused(reason=reason or "no face found"))
            return
        if not _same_face(landmarks, view.landmarks):
            self._report(Refused(reason="another face is more in view"))
            return
        sights = [self._see(keyframe, landmarks) for keyframe in self._sources]
        observed = tuple((s.keyframe, landmarks, s.covered) for s in sights)
        best = max(sights, key=lambda s: s.covered)
        if best.covered >= self._enough:
            swap = Swap(tools.look.worn(best.keyframe), f"a keyframe of the bank covers {best.covered:.0%}")
            self._report(Found(observed=observed, swap=swap))
            return
        reason = why_not_by_sights(landmarks, sights, tools.refusal)
        drawn = None if reason is not None else draw(view.frame, sights, tools.look)
        if drawn is None or drawn.known < tools.refusal.least_known:
            unknown = "too little of the edit is known from this side"
            self._report(Refused(observed=observed, reason=reason or unknown))
            return
        keyframe = Keyframe(prepared.image, drawn.edited, prepared, made_s=view.now_s)
        swap = Swap(tools.look.worn(keyframe), view.reason, known=drawn.known)
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
