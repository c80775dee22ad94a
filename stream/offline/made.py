"""What commands that invent frames share: the filler and what it is, in words."""

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

UNSURE = 0.5  # confidence below which a pixel of the edited area is open to invention

WITHOUT_MODEL = "no diffusion model: pictures are warped and blended, nothing never seen is invented"


def make_filler(weights: Path | None, device: str) -> tuple[Filler, str]:
    """A filler for a file command and what it does, for the user; `weights` as `inpaint.weights.chosen`.

    Raises:
        WeightsError: `weights` holds none.
    """
    folder = known.chosen(weights)
    filler = Filler(folder, device)
    if folder is None:
        return filler, WITHOUT_MODEL if weights is not None else f"{WITHOUT_MODEL}: {known.missing()}"
    return filler, f"unsure places are invented by {filler.method}"


class DirectFill:
    """A filler as what a `Propagator` fills new keyframes with: `Fill` and `GapFill`, waited for.

    Args:
        filler: with a model or without.
    """

    def __init__(self, filler: Filler) -> None:
        self._filler = filler

    def __call__(self, image: Image, mask: Float, hint: FillHint) -> Image:
        """See `reference.keyframes.drawn.KeyframeFill`."""
        return self._filler.masked(masked_job(image, mask, hint))

    def between(
        self, gap: KeyframeGap, then: Callable[[Sequence[Image]], None], wanted: Callable[[], bool]
    ) -> None:
        """See `reference.keyframes.drawn.GapFill`; done before it returns."""
        if self._filler.diffusion is not None and wanted():
            made = self._filler.gap(gap_job(gap))
            then([made[n] for n in sorted(made)])


class Inventor:
    """Invents what an edited frame shows without being sure of its place, between two edited pictures.

    Args:
        filler: with a model; without one results stay as they are.
        edits: one or two, of the stream's size or fitted into it: what the person looks like, edited.
    """

    def __init__(self, filler: Filler, edits: Sequence[Edit]) -> None:
        self._filler = filler
        self._edits = (edits[0], edits[-1])
        self._ends: tuple[tuple[Image, Landmarks | None], ...] | None = None
        self.frames = 0  # that have invented parts

    def __call__(self, frame: Image, result: Result, check: Check = lambda: None) -> Image:
        """The result's picture, uint8 (H, W, 3); only pixels that differ from the frame may change.

        Args:
            frame: uint8 (H, W, 3); result: of it.
            check: see `inpaint.fills.jobs`.
        """
        picture = result.image
        if self._filler.diffusion is None or result.box is None or result.match is None:
            return picture
        unsure = ((picture != frame).any(axis=2) & (result.confidence < UNSURE)).astype(np.float32)
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
        """Both edited pictures at the stream's size, with the landmarks of what was edited."""
        if self._ends is None or self._ends[0][0].shape[:2] != size:
            self._ends = tuple(
                fitted((edit.edited, detect_landmarks(edit.reference)), (size[0], size[1]))
                for edit in self._edits
            )
        return self._ends


class FrameEditor(Protocol):
    """Carries edits onto frames: a `Propagator`, a `Between`."""

    def step(self, frame: Image, now_s: float) -> Result:
        """The edited frame."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


class Inventing:
    """A carrier whose frames go through an inventor.

    Args:
        carrier: what edits the frames.
        inventor: see there.
    """

    def __init__(self, carrier: FrameEditor, inventor: Inventor) -> None:
        self._carrier, self._inventor = carrier, inventor

    def step(self, frame: Image, now_s: float) -> Result:
        """The carrier's result, its unsure places invented."""
        result = self._carrier.step(frame, now_s=now_s)
        return replace(result, image=self._inventor(frame, result))

    def close(self) -> None:
        """Free the carrier."""
        self._carrier.close()
