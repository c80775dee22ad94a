"""Keeps a stream's edit covered.

It watches the coverage of each frame and tries, makes and switches keyframes beside the frame's path.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

import numpy as np

from correspondence import Image, Landmarks, Match, Matcher
from correspondence.certainty.uncertainty import confidence_of
from reference.compose.composite import Composition
from reference.compose.landing import near_head
from reference.events import Event, KeyframeMade, KeyframeRefused, ReferenceSwitched
from reference.keyframes.drawn import KeyframeFill
from reference.keyframes.held import HeldKeyframes
from reference.keyframes.keeper_config import KeeperConfig
from reference.keyframes.learned import LearnedFill, LookLearner, is_learnable
from reference.keyframes.lookout import Lookout
from reference.keyframes.passed_job import Passing
from reference.keyframes.policy import Action, Decision, coverage
from reference.keyframes.showing import Showing
from reference.keyframes.sights import EditStyle, ReadyKeyframe, radius_px
from reference.keyframes.view_job import Found, FrameRefused, JobTools, JobView, Swap, ViewJob
from reference.side_work import Worker

logger = logging.getLogger(__name__)


class ReferenceKeeper:
    """Keeps the keyframes of one edit on one stream.

    Call its methods from the thread of `step` only. `held`, which holds the keyframes, may be used from any
    thread.

    Args:
        own: the user's keyframe and edit, made ready.
        matcher: the stream's matcher.
        style: how edits are worn.
        worker: runs the slow work.
        config: settings; the defaults when None.
        fill: invents the parts of the edit that no keyframe knows; None leaves them live.
    """

    def __init__(
        self,
        own: ReadyKeyframe,
        matcher: Matcher,
        style: EditStyle,
        worker: Worker,
        config: KeeperConfig | None = None,
        fill: KeyframeFill | None = None,
    ) -> None:
        self.config = config or KeeperConfig()
        self._matcher, self._worker, self._fill = matcher, worker, fill
        self.held = HeldKeyframes(own, style, self.config.bank)
        self._job: ViewJob | None = None
        self._showing = Showing(matcher, self.config)
        self._now_s = -np.inf
        self._learner = fill if isinstance(fill, LookLearner) and is_learnable(own.edit) else None
        self._look: tuple[int, LearnedFill] | None = None  # what learns, and the keyframes' generation
        limits = self.config
        if self._learner is not None:
            limits = replace(limits, max_match_s=limits.look_match_s)
        self._lookout = Lookout(limits, self.held.bank)
        self._passing = Passing(self.config, worker)
        self._match_s = 0.0
        self._refused = ""
        self._resuming = False

    @property
    def decision(self) -> Decision:
        """The decision on the last frame's coverage, for the log and the page."""
        return self._lookout.decision

    def begin(self, now_s: float, last: Match | None) -> list[Event]:
        """Applies what jobs and the user brought since the last step. Call it first in a step.

        Args:
            now_s: the frame's time, seconds.
            last: the last frame's match with `held.worn`; None if there is none.

        Returns:
            What happened, for the log and the page.
        """
        if now_s < self._now_s:  # the source restarted
            self._begin_anew()
        self._now_s = now_s
        events: list[Event] = []
        held = self.held
        if held.waiting:
            with held.lock:
                while held.waiting and not self._showing.fading:
                    self._apply(held.waiting.pop(0), last, events)
        self._resuming = False
        return events

    def resume(self) -> None:
        """Restarts after frames that wore another edit. Changes that came meanwhile show without a fade."""
        self._begin_anew()
        self._showing.stop()
        self._resuming = True

    def _begin_anew(self) -> None:
        self._lookout.begin_anew()
        self._passing.begin_anew()

    def _apply(self, found: Found, last: Match | None, events: list[Event]) -> None:
        for keyframe, landmarks, covered in found.observed:
            keyframe.observe(landmarks, covered, self.config.bank)
        if isinstance(found, FrameRefused):
            self._note_refusal(found.reason, events)
            return
        swap = found.swap
        if swap is None:
            return
        held = list(self.held.bank)
        if swap.replaces is not None and swap.replaces not in held:
            return  # it was edited or dropped meanwhile
        keyframe = swap.worn.keyframe
        serves = swap.serves if swap.replaces is None else swap.replaces is self.held.worn.keyframe
        if swap.replaces is not None:
            self.held.bank.replace(swap.replaces, keyframe)
            self._passing.replaced(swap.replaces, keyframe)
        elif swap.known is not None:
            if not swap.serves and not self.held.bank.has_room(keyframe.nbytes):
                return  # a passed view must not displace another keyframe
            try:
                self.held.bank.add(keyframe)
            except ValueError as error:
                self._note_refusal(str(error), events)
                return
            logger.info("new keyframe at %.1f s, %.0f %% of its edit known", self._now_s, 100 * swap.known)
            index = list(self.held.bank).index(keyframe)
            events.append(KeyframeMade(self._now_s, index, swap.known, passed=not swap.serves))
            if swap.serves and self._learner is None and self.held.bank.has_room(keyframe.nbytes):
                self._passing.begin(swap, self.held.worn.keyframe, self._tools(), self._now_s)
        elif keyframe not in held or keyframe is self.held.worn.keyframe:
            return
        if serves:
            self._serve(swap, last, events)

    def _serve(self, swap: Swap, last: Match | None, events: list[Event]) -> None:
        old, self.held.worn = self.held.worn, swap.worn
        known = swap.apart is not None and swap.apart[0] is old.keyframe
        apart = swap.apart[1] if swap.apart is not None and known else None
        self._showing.change(old, swap.worn, last, apart, fades=not self._resuming, match_s=self._match_s)
        self._lookout.switched(self._now_s)
        self._passing.clear()
        self._refused = ""
        index = list(self.held.bank).index(swap.worn.keyframe)
        logger.info("keyframe %d serves: %s", index, swap.reason)
        events.append(ReferenceSwitched(self._now_s, index, swap.reason))

    def _note_refusal(self, reason: str, events: list[Event]) -> None:
        self._lookout.refused(self._now_s)
        if reason != self._refused:  # report each reason once in a row
            self._refused = reason
            logger.info("no new keyframe: %s", reason)
            events.append(KeyframeRefused(self._now_s, reason))

    def blend(
        self, frame: Image, match: Match, new: Composition, landmarks: Landmarks | None, strength: float
    ) -> Composition:
        """Returns the frame's composition, see `Showing.blend`."""
        return self._showing.blend(frame, match, new, self.held.worn, landmarks, strength)

    def watch(
        self, frame: Image, landmarks: Landmarks | None, match: Match, new: Composition, match_s: float
    ) -> None:
        """Measures the frame's coverage and starts a job if the reference no longer covers the view.

        Args:
            frame: uint8 (H, W, 3); copied if it may become a keyframe.
            landmarks: landmarks of the frame's face; None without one, and then nothing is done.
            match: the match of the frame with `held.worn`.
            new: the composition made with that match.
            match_s: duration of the match, seconds.
        """
        self._match_s += 0.1 * (match_s - self._match_s)
        if landmarks is None or new.seen is None:
            return
        config, keyframe, first = self.config, self.held.worn.keyframe, self.held.first.prepared.landmarks
        self._lookout.see(landmarks, first, self._now_s)
        self._learn()
        reach = radius_px(config.radius, landmarks, landmarks.image_size)
        sure, mask = confidence_of(new.seen.log_b, reach), new.seen.mask
        if self.held.worn.edit.stand_in is not None and new.box is not None:
            mask = mask * near_head(landmarks, new.box, (mask.shape[0], mask.shape[1]))
        covered = coverage(sure, mask, config.threshold)
        if self._showing.fading:
            self._lookout.decision = Decision(Action.KEEP, "changing over to another keyframe", covered)
            return
        self.held.bank.served(keyframe)
        if self._lookout.ask(keyframe, landmarks, covered, self._now_s) and self._learner is None:
            start = keyframe.prepared.landmarks
            self._passing.note_covered(
                frame, landmarks, self._now_s, covered, start, None if self._lookout.looks_down else first
            )
        self._lookout.decide(covered, self._now_s)
        self._act(frame, landmarks, match, covered)

    def _act(self, frame: Image, landmarks: Landmarks, match: Match, covered: float) -> None:
        """Submits a job if one is due and none is running."""
        if self._passing.running or (self._job is not None and self._job.running):
            return
        makes = (self._look is None or self._look[1].ready) and not self.held.worn.is_rigid
        wanted = self._lookout.wanted(covered, self._match_s, self._now_s, makes=makes)
        if wanted is None:
            waits = self._job is not None and not self._job.over  # it would lose its place
            if self._learner is None and not waits:
                self._passing.go_on(self._now_s, covered, self._match_s)
            return
        worn = self.held.worn.keyframe
        passed = self._passing.before(self._now_s, worn.prepared.landmarks, landmarks)
        view = JobView(frame.copy(), landmarks, self._now_s, wanted, (worn, match), passed)
        self._job = ViewJob(view, self._tools(), self._fresh)
        self._worker.submit(self._job)

    def _learn(self) -> None:
        """Starts to learn a look of the whole picture, and anew once the user has changed the keyframes."""
        generation = self.held.generation
        if self._learner is None or (self._look is not None and self._look[0] == generation):
            return
        edit = self.held.first.edit
        if edit is not None:
            self._look = generation, self._learner.learn(edit, partial(self.held.counts, generation))

    def _tools(self) -> JobTools:
        """The tools of a job. Its results no longer count once the user has changed the keyframes."""
        config, held = self.config, self.held
        generation = held.generation
        return JobTools(
            matcher=self._matcher,
            style=held.style,
            radius=config.radius,
            threshold=config.threshold,
            refusal=replace(config.refusal, eyes_open=0.0) if self._lookout.looks_down else config.refusal,
            fill=None if self._look is not None else self._fill,
            look=None if self._look is None else self._look[1],
            enough=config.policy.min_coverage,
            sources=partial(held.sources, most=config.max_sources),
            report=partial(held.take, generation=generation),
            wants=partial(held.wants, generation=generation),
            counts=partial(held.counts, generation),
        )

    def _fresh(self, made_s: float) -> bool:
        return self._now_s - made_s <= self.config.stale_s
