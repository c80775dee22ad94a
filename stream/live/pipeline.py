"""Runs the frames of one session through the propagator in a thread of their own.

Frames leave unedited if a step fails or hangs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from correspondence import Image
from reference import Decision, Event, Outfit, Result, StageError, Workshop
from stream.congestion.ladder import Pace
from stream.live.overlay import draw_confidence
from stream.live.slot import LatestSlot, SlotClosed
from stream.live.thinning import Thinning
from stream.mark import mark
from stream.metrics import SessionMetrics
from stream.tracing import FrameTrace

logger = logging.getLogger(__name__)

JOIN_S = 5.0
HANG_S = 1.0  # frames bypass a step that takes longer than this and longer than three usual steps
SETTLED = 3  # steps of an outfit after which its usual duration is known
FIRST_S = 5.0  # until then frames bypass a step that takes longer than this
HANGS = f"the edit takes over {HANG_S:g} s a frame; the live picture is shown"


@dataclass(frozen=True, slots=True, eq=False)
class LiveFrame:
    """A frame as it arrived.

    Attributes:
        image: RGB uint8 (H, W, 3).
        captured_s: monotonic time of its arrival, seconds.
        taken_s: when the publisher took it, on its own clock, seconds since 1970. None if unknown.
    """

    image: Image
    captured_s: float
    taken_s: float | None = None


class Stepper(Protocol):
    """The part of `reference.Propagator` that the pipeline uses."""

    def step(self, frame: Image, now_s: float) -> Result:
        """Edit one frame."""
        ...

    @property
    def workshop(self) -> Workshop:
        """The workshop that makes outfits for `put_on`. It is slow and may be used on any thread."""
        ...

    def put_on(self, outfit: Outfit | None, *, enabled: bool = True, strength: float = 1.0) -> None:
        """Wear `outfit` from the next step on. This is quick and may be called on any thread."""
        ...

    def limit_faces(self, faces: int) -> None:
        """Let at most `faces` people wear the edit. This is quick and may be called on any thread."""
        ...

    def give_way(self, thin: int) -> None:
        """Match more cheaply, see `Propagator.give_way`. This is quick."""
        ...

    @property
    def decision(self) -> Decision | None:
        """The policy's decision about the last frame. None if one reference serves alone."""
        ...

    def close(self) -> None:
        """Free all resources."""
        ...


class Pipeline:
    """Edits the newest frame and hands it on. Frames bypass a stage that fails or hangs, which is counted.

    Args:
        propagator: edits the frames. Its `step` is called from one thread only.
        deliver: called on the pipeline's thread with each outgoing picture and its capture time.
        metrics: receives times and drops.
        name: name of the thread.
        happened: called on the pipeline's thread with the events of a step, if there are any.
        mark_text: text that is written into edited pictures. None for none.
        trace: takes the times of each frame, see `stream.tracing.Tracer.of`. None if frames are not traced.
    """

    def __init__(
        self,
        propagator: Stepper,
        deliver: Callable[[Image, float], None],
        metrics: SessionMetrics,
        name: str = "pipeline",
        happened: Callable[[list[Event]], None] | None = None,
        mark_text: str | None = None,
        trace: FrameTrace | None = None,
    ) -> None:
        self._propagator = propagator
        self._deliver = deliver
        self._happened = happened
        self._mark = mark_text
        self._trace, self._stages = trace, dict[str, float]()  # stages of the last frame, seconds
        self._metrics = metrics
        self._inbox: LatestSlot[LiveFrame] = LatestSlot()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._failing = False
        self._turn = threading.Lock()  # held while a picture is handed on, which keeps the pictures in order
        self._since_s: float | None = None  # when the present step began
        self._took_s: deque[float] = deque(maxlen=9)  # duration of the last steps
        self._passed_s = float("-inf")  # when a frame last bypassed a hanging step
        self._stall = threading.Event()
        self._stall_s = 0.0
        self._pace, self._thinned = Pace(), 0
        self._thinning = Thinning()
        self.most_fps: float | None = None  # most frames per second, in an overload; None for all
        self.overlay = False  # whether the confidence is drawn over the picture
        self.latest: LiveFrame | None = None  # the newest frame that arrived
        self.reason: str | None = None  # why frames pass unedited
        self.coverage: float | None = None  # trusted share of the edited area, [0, 1]

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, frame: LiveFrame) -> None:
        """Offer a frame, from any thread. It replaces a frame that was not taken yet."""
        self.latest = frame
        self._metrics.frame_in()
        self._pace.note(frame.captured_s)
        if not self._pace.is_due(frame.captured_s, self.most_fps):
            self._thinned += 1
            self._metrics.dropped("overload", self._thinned)
            return
        self._inbox.put_threadsafe(frame)
        self._metrics.dropped("pipeline", self._inbox.dropped)
        since_s = self._since_s
        if since_s is not None and (hung_s := time.monotonic() - since_s) > HANG_S:
            took_s = list(self._took_s)  # slow steps on a slow machine are no hang
            limit_s = 3 * median(took_s) if len(took_s) >= SETTLED else FIRST_S
            if hung_s > limit_s:
                self._pass(frame)

    def _pass(self, frame: LiveFrame) -> None:
        """Hand a frame on unedited while a step hangs."""
        with self._turn:
            if self._since_s is None:
                return  # the step has just ended
            if self._passed_s < self._since_s:
                self._metrics.failed("hang")
                logger.warning("a step takes over %.1f s; frames pass unedited until it ends", HANG_S)
            self._passed_s = time.monotonic()
            self.reason, self.coverage = HANGS, None
            self._deliver(frame.image, frame.captured_s)
        self._metrics.timeline.stepped(frame.captured_s, edited=False)
        self._metrics.frame_out(time.monotonic() - frame.captured_s, edited=False)

    @property
    def workshop(self) -> Workshop:
        """The workshop that makes outfits for `wear`. Its methods block, so call them in an executor."""
        return self._propagator.workshop

    def limit_faces(self, faces: int) -> None:
        """Let at most `faces` people wear the edit from the next frame on."""
        self._propagator.limit_faces(faces)

    def wear(self, outfit: Outfit | None, *, enabled: bool, strength: float) -> None:
        """Wear `outfit` from the next frame on.

        Only pointers are exchanged, so this may be called on the event loop.

        Args:
            outfit: what to wear. None means no edit.
            enabled, strength: see `reference.Propagator.put_on`.
        """
        self._propagator.put_on(outfit, enabled=enabled, strength=strength)
        self._took_s.clear()  # another outfit takes another time

    @property
    def thin(self) -> int:
        """How far the match gives way, since steps are late: 0 (not at all) to `thinning.MOST_THIN`."""
        return self._thinning.level

    @property
    def decision(self) -> Decision | None:
        """The policy's decision about the last frame. None if one reference serves alone."""
        return self._propagator.decision

    def stall(self, seconds: float) -> None:
        """Delay the next frame by `seconds`, as a hanging stage would. This serves measurements."""
        self._stall_s = seconds

    def close(self) -> None:
        """End the thread and wait for it. This blocks, so call it in an executor."""
        self._inbox.close()
        self._stall.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)
        if self._thread.is_alive():
            logger.warning("%s still runs %.0f s after it was told to end", self._thread.name, JOIN_S)
        else:
            self._propagator.close()

    def _run(self) -> None:
        while True:
            try:
                frame = self._inbox.take()
            except SlotClosed:
                return
            began_s = self._since_s = time.monotonic()
            if self._stall_s > 0:
                seconds, self._stall_s = self._stall_s, 0.0
                self._stall.wait(seconds)
            image, edited = self._edited(frame)
            self._took_s.append(time.monotonic() - began_s)
            self._give_way(began_s)
            if self._trace is not None:
                self._trace(frame.captured_s, began_s, time.monotonic(), self._stages, edited)
            with self._turn:
                self._since_s = None
                late = self._passed_s >= began_s  # newer frames were shown meanwhile
                if not late:
                    self._deliver(image, frame.captured_s)
            if not late:
                self._metrics.timeline.stepped(frame.captured_s, edited)
                self._metrics.frame_out(time.monotonic() - frame.captured_s, edited)

    def _give_way(self, began_s: float) -> None:
        """Let the next match give way if steps are late."""
        now_s, before = time.monotonic(), self._thinning.level
        held_back = self.most_fps is not None
        level = self._thinning.note(now_s - began_s, self._pace.fps, now_s, held_back=held_back)
        if level != before:
            self._propagator.give_way(level)

    def _edited(self, frame: LiveFrame) -> tuple[Image, bool]:
        """Return the picture to send and whether it was edited."""
        started_s, cpu_s = time.perf_counter(), time.thread_time()
        try:
            result = self._propagator.step(frame.image, frame.captured_s)
            image = draw_confidence(result.image, result.confidence) if self.overlay else result.image
            if self._mark is not None and result.reason is None:
                image = mark(image, self._mark)
        except Exception as exc:
            # Every error of the live path is caught here, so that the frame goes out in any case.
            self._note_failure(exc)
            self._stages = {}
            return frame.image, False
        self._metrics.step(time.perf_counter() - started_s, time.thread_time() - cpu_s)
        self._stages = dict(result.stages)
        for stage, seconds in result.stages.items():
            self._metrics.stage(stage, seconds)
        self._note_success(result)
        if result.events and self._happened is not None:
            self._happened(result.events)
        return image, result.reason is None

    def _note_failure(self, exc: Exception) -> None:
        stage = exc.stage if isinstance(exc, StageError) else "step"
        self._metrics.failed(stage)
        self.reason = f"the {stage} stage failed; the live picture is shown"
        self.coverage = None
        if not self._failing:
            self._failing = True
            logger.warning(
                "the %s stage failed; frames pass unedited until it works again", stage, exc_info=exc
            )

    def _note_success(self, result: Result) -> None:
        if self._failing:
            self._failing = False
            logger.info("all stages work again")
        self.reason = result.reason
        self.coverage = result.coverage if result.match is not None else None
