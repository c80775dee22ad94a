"""A job that learns a look of the whole picture, in a fill process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from correspondence import Float, Image
from inpaint.looks.learned import Colours, LearnedLook


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LookJob:
    """A job to learn a look from one edited picture, or to go on with that.

    Attributes:
        live, edited: the picture before and after, uint8 (H, W, 3).
        mask: how far each pixel tells something of the look, float32 (H, W), [0, 1]; None for all of them.
        colours: the colour model of the edit.
        seconds: processor time, above 0.
        start: what was learned before; None at first.
    """

    live: Image
    edited: Image
    mask: Float | None
    colours: Colours
    seconds: float
    start: LearnedLook | None = None

    @property
    def nbytes(self) -> int:
        """Memory of the arrays, bytes."""
        arrays = (self.live, self.edited, self.mask)
        return sum(np.asarray(each).nbytes for each in arrays if each is not None)


def learn(job: LookJob, check: Callable[[], None]) -> LearnedLook:
    """Do a job. This imports torch.

    Args:
        job: the job.
        check: called before each step; raises to stop the work.
    """
    from inpaint.looks.training import LookPair, learn_look

    pair = LookPair(job.live, job.edited, job.mask)
    done = 0 if job.start is None else job.start.steps  # also the seed: later jobs see other crops
    look = learn_look(pair, job.colours, seconds=job.seconds, seed=done, start=job.start, check=check)
    return replace(look, steps=done + look.steps)
