"""The job that makes keyframes of the views passed before a new keyframe. It runs beside the frame's path."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from correspondence import Image, Landmarks
from reference.keyframes.drawn import Drawn, GapFill, KeyframeGap, checked
from reference.keyframes.keeper_config import KeeperConfig
from reference.keyframes.keyframe import Keyframe
from reference.keyframes.passed import Passed, PassedViews
from reference.keyframes.refusal import eyes_shut
from reference.keyframes.sights import Sight
from reference.keyframes.view_job import Found, JobTools, Swap, drawn_on, recognised
from reference.side_work import Worker

logger = logging.getLogger(__name__)

MORE = 0.03  # share of an edit that keyframes must show together beyond each alone to be drawn into one


class PassedJob:
    """Draws the edit on passed views from earlier keyframes, then has their holes filled.

    A worker calls it once for each view until it is `over`, so that urgent jobs can run in between.

    Args:
        views: the passed views, in order of time.
        ends: the keyframe that served before them, and the one that was made after them.
        tools: models, settings and callbacks.
        due_s: earliest time of a call, seconds. Once the second end was replaced, it may be called at once.
            While that keyframe's hole is being filled, views would be drawn from a picture that shows the
            hole unedited.
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
        """Whether it may be called for a further view at time `now_s`, seconds."""
        return not self.over and not self.running and now_s >= self._due_s

    def replaced(self, old: Keyframe, new: Keyframe) -> None:
        """Tells that keyframe `old` was replaced by `new`, for example by its filled version."""
        start, end = self._ends
        self._ends = (new if old is start else start, new if old is end else end)
        if old is end:
            self._due_s = -np.inf

    def __call__(self) -> None:
        """Draws the edit on the next view and reports the result.

        If an end is no longer held, it drops all views that are left.
        """
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
        # Not drawn from keyframes of this job: they know no more than the ends, and errors would add up.
        earlier = [s for s in sights if s.keyframe not in made]
        covered = [s.covered for s in sights]
        shown, together = shares(sights, earlier, tools.threshold)
        if together >= max(shown) + MORE:  # no single keyframe shows all that is known of this view
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
        # It gets the age of the second end, so that an edit of that end removes both, see `Bank.follow`.
        keyframe = Keyframe(prepared.image, drawn.edited, prepared, made_s=self._ends[1].made_s)
        worn = tools.style.ready(keyframe)
        swap = Swap(worn, "its view was passed", known=drawn.known, serves=False)
        self._made.append((keyframe, drawn))
        self._tools.report(Found(observed=observed, swap=swap))

    def _fill(self) -> None:
        """Has all holes filled at once, if the fill can do that."""
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
        """Reports the keyframe with its hole filled, if the fill changed anything."""
        if (picture == drawn.edited).all():
            return
        whole = self._tools.style.ready(replace(keyframe, edited=picture))
        self._tools.report(Found(swap=Swap(whole, "its hole was filled", replaces=keyframe)))


def shares(sights: Sequence[Sight], earlier: Sequence[Sight], threshold: float) -> tuple[list[float], float]:
    """Computes which share of an edit each keyframe shows alone, and which share some of them show together.

    The shares refer to the edit as far as all keyframes together know it. `Sight.covered` refers to the
    keyframe's own edit only: a made keyframe lacks what its view hid, yet can cover all that it has.

    Args:
        sights: sights of one frame, the user's own keyframe first. All places of that keyframe's edit count,
            however unsure the match is there.
        earlier: the sights that are combined, at least one of `sights`.
        threshold: confidence from which a place counts as shown, [0, 1].

    Returns:
        The share of each sight, and the common share of `earlier`, all in [0, 1].
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
    """The views that a stream passes and the job that makes keyframes of them.

    Use it from the thread of `step` only.

    Args:
        config: settings of the keeper.
        worker: runs the job.
    """

    def __init__(self, config: KeeperConfig, worker: Worker) -> None:
        super().__init__(config.passed_views, config.bank)
        self._keeping, self._worker = config, worker
        self._job: PassedJob | None = None  # for the views before the last made keyframe

    @property
    def running(self) -> bool:
        """Whether the job is drawing on a view."""
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
        """Remembers the view if it is poorly covered. Forgets all views once the edit is covered again.

        Args:
            frame, landmarks, now_s, start: as in `note`.
            covered: covered share of the edit, [0, 1].
            first: landmarks of the user's first keyframe; shut eyes are judged against them. None to accept
                shut eyes.
        """
        if covered >= self._keeping.policy.recover:
            self.clear()
        elif self._keeping.make and not eyes_shut(landmarks, first, self._keeping.refusal):
            self.note(frame, landmarks, now_s, start)

    def begin(self, swap: Swap, start: Keyframe, tools: JobTools, now_s: float) -> None:
        """Creates the job for the views that were passed before a new keyframe.

        Args:
            swap: the swap to the new keyframe.
            start: the keyframe that served before it.
            tools: models, settings and callbacks.
            now_s: the frame's time, seconds.
        """
        due_s = now_s + self._keeping.passed_wait_s if swap.fills else -np.inf
        self._job = PassedJob(swap.passed, (start, swap.worn.keyframe), tools, due_s)

    def replaced(self, old: Keyframe, new: Keyframe) -> None:
        """See `PassedJob.replaced`."""
        if self._job is not None:
            self._job.replaced(old, new)

    def go_on(self, now_s: float, covered: float, match_s: float) -> None:
        """Submits the job for its next view, if one is left and the edit is well covered.

        Args:
            now_s: the frame's time, seconds.
            covered: covered share of the edit, [0, 1].
            match_s: average duration of a match, seconds.
        """
        calm = covered >= self._keeping.policy.min_coverage and match_s <= self._keeping.max_match_s
        if self._job is not None and calm and self._job.due(now_s):
            self._worker.submit(self._job)

    def begin_anew(self) -> None:
        """Starts afresh after the source restarted or another edit was worn."""
        self.clear()
        self._job = None
