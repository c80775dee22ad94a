"""One session's frames through the propagator, in a thread of their own, or back unedited."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from correspondence.types import DETECT, Image, MaybeLandmarks
from reference import Edit, Mode, Result, StageError
from stream.metrics import SessionMetrics
from stream.overlay import draw_confidence
from stream.slot import LatestSlot, SlotClosed

logger = logging.getLogger(__name__)

JOIN_S = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class LiveFrame:
    """A frame as it arrived.

    Attributes:
        image: RGB uint8 (H, W, 3).
        captured_s: monotonic time of its arrival, seconds.
    """

    image: Image
    captured_s: float


class Stepper(Protocol):
    """What the pipeline needs of `reference.Propagator`."""

    def step(self, frame: Image, now_s: float) -> Result:
        """The edited frame."""
        ...

    def set_edit(self, edit: Edit | None, landmarks: MaybeLandmarks = DETECT) -> None:
        """Wear another edit from the next step on."""
        ...

    def change(self, **settings: Any) -> object:
        """Replace some of `reference.Settings` from the next step on."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


class Pipeline:
    """Newest frame in, edited frame out; a failing stage passes the frame and is counted.

    Args:
        propagator: edits the frames; its `step` is called from one thread only.
        deliver: takes the outgoing picture and its capture time, from the pipeline's thread.
        metrics: where times and drops go.
        name: of the thread.
    """

    def __init__(
        self,
        propagator: Stepper,
        deliver: Callable[[Image, float], None],
        metrics: SessionMetrics,
        name: str = "pipeline",
    ) -> None:
        self._propagator = propagator
        self._deliver = deliver
        self._metrics = metrics
        self._inbox: LatestSlot[LiveFrame] = LatestSlot()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._failing = False
        self._stall = threading.Event()
        self._stall_s = 0.0
        self.overlay = False  # whether the confidence is drawn over the picture
        self.latest: LiveFrame | None = None  # the newest frame that arrived
        self.reason: str | None = None  # why frames pass unedited
        self.coverage: float | None = None  # trusted share of the edited area, [0, 1]

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, frame: LiveFrame) -> None:
        """Offer a frame, from any thread; replaces one that was not taken yet."""
        self.latest = frame
        self._metrics.frame_in()
        self._inbox.put_threadsafe(frame)
        self._metrics.dropped("pipeline", self._inbox.dropped)

    def wear(self, edit: Edit | None, landmarks: MaybeLandmarks) -> None:
        """Wear another edit from one frame to the next; blocks while it is prepared.

        Args:
            edit: None removes the edit.
            landmarks: of the edit's reference, see `reference.Propagator.set_edit`.
        """
        self._propagator.set_edit(edit, landmarks)

    def adjust(self, *, enabled: bool, strength: float, mode: Mode) -> None:
        """Change how the edit is worn, see `reference.Settings`; blocks while a new mode is prepared."""
        self._propagator.change(enabled=enabled, strength=strength, mode=mode)

    def stall(self, seconds: float) -> None:
        """Hold the thread this long before its next frame, as a hanging stage would (for measurements)."""
        self._stall_s = seconds

    def close(self) -> None:
        """End the thread and wait for it; blocks, so call it in an executor."""
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
            if self._stall_s > 0:
                seconds, self._stall_s = self._stall_s, 0.0
                self._stall.wait(seconds)
            image, edited = self._edited(frame)
            self._deliver(image, frame.captured_s)
            self._metrics.frame_out(time.monotonic() - frame.captured_s, edited)

    def _edited(self, frame: LiveFrame) -> tuple[Image, bool]:
        """The picture to send, and whether it went through the edit."""
        started_s = time.perf_counter()
        try:
            result = self._propagator.step(frame.image, frame.captured_s)
            image = draw_confidence(result.image, result.confidence) if self.overlay else result.image
        except Exception as exc:
            # The border of the live path: whatever a model does, the frame goes out.
            self._note_failure(exc)
            return frame.image, False
        self._metrics.stage("step", time.perf_counter() - started_s)
        for stage, seconds in result.stages.items():
            self._metrics.stage(stage, seconds)
        self._note_success(result)
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
