"""Fills the holes of new keyframes through the worker, as the reference package asks for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from correspondence import Float, Image
from inpaint import weights as known
from reference import Edit, FillHint
from reference.keyframes.drawn import KeyframeGap
from stream.filling.jobs import gap_job, masked_job
from stream.filling.live_look import LiveLook
from stream.filling.types import JobError, Priority, Renderer, Request, Setup, Worker, WorkerConfig
from stream.filling.worker import FillWorker

logger = logging.getLogger(__name__)

LIVE_DEADLINE_S = 30.0  # after this time the view of a keyframe has passed
FILE_DEADLINE_S = 600.0


class WorkerFill:
    """Fills through a worker. A live stream uses `later` and `between`; a file calls the object directly.

    Args:
        worker: the worker. Any number of streams may share it.
        deadline_s: deadline of a direct call, seconds.
    """

    def __init__(self, worker: Worker, deadline_s: float = FILE_DEADLINE_S) -> None:
        self._worker = worker
        self._deadline_s = deadline_s

    def __call__(self, image: Image, mask: Float, hint: FillHint) -> Image:
        """Fill and wait for the result (see `reference.keyframes.drawn.KeyframeFill`).

        Raises:
            JobError: there is no result. The message says why.
        """
        request = masked_job(image, mask, hint)
        job = self._worker.submit(Priority.MASKED, request, deadline_s=self._deadline_s)
        filled: Image = job.future.result()
        return filled

    def later(
        self,
        image: Image,
        mask: Float,
        hint: FillHint,
        then: Callable[[Image], None],
        wanted: Callable[[], bool],
    ) -> None:
        """Begin to fill (see `reference.keyframes.drawn.LaterFill`). The worker logs and shows a failure."""
        self._later(Priority.MASKED, masked_job(image, mask, hint), then, wanted)

    def between(
        self, gap: KeyframeGap, then: Callable[[Sequence[Image]], None], wanted: Callable[[], bool]
    ) -> None:
        """Begin to fill (see `reference.keyframes.drawn.GapFill`). Without weights nothing is done."""
        if self._worker.setup.weights is None:
            return

        def take(made: dict[int, Image]) -> None:
            then([made[n] for n in sorted(made)])

        self._later(Priority.GAP, gap_job(gap), take, wanted)

    def learn(self, edit: Edit, wanted: Callable[[], bool]) -> LiveLook:
        """Begin to learn a look (see `reference.keyframes.learned.LookLearner`)."""
        return LiveLook(self._worker, edit, wanted)

    def _later(
        self, kind: Priority, request: Request, then: Callable[[Any], None], wanted: Callable[[], bool]
    ) -> None:
        def settled(future: Future[Any]) -> None:
            if (error := future.exception()) is None:
                then(future.result())
            else:
                logger.info("a keyframe keeps its hole: %s", error)

        try:
            job = self._worker.submit(kind, request, deadline_s=LIVE_DEADLINE_S, fresh=wanted)
        except JobError as exc:
            logger.info("a keyframe keeps its hole: %s", exc)
            return
        job.future.add_done_callback(settled)


def make_worker(
    weights: Path | None = None,
    device: str = "cpu",
    config: WorkerConfig | None = None,
    *,
    render: Renderer | None = None,
) -> FillWorker:
    """Make a worker with the diffusion model's weights, or with OpenCV's fill if there are none.

    No process is started before the first job.

    Args:
        weights: see `inpaint.weights.require`. None means OpenCV's fill, which leaves the processor to the
            live stream.
        device: device of the model.
        config: limits of the worker.
        render: edits pieces of recordings anew. None means that the worker takes no such jobs.

    Raises:
        WeightsError: `weights` holds no weights.
    """
    return FillWorker(replace(fill_setup(weights, device), render=render), config)


def fill_setup(weights: Path | None, device: str) -> Setup:
    """What a fill process works with, see `make_worker`.

    Raises:
        WeightsError: `weights` holds no weights.
    """
    folder = None if weights is None else known.chosen(weights)
    return Setup(weights=folder, device=device if folder is not None else "cpu")
