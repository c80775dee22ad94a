"""Beside the frame's path: views passed on the way to a new keyframe become keyframes of the bank as well."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from correspondence import Image, Landmarks
from reference.keyframes.bank import Keyframe
from reference.keyframes.drawn import Drawn, GapFill, KeyframeGap, checked
from reference.keyframes.keeper_config import KeeperConfig
from reference.keyframes.passed import Passed, PassedViews
from reference.keyframes.refusal import eyes_shut
from reference.keyframes.sights import Sight
from reference.keyframes.view_job import Found, JobTools, Swap, drawn_on, recognised
from reference.side_work import Worker

logger = logging.getLogger(__name__)

MORE = 0.03  # share of an edit that keyframes together must show more than each alone, to be drawn into one


class PassedJob:
    """Draws the edit on each view from earlier keyframes, then has the holes filled between both ends.

    Called by a worker until it is `over`, once for each view, so that what is urgent can go between.

    Args:
        views: what was passed, by time.
        ends: the keyframe that served before, and the one that was made.
        tools: what with.
        due_s: from when on it may be called, or else from when the second end was replaced: while its hole
            is being filled, views would be drawn from a picture that shows the hole unedited.
    """

    def __init__(
        self,
        views: Sequence[Passed],
        ends: tuple[Keyframe, Keyframe],
        tools: JobTools,
        due_s: float = -np.inf,
    ) -> None:
        self._left, self._ends, self._tools = list(views), ends, tools
        self._made: list[tuple[Keyframe, Drawn]] = []
        self._due_s, self.running = due_s, False

    @property
    def over(self) -> bool:
        """Whether no view is left."""
        return not self._left

    def due(self, now_s: float) -> bool:
        """Whether it may be called for a further view."""
        return not self.over and not self.running and now_s >= self._due_s

    def replaced(self, old: Keyframe, new: Keyframe) -> None:
        """A keyframe of the bank is another one now, perhaps an end with its hole filled."""
        start, end = self._ends
        self._ends = (new if old is start else start, new if old is end else end)
        if old is end:
            self._due_s = -np.inf

    def __call__(self) -> None:
        """Draw on the next view, and report; nothing where an end is no longer held."""
        if self.over or not self._timely():
            self._left.clear()
            return
        self.running = True
        try:
            self._draw(self._left.pop(0))
            if self.over:
                self._fill()
        finally:
            self.running = False

    def _timely(self) -> bool:
        return all(self._tools.wants(end) for end in self._ends)

    def _draw(self, view: Passed) -> None:
        tools, made = self._tools, [k for k, _ in self._made]
        seen = recognised(view.frame, view.landmarks, tools.sources(view.landmarks), tools)
        if isinstance(seen, str):
            logger.debug("the view of %.1f s makes no keyframe: %s", view.now_s, seen)
            return
        prepared, sights = seen
        # Not from what this job made: that knows no more than the ends, and errors would compound.
        earlier = [s for s in sights if s.keyframe not in made]
        covered = [s.covered for s in sights]
        shown, together = shares(sights, earlier, tools.threshold)
        if together >= max(shown) + MORE:  # then none of them is all that this view can have
            covered = shown
        observed = tuple((s.keyframe, view.landmarks, c) for s, c in zip(sights, covered, strict=True))
        if max(covered) >= tools.enough:
            self._tools.report(Found(observed=observed))
            return
        drawn = drawn_on(view.frame, earlier, tools)
        if isinstance(drawn, str):
            logger.debug("the view of %.1f s makes no keyframe: %s", view.now_s, drawn)
            self._tools.report(Found(observed=observed))
            return
        # As old as the keyframe it is drawn from: an edit of that takes both out, see `Bank.follow`.
        keyframe = Keyframe(prepared.image, drawn.edited, prepared, made_s=self._ends[1].made_s)
        worn = tools.style.ready(keyframe)
        swap = Swap(worn, "its view was passed", known=drawn.known, serves=False)
        self._made.append((keyframe, drawn))
        self._tools.report(Found(observed=observed, swap=swap))

    def _fill(self) -> None:
        """Have all holes filled at once, where someone can."""
        fill = self._tools.fill
        holed = [(k, drawn) for k, drawn in self._made if drawn.hole.any()]
        if not holed or not isinstance(fill, GapFill):
            return
        start, end = ((k.edited, k.prepared.landmarks) for k in self._ends)
        gap = KeyframeGap(
            ends=(start, end),
            frames=tuple((drawn.edited, k.prepared.landmarks) for k, drawn in holed),
            holes=tuple(drawn.hole for _, drawn in holed),
        )

        def take(pictures: Sequence[Image]) -> None:
            for (keyframe, drawn), picture in zip(holed, pictures, strict=True):
                self._whole(keyframe, drawn, checked(drawn, picture))

        fill.between(gap, take, lambda: self._timely() and any(self._tools.wants(k) for k, _ in holed))

    def _whole(self, keyframe: Keyframe, drawn: Drawn, picture: Image) -> None:
        """Report the keyframe with its hole filled, if that changed anything."""
        if (picture == drawn.edited).all():
            return
        whole = self._tools.style.ready(replace(keyframe, edited=picture))
        self._tools.report(Found(swap=Swap(whole, "its hole was filled", replaces=keyframe)))


def shares(sights: Sequence[Sight], earlier: Sequence[Sight], threshold: float) -> tuple[list[float], float]:
    """What each keyframe alone shows of an edit, and what the earlier ones show together, [0, 1].

    The edit is as large as all of them know it. `Sight.covered` asks a keyframe for its own edit only: one
    that was made lacks what its view hid, and covers what it has.

    Args:
        sights: of one frame, the user's own first: where that edit lies counts however unsure its place is.
        earlier: at least one of them.
        threshold: confidence at which a place counts as shown.
    """
    rows, columns = sights[0].confidence.shape
    lies = [cv2.resize(s.mask, (columns, rows), interpolation=cv2.INTER_AREA) for s in sights]
    seen = [mask * (s.confidence >= threshold) for s, mask in zip(sights, lies, strict=True)]
    total = float(np.max([lies[0], *seen], axis=0).sum())
    if total == 0:
        return [1.0] * len(sights), 1.0
    theirs = [each for s, each in zip(sights, seen, strict=True) if s in earlier]
    return [float(each.sum()) / total for each in seen], float(np.max(theirs, axis=0).sum()) / total


class Passing(PassedViews):
    """The views that a stream passes, and what becomes of them; of the step's thread alone.

    Args:
        config: how references are kept.
        worker: where views are drawn on.
    """

    def __init__(self, config: KeeperConfig, worker: Worker) -> None:
        super().__init__(config.passed_views, config.bank)
        self._keeping, self._worker = config, worker
        self._job: PassedJob | None = None  # of the views before the keyframe made last

    @property
    def running(self) -> bool:
        """Whether a view is being drawn on."""
        return self._job is not None and self._job.running

    def note_covered(
        self,
        frame: Image,
        landmarks: Landmarks,
        now_s: float,
        covered: float,
        start: Landmarks | None,
        first: Landmarks | None,
    ) -> None:
        """Remember the view if it is poorly covered; forget the way where it is covered again.

        Args:
            frame, landmarks, now_s, start: as in `note`; covered: share of its edit, [0, 1].
            first: landmarks of the user's first keyframe, which tell what eyes are shut.
        """
        if covered >= self._keeping.policy.recover:
            self.clear()
        elif self._keeping.make and not eyes_shut(landmarks, first, self._keeping.refusal):
            self.note(frame, landmarks, now_s, start)

    def begin(self, swap: Swap, start: Keyframe, tools: JobTools, now_s: float) -> None:
        """A keyframe was made: what was passed before it may join the bank too.

        Args:
            swap: to the keyframe; start: the one that served before it.
            tools: what with; now_s: of the frame.
        """
        due_s = now_s + self._keeping.passed_wait_s if swap.fills else -np.inf
        self._job = PassedJob(swap.passed, (start, swap.worn.keyframe), tools, due_s)

    def replaced(self, old: Keyframe, new: Keyframe) -> None:
        """See `PassedJob.replaced`."""
        if self._job is not None:
            self._job.replaced(old, new)

    def go_on(self, now_s: float, covered: float, match_s: float) -> None:
        """Nothing is urgent: have a view drawn on, where one is left.

        Args:
            now_s: of the frame; covered: share of its edit, [0, 1]; match_s: how long a match takes.
        """
        calm = covered >= self._keeping.policy.min_coverage and match_s <= self._keeping.max_match_s
        if self._job is not None and calm and self._job.due(now_s):
            self._worker.submit(self._job)

    def begin_anew(self) -> None:
        """The source began anew, or another edit was worn meanwhile."""
        self.clear()
        self._job = None
