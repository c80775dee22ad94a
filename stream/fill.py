"""Holes of new keyframes filled by the worker: what the reference package calls, and what the page shows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from correspondence.types import Float, Image
from inpaint import weights as known
from inpaint.jobs import MaskedJob
from inpaint.types import FillContext
from reference.keyframes import FillHint
from stream.worker import FillWorker
from stream.worker_child import Setup
from stream.worker_types import Job, JobError, Priority, WorkerConfig

logger = logging.getLogger(__name__)

LIVE_DEADLINE_S = 30.0  # a keyframe's view has long gone then
FILE_DEADLINE_S = 600.0


def masked_job(image: Image, mask: Float, hint: FillHint) -> MaskedJob:
    """A keyframe's fill, see `reference.keyframes.Fill`, as a job for a `Filler`."""
    context = FillContext(
        landmarks=hint.landmarks,
        reference=hint.reference,
        reference_landmarks=hint.reference_landmarks,
    )
    return MaskedJob(image=image, mask=mask, context=context)


class WorkerFill:
    """Fills through a worker: `later` for a live stream, called directly for a file.

    Args:
        worker: shared by any number of streams.
        deadline_s: of a direct call.
    """

    def __init__(self, worker: FillWorker, deadline_s: float = FILE_DEADLINE_S) -> None:
        self._worker = worker
        self._deadline_s = deadline_s

    def __call__(self, image: Image, mask: Float, hint: FillHint) -> Image:
        """Fill and wait for it; see `reference.keyframes.Fill`.

        Raises:
            JobError: nothing came; the message says why.
        """
        job = self._submit(image, mask, hint, self._deadline_s, lambda: True)
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
        """Begin to fill; see `reference.keyframes.LaterFill`. A failure is logged and shown by the worker."""

        def settled(future: Future[Any]) -> None:
            if (error := future.exception()) is None:
                then(future.result())
            else:
                logger.info("a keyframe keeps its hole: %s", error)

        try:
            job = self._submit(image, mask, hint, LIVE_DEADLINE_S, wanted)
        except JobError as exc:
            logger.info("a keyframe keeps its hole: %s", exc)
            return
        job.future.add_done_callback(settled)

    def _submit(
        self, image: Image, mask: Float, hint: FillHint, deadline_s: float, fresh: Callable[[], bool]
    ) -> Job:
        request = masked_job(image, mask, hint)
        return self._worker.submit(Priority.MASKED, request, deadline_s=deadline_s, fresh=fresh)


def make_worker(
    weights: Path | None = None, device: str = "cpu", config: WorkerConfig | None = None
) -> FillWorker:
    """A worker with the diffusion model's weights, or with OpenCV's fill where there are none.

    No process is started before the first job.

    Args:
        weights: see `inpaint.weights.chosen`.
        device: where they run.
        config: limits.

    Raises:
        WeightsError: `weights` holds none.
    """
    folder = known.chosen(weights)
    return FillWorker(Setup(weights=folder, device=device if folder is not None else "cpu"), config)
