"""Keeps a stream's edit covered: watches each frame; tries, makes and swaps keyframes beside the path."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from correspondence import Image, Landmarks, Match, Matcher
from correspondence.certainty.uncertainty import confidence_of
from reference.compose.composite import Composition
from reference.edits.edit import Edit, Mode
from reference.events import Event, KeyframeMade, KeyframeRefused, ReferenceSwitched
from reference.keyframes.bank import Bank, Keyframe
from reference.keyframes.drawn import KeyframeFill
from reference.keyframes.keeper_config import KeeperConfig
from reference.keyframes.keyframe_info import KeyframeInfo
from reference.keyframes.lookout import Lookout
from reference.keyframes.passed_job import Passing
from reference.keyframes.policy import Action, Decision, coverage
from reference.keyframes.showing import Showing
from reference.keyframes.sights import EditStyle, ReadyKeyframe, radius_px
from reference.keyframes.view_job import Found, FrameRefused, JobTools, JobView, Swap, ViewJob
from reference.side_work import Worker

logger = logging.getLogger(__name__)


class ReferenceKeeper:
    """The keyframes of one edit on one stream.

    `begin`, `blend` and `watch` belong to the thread of `step`; the rest may be called from any other.

    Args:
        own: the user's keyframe and edit, made ready.
        matcher: as the stream's.
        style: how edits are worn.
        worker: where the slow work is done.
        fill: invents what no keyframe knows; None leaves it live.
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
        self._matcher, self._style, self._worker, self._fill = matcher, style, worker, fill
        self._bank = Bank(self.config.bank)
        self._bank.add(own.keyframe)
        self._lock = threading.Lock()  # guards what follows, and changes of the bank
        self._worn = own
        self._found: list[Found] = []  # what jobs and the user brought, oldest first
        self._generation = 0  # jobs of an older one bring nothing
        self._job: ViewJob | None = None
        self._showing = Showing(matcher, self.config)  # from here on of the step's thread alone
        self._now_s = -np.inf
        self._lookout = Lookout(self.config, self._bank)
        self._passing = Passing(self.config, worker)
        self._match_s = 0.0
        self._refused = ""
        self._resuming = False

    @property
    def worn(self) -> ReadyKeyframe:
        """What serves the next frame."""
        return self._worn

    @property
    def decision(self) -> Decision:
        """What the last frame's coverage led to, for the log and the page."""
        return self._lookout.decision

    @property
    def _first(self) -> Keyframe:
        return next(k for k in self._bank if k.pinned)

    @property
    def _face(self) -> Landmarks | None:
        return self._first.prepared.landmarks

    def begin(self, now_s: float, last: Match | None) -> list[Event]:
        """Swap in what came meanwhile; call it first in a step.

        Args:
            now_s: the frame's time.
            last: the last frame's match with `worn`.
        """
        if now_s < self._now_s:  # the source began anew
            self._begin_anew()
        self._now_s = now_s
        events: list[Event] = []
        if self._found:
            with self._lock:
                while self._found and not self._showing.fading:
                    self._apply(self._found.pop(0), last, events)
        self._resuming = False
        return events

    def resume(self) -> None:
        """Begin anew after frames that wore something else: what came meanwhile is not faded in."""
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
        held = list(self._bank)
        if swap.replaces is not None and swap.replaces not in held:
            return  # it was edited or dropped meanwhile
        keyframe = swap.worn.keyframe
        serves = swap.serves if swap.replaces is None else swap.replaces is self._worn.keyframe
        if swap.replaces is not None:
            self._bank.replace(swap.replaces, keyframe)
            self._passing.replaced(swap.replaces, keyframe)
        elif swap.known is not None:
            if not swap.serves and not self._bank.has_room(keyframe.nbytes):
                return  # a view that was only passed drives nothing out
            try:
                self._bank.add(keyframe)
            except ValueError as error:
                self._note_refusal(str(error), events)
                return
            logger.info("new keyframe at %.1f s, %.0f %% of its edit known", self._now_s, 100 * swap.known)
            index = list(self._bank).index(keyframe)
            events.append(KeyframeMade(self._now_s, index, swap.known, passed=not swap.serves))
            if swap.serves and self._bank.has_room(keyframe.nbytes):
                self._passing.begin(swap, self._worn.keyframe, self._tools(), self._now_s)
        elif keyframe not in held or keyframe is self._worn.keyframe:
            return
        if serves:
            self._serve(swap, last, events)

    def _serve(self, swap: Swap, last: Match | None, events: list[Event]) -> None:
        old, self._worn = self._worn, swap.worn
        known = swap.apart is not None and swap.apart[0] is old.keyframe
        apart = swap.apart[1] if swap.apart is not None and known else None
        self._showing.change(old, swap.worn, last, apart, fades=not self._resuming, match_s=self._match_s)
        self._lookout.switched(self._now_s)
        self._passing.clear()
        self._refused = ""
        index = list(self._bank).index(swap.worn.keyframe)
        logger.info("keyframe %d serves: %s", index, swap.reason)
        events.append(ReferenceSwitched(self._now_s, index, swap.reason))

    def _note_refusal(self, reason: str, events: list[Event]) -> None:
        self._lookout.refused(self._now_s)
        if reason != self._refused:  # once an episode
            self._refused = reason
            logger.info("no new keyframe: %s", reason)
            events.append(KeyframeRefused(self._now_s, reason))

    def blend(
        self, frame: Image, match: Match, new: Composition, landmarks: Landmarks | None, strength: float
    ) -> Composition:
        """What the frame shows, see `Showing.blend`."""
        return self._showing.blend(frame, match, new, self._worn, landmarks, strength)

    def watch(
        self, frame: Image, landmarks: Landmarks | None, match: Match, new: Composition, match_s: float
    ) -> None:
        """Note how well the frame is covered, and ask for a better reference where it is not.

        Args:
            frame: uint8 (H, W, 3); copied where it may become a keyframe.
            landmarks: of the frame's face.
            match: of the frame with `worn`; new: what that made of it.
            match_s: how long its match took.
        """
        self._match_s += 0.1 * (match_s - self._match_s)
        if landmarks is None or new.seen is None:
            return
        config, keyframe = self.config, self._worn.keyframe
        reach = radius_px(config.radius, landmarks, landmarks.image_size)
        sure = confidence_of(new.seen.log_b, reach)
        covered = coverage(sure, new.seen.mask, config.threshold)
        if self._showing.fading:
            self._lookout.decision = Decision(Action.KEEP, "changing over to another keyframe", covered)
            return
        self._bank.served(keyframe)
        if self._lookout.ask(keyframe, landmarks, covered, self._now_s):
            start = keyframe.prepared.landmarks
            self._passing.note_covered(frame, landmarks, self._now_s, covered, start, self._face)
        self._lookout.decide(covered, self._now_s)
        self._act(frame, landmarks, match, covered)

    def _act(self, frame: Image, landmarks: Landmarks, match: Match, covered: float) -> None:
        """Hand a job over where one is due and none is being done."""
        if self._passing.running or (self._job is not None and self._job.running):
            return
        wanted = self._lookout.wanted(landmarks, self._face, covered, self._match_s, self._now_s)
        if wanted is None:
            if self._job is None or self._job.over:  # one that waits would lose its place
                self._passing.go_on(self._now_s, covered, self._match_s)
            return
        worn = self._worn.keyframe
        passed = self._passing.before(self._now_s, worn.prepared.landmarks, landmarks)
        view = JobView(frame.copy(), landmarks, self._now_s, wanted, (worn, match), passed)
        self._job = ViewJob(view, self._tools(), self._fresh)
        self._worker.submit(self._job)

    def _tools(self) -> JobTools:
        """What a job works with that brings nothing once the user has changed the keyframes."""
        config, generation = self.config, self._generation
        return JobTools(
            self._matcher, self._style, config.radius, config.threshold, config.refusal, self._fill,
            config.policy.min_coverage, self._sources, partial(self.take, generation=generation),
            partial(self._wants, generation=generation),
        )  # fmt: skip

    def _sources(self, landmarks: Landmarks) -> list[Keyframe]:
        with self._lock:
            return self._bank.sources(landmarks, self.config.max_sources)

    def _fresh(self, made_s: float) -> bool:
        return self._now_s - made_s <= self.config.stale_s

    def take(self, found: Found, generation: int) -> None:
        """Keep what a job found for the next `begin`, unless the user changed the keyframes meanwhile."""
        with self._lock:
            if generation == self._generation:
                self._found.append(found)

    def _wants(self, keyframe: Keyframe, generation: int) -> bool:
        """Whether a keyframe, or what it became when its hole was filled, is still held or about to be."""
        with self._lock:
            if generation != self._generation:
                return False
            coming = [f.swap.worn.keyframe for f in self._found if f.swap is not None]
            return any(keyframe.id == held.id for held in (*self._bank, *coming))

    def keyframes(self) -> list[KeyframeInfo]:
        """What the bank holds, oldest first."""
        with self._lock:
            active, first = self._worn.keyframe, self._first
            return [k.describe(active=k is active, first=first) for k in self._bank]

    def held(self) -> list[Keyframe]:
        """The keyframes themselves, oldest first."""
        return list(self._bank)

    def holds(self, keyframe_id: int) -> bool:
        """Whether a keyframe of this name is among them."""
        return any(k.id == keyframe_id for k in self._bank)

    @property
    def nbytes(self) -> int:
        """Memory of the keyframes, bytes."""
        return self._bank.nbytes

    def follow(self, own: Sequence[Keyframe], style: EditStyle) -> None:
        """Hold the user's keyframes as they are now, see `Bank.follow`, and serve next what changed last.

        Args:
            own: at least one.
            style: how all edits are worn from now on.

        Raises:
            ValueError: they do not fit into the bank.
        """
        changed = self._bank.changed(own)
        if style.mode != self._style.mode:
            self.wear(style.mode)
        worn = style.ready(changed[-1] if changed else own[0])
        with self._lock:
            self._bank.follow(own)
            if changed:
                self._supersede(worn, "this keyframe was edited")
            elif self._worn.keyframe not in list(self._bank):
                self._supersede(worn, "the keyframe that served was removed")

    def edit_keyframe(self, index: int, edited: Image) -> Edit:
        """Give a keyframe another edit, by hand: it is pinned, and later keyframes not made by hand go.

        Args:
            index: in `keyframes()`.
            edited: uint8, of its size.

        Raises:
            IndexError: no such keyframe. EditError: a picture that does not fit.
            ValueError: the keyframes edited by hand would not fit into the bank.
        """
        old = self._at(index)
        edit = Edit(old.image, edited, self._style.mode, self._style.strength)
        new = replace(old, edited=edited, pinned=True, edit=edit)
        self.follow([*(k for k in self._bank if k.pinned and k is not old), new], self._style)
        return edit

    def remove_keyframe(self, index: int) -> None:
        """Take a keyframe out of the bank.

        Raises:
            IndexError: no such keyframe. ValueError: it is the only one edited by hand.
        """
        self.remove(self._at(index))

    def remove(self, keyframe: Keyframe) -> None:
        """Take one of `held` out.

        Raises:
            ValueError: it is the only one edited by hand, or no longer there.
        """
        own = [k for k in self._bank if k.pinned and k is not keyframe]
        if not own:
            raise ValueError("the only keyframe edited by hand stays: remove the edit instead")
        if not keyframe.pinned:
            with self._lock:
                self._bank.remove(keyframe)
        self.follow(own, self._style)

    def wear(self, mode: Mode) -> None:
        """Compose in another mode from the next step on."""
        self._style = style = replace(self._style, mode=mode)
        waiting = self._found[-1].swap if self._found else None  # perhaps what the user edited last
        worn = style.ready(self._worn.keyframe)
        other = None if waiting is None else Swap(style.ready(waiting.worn.keyframe), waiting.reason)
        with self._lock:
            self._generation += 1
            self._found = [] if other is None else [Found(swap=other)]
            self._worn = worn

    def retire(self) -> None:
        """Let jobs under way bring nothing any more."""
        with self._lock:
            self._generation += 1
            self._found.clear()

    def _at(self, index: int) -> Keyframe:
        held = list(self._bank)
        if not 0 <= index < len(held):
            raise IndexError(f"there are {len(held)} keyframes, got index {index}")
        return held[index]

    def _supersede(self, worn: ReadyKeyframe, reason: str) -> None:
        """Serve this next, whatever jobs are under way; under the lock."""
        self._generation += 1
        self._found = [Found(swap=Swap(worn, reason))]
