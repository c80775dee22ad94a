"""Holes of new keyframes filled by the worker: what the reference package calls, and what the page shows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from correspondence import Float, Image, Landmarks
from inpaint import FillContext
from inpaint import weights as known
from inpaint.fills.jobs import GapJob, MaskedJob
from reference import FillHint
from reference.keyframes.drawn import KeyframeGap, Posed
from stream.filling.child import Setup
from stream.filling.types import JobError, Priority, Request, WorkerConfig
from stream.filling.worker import FillWorker

logger = logging.getLogger(__name__)

LIVE_DEADLINE_S = 30.0  # a keyframe's view has long gone then
FILE_DEADLINE_S = 600.0


def masked_job(image: Image, mask: Float, hint: FillHint) -> MaskedJob:
    """A keyframe's fill, see `reference.keyframes.drawn.KeyframeFill`, as a job for a `Filler`."""
    context = FillContext(
        landmarks=hint.landmarks,
        reference=hint.reference,
        reference_landmarks=hint.reference_landmarks,
    )
    return MaskedJob(image=image, mask=mask, context=context)


def gap_job(gap: KeyframeGap) -> GapJob:
    """Frames between two keyframes, see `reference.keyframes.drawn.KeyframeGap`, as a job for a `Filler`."""
    size = (gap.frames[0][0].shape[0], gap.frames[0][0].shape[1])
    start, end = (_fitted(posed, size) for posed in gap.ends)
    shown = (start, *gap.frames, end)
    return GapJob(
        references={0: start[0], len(shown) - 1: end[0]},
        landmarks={n: landmarks for n, (_, landmarks) in enumerate(shown)},
        bases={n: (shown[n][0], hole) for n, hole in enumerate(gap.holes, 1)},
    )


def _fitted(posed: Posed, size: tuple[int, int]) -> Posed:
    """A picture and its landmarks in a frame of another size: as large as fits, in the middle."""
    (image, landmarks), (height, width) = posed, size
    h, w = image.shape[:2]
    if (h, w) == size:
        return posed
    scale = min(height / h, width / w)
    inner = (max(1, round(scale * h)), max(1, round(scale * w)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(image, inner[::-1], interpolation=way)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    sides = (top, height - inner[0] - top, left, width - inner[1] - left)
    fitted = np.asarray(cv2.copyMakeBorder(small, *sides, cv2.BORDER_REPLICATE), np.uint8)
    if landmarks is None:
        return fitted, None
    scales = np.array([inner[1] / w, inner[0] / h, scale], np.float32)
    half = np.array([0.5, 0.5, 0], np.float32)  # z has no pixel centres
    points = (landmarks.points + half) * scales - half + np.array([left, top, 0], np.float32)
    return fitted, Landmarks(points.astype(np.float32), size)


class WorkerFill:
    """Fills through a worker: `later` and `between` for a live stream, called directly for a file.

    Args:
        worker: shared by any number of streams.
        deadline_s: of a direct call.
    """

    def __init__(self, worker: FillWorker, deadline_s: float = FILE_DEADLINE_S) -> None:
        self._worker = worker
        self._deadline_s = deadline_s

    def __call__(self, image: Image, mask: Float, hint: FillHint) -> Image:
        """Fill and wait for it; see `reference.keyframes.drawn.KeyframeFill`.

        Raises:
            JobError: nothing came; the message says why.
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
        """Begin to fill; see `reference.keyframes.drawn.LaterFill`. The worker logs and shows a failure."""
        self._later(Priority.MASKED, masked_job(image, mask, hint), then, wanted)

    def between(
        self, gap: KeyframeGap, then: Callable[[Sequence[Image]], None], wanted: Callable[[], bool]
    ) -> None:
        """Begin to fill; see `reference.keyframes.drawn.GapFill`. Without weights nothing is begun."""
        if self._worker.setup.weights is None:
            return

        def take(made: dict[int, Image]) -> None:
            then([made[n] for n in sorted(made)])

        self._later(Priority.GAP, gap_job(gap), take, wanted)

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
    weights: Path | None = None, device: str = "cpu", config: WorkerConfig | None = None
) -> FillWorker:
    """A worker with the diffusion model's weights, or with OpenCV's fill where there are none.

    No process is started before the first job.

    Args:
        weights: see `inpaint.weights.require`; None: OpenCV's fill, which leaves a live stream the processor.
        device: where they run.
        config: limits.

    Raises:
        WeightsError: `weights` holds none.
    """
    folder = None if weights is None else known.chosen(weights)
    return FillWorker(Setup(weights=folder, device=device if folder is not None else "cpu"), config)
