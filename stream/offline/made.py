"""Shared by the file commands that invent frames: the filler, its description and its uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from correspondence import Float, Image, Landmarks, detect_landmarks
from inpaint import weights as known
from inpaint.fills.jobs import Check, Filler, GapJob
from reference import Edit, FillHint, Result
from reference.keyframes.drawn import KeyframeGap
from stream.filling.jobs import fitted, gap_job, masked_job

UNSURE = 0.5  # pixels of the edited area with a lower confidence may be invented

WITHOUT_MODEL = "no diffusion model: pictures are warped and blended, nothing never seen is invented"


def make_filler(weights: Path | None, device: str) -> tuple[Filler, str]:
    """Make a filler for a file command.

    Args:
        weights: see `inpaint.weights.chosen`.
        device: device of the model.

    Returns:
        The filler, and a sentence for the user about what it does.

    Raises:
        WeightsError: `weights` holds no weights.
    """
    folder = known.chosen(weights)
    filler = Filler(folder, device)
    if folder is None:
        return filler, WITHOUT_MODEL if weights is not None else f"{WITHOUT_MODEL}: {known.missing()}"
    return filler, f"unsure places are invented by {filler.method}"


class DirectFill:
    """Adapts a filler to the fills of a `Propagator`. Calls return when the fill is done.

    Args:
        filler: the filler, with or without a model.
    """

    def __init__(self, filler: Filler) -> None:
        self._filler = filler

    def __call__(self, image: Image, mask: Float, hint: FillHint) -> Image:
        """See `reference.keyframes.drawn.KeyframeFill`."""
        return self._filler.masked(masked_job(image, mask, hint))

    def between(
        self, gap: KeyframeGap, then: Callable[[Sequence[Image]], None], wanted: Callable[[], bool]
    ) -> None:
        """See `reference.keyframes.drawn.GapFill`. The fill is done before this returns."""
        if self._filler.diffusion is not None and wanted():
            made = self._filler.gap(gap_job(gap))
            then([made[n] for n in sorted(made)])


class Inventor:
    """Invents the uncertain places of an edited frame, guided by two edited pictures.

    What further people wear stays as it is.

    Args:
        filler: the filler. Without a model results stay as they are.
        edits: one or two edits that show what the edited person looks like. They are fitted into the
            stream's size.
    """

    def __init__(self, filler: Filler, edits: Sequence[Edit]) -> None:
        self._filler = filler
        self._edits = (edits[0], edits[-1])
        self._ends: tuple[tuple[Image, Landmarks | None], ...] | None = None
        self.frames = 0  # number of frames with invented parts

    def __call__(self, frame: Image, result: Result, check: Check = lambda: None) -> Image:
        """Return the result's picture, uint8 (H, W, 3), with uncertain pixels of the edit invented.

        Args:
            frame: the unedited frame, uint8 (H, W, 3).
            result: the propagator's result for it.
            check: see `inpaint.fills.jobs`.
        """
        picture = result.image
        if self._filler.diffusion is None or result.box is None or result.match is None:
            return picture
        unsure = ((picture != frame).any(axis=2) & (result.confidence < UNSURE)).astype(np.float32)
        for other in result.others:
            if other.box is not None:
                x0, y0, x1, y1 = other.box
                unsure[y0:y1, x0:x1] = 0
        if not unsure.any():
            return picture
        (first, first_marks), (last, last_marks) = self._fitted(frame.shape[:2])
        job = GapJob(
            references={0: first, 2: last},
            landmarks={0: first_marks, 1: result.landmarks, 2: last_marks},
            bases={1: (picture, unsure)},
        )
        self.frames += 1
        return self._filler.gap(job, check)[1]

    def _fitted(self, size: tuple[int, ...]) -> tuple[tuple[Image, Landmarks | None], ...]:
        """Return both edited pictures at the stream's size, with the landmarks of their references."""
        if self._ends is None or self._ends[0][0].shape[:2] != size:
            self._ends = tuple(
                fitted((edit.edited, detect_landmarks(edit.reference)), (size[0], size[1]))
                for edit in self._edits
            )
        return self._ends


class FrameEditor(Protocol):
    """Carries edits onto frames, as a `Propagator` or a `Between` does."""

    def step(self, frame: Image, now_s: float) -> Result:
        """Edit one frame."""
        ...

    def close(self) -> None:
        """Free all resources."""
        ...


class Inventing:
    """A frame editor whose results go through an inventor.

    Args:
        carrier: edits the frames.
        inventor: invents uncertain places of the results.
    """

    def __init__(self, carrier: FrameEditor, inventor: Inventor) -> None:
        self._carrier, self._inventor = carrier, inventor

    def step(self, frame: Image, now_s: float) -> Result:
        """Return the carrier's result with its uncertain places invented."""
        result = self._carrier.step(frame, now_s=now_s)
        return replace(result, image=self._inventor(frame, result))

    def close(self) -> None:
        """Free the carrier."""
        self._carrier.close()
