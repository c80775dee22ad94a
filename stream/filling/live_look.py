"""A look of the whole picture on a live stream: learned by the fill process, painted into keyframes."""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from correspondence import Float, Image
from inpaint.looks.jobs import LookJob
from inpaint.looks.learned import LearnedLook
from reference import Edit, FillHint
from reference.compose.whole.lines import look_of
from stream.filling.jobs import masked_job
from stream.filling.types import JobError, Priority, Worker

logger = logging.getLogger(__name__)

SLICES_S = (10.0,) * 6  # processor time of each job; between them, jobs of other streams take their turn
LEARN_DEADLINE_S = 900.0  # the process works when nothing else does
PAINT_DEADLINE_S = 30.0  # after this time the view of a keyframe has passed
RETRY_S = 5.0  # wait after the queue was full


class LiveLook:
    """Learns one look and paints with it (see `reference.keyframes.learned.LearnedFill`).

    It is ready after the first job that came nearer to the edited picture than the colours alone. Later jobs
    make it better.

    Args:
        worker: does the jobs. Any number of looks may share it.
        edit: an edit with a `stand_in`.
        wanted: called repeatedly on the worker's thread; False ends the learning.
        slices_s: processor time of each job, seconds.
    """

    def __init__(
        self, worker: Worker, edit: Edit, wanted: Callable[[], bool], slices_s: tuple[float, ...] = SLICES_S
    ) -> None:
        self._worker, self._edit, self._wanted = worker, edit, wanted
        self._left_s = list(slices_s)
        self._best: LearnedLook | None = None
        self._last: LearnedLook | None = None
        self._painting = False
        if importlib.util.find_spec("torch") is None:
            logger.info("a look keeps its colours alone where it is not known: PyTorch is not installed")
        else:
            self._go_on()

    @property
    def ready(self) -> bool:
        """See `reference.keyframes.learned.LearnedFill`."""
        return self._best is not None and not self._painting

    @property
    def learned(self) -> LearnedLook | None:
        """The best that was learned so far; None before the colours alone were passed."""
        return self._best

    def _go_on(self) -> None:
        """Ask for the next job, if any is left."""
        if not self._left_s or not self._wanted():
            return
        edit = self._edit
        if edit.stand_in is None:
            raise ValueError("only an edit with a stand-in can be learned as a look")
        request = LookJob(
            live=edit.reference, edited=edit.edited, mask=edit.mask, colours=look_of(edit),
            seconds=self._left_s[0], start=self._last,
        )  # fmt: skip
        try:
            job = self._worker.submit(Priority.LOOK, request, deadline_s=LEARN_DEADLINE_S, fresh=self._wanted)
        except JobError as exc:
            logger.info("a look is not learned now: %s", exc)
            later = threading.Timer(RETRY_S, self._go_on)
            later.daemon = True
            later.start()
            return
        job.future.add_done_callback(self._took)

    def _took(self, future: Future[Any]) -> None:
        if (error := future.exception()) is not None:
            logger.info("a look is not learned further: %s", error)
            return
        del self._left_s[0]
        look: LearnedLook = future.result()
        self._last = look
        if look.ahead_db > max(0.0, -1.0 if self._best is None else self._best.ahead_db):
            self._best = look
        logger.info("a look was learned in %d steps: %.1f dB ahead of its colours", look.steps, look.ahead_db)
        self._go_on()

    def later(
        self,
        image: Image,
        mask: Float,
        hint: FillHint,
        then: Callable[[Image], None],
        wanted: Callable[[], bool],
    ) -> None:
        """Begin to paint (see `reference.keyframes.drawn.LaterFill`). The worker logs and shows a failure."""

        def settled(future: Future[Any]) -> None:
            try:
                if (error := future.exception()) is None:
                    then(future.result())
                else:
                    logger.info("a look is not painted into a keyframe: %s", error)
            finally:
                self._painting = False

        self._painting = True
        try:
            job = self._worker.submit(
                Priority.MASKED,
                masked_job(image, mask, hint, self._best),
                deadline_s=PAINT_DEADLINE_S,
                fresh=wanted,
            )
        except JobError as exc:
            logger.info("a look is not painted into a keyframe: %s", exc)
            self._painting = False
            return
        job.future.add_done_callback(settled)
