"""What commands that invent frames share: the filler and what it is, in words."""

from __future__ import annotations

from pathlib import Path

from inpaint import weights as known
from inpaint.jobs import Filler

NO_WEIGHTS = (
    "no diffusion weights are given (--fill-weights DIR): pictures are warped and blended, and nothing that "
    "was never seen is invented"
)


def make_filler(weights: Path | None, device: str) -> tuple[Filler, str]:
    """A filler for a file command and what it does, for the user.

    Raises:
        WeightsError: `weights` holds none.
    """
    folder = weights if weights is not None else known.shipped()
    filler = Filler(folder, device)
    return filler, NO_WEIGHTS if folder is None else f"unsure places are invented by {filler.method}"
