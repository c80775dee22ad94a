"""File mode's painter of a look of the whole picture where no reference knows it: learned at first need."""

from __future__ import annotations

import importlib.util
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from correspondence import Float, Image
from reference import Edit
from reference.compose.whole.lines import look_of

if TYPE_CHECKING:
    from inpaint.looks.learned import Colours, LearnedLook

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]  # phase, done, expected

NEEDED = 0.1  # doubt from which a place is painted
LEAST_SHARE = 0.002  # share of a frame that must be in doubt before a look is learned, or painted
WITHOUT_TORCH = (
    "what no reference shows of the look has its colours alone: "
    "to learn its lines and texture too, install PyTorch (livery[fill])"
)


class _Stopped(Exception):  # noqa: N818  # a signal from a check, no error
    """The user stopped the run."""


class LookPainter:
    """The painter of edits of one look (see `reference.edits.edit.Painter`).

    The network is trained when a frame first has places that no reference knows. Until then, and for places
    too few to matter, the colours stay.

    Args:
        edits: the edits of the look. The first one's colours are the start; all of them teach.
        colours: colours and lines of the first edit, which the network corrects.
        seconds: processor time to learn the look.
        stop: called while learning. True ends it, and the colours go on alone.
        progress: called while learning.
        say: called with a note for the user about what was done.
    """

    def __init__(
        self,
        edits: Sequence[Edit],
        colours: Colours,
        seconds: float,
        *,
        stop: Callable[[], bool] = lambda: False,
        progress: Progress = lambda phase, done, expected: None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._edits, self._colours, self._seconds = edits, colours, seconds
        self._stop, self._progress, self._say = stop, progress, say
        self._lock = threading.Lock()  # a background is composed beside the person
        self._tried = False
        self._look: LearnedLook | None = None

    def __call__(self, image: Image, toned: Image, wanted: Float, frame_size: tuple[int, int]) -> Image:
        """Paint over the look's colours (see `reference.edits.edit.Painter`)."""
        needed = cv2.dilate((wanted > NEEDED).astype(np.uint8), np.ones((3, 3), np.uint8))
        if float(needed.mean()) < LEAST_SHARE or (look := self._learned()) is None:
            return toned
        size = (image.shape[1], image.shape[0])
        mask = cv2.resize(needed, size, interpolation=cv2.INTER_NEAREST).astype(np.float32)
        share = cv2.resize(wanted, size, interpolation=cv2.INTER_LINEAR) * mask
        painted = look.paint(np.ascontiguousarray(image), mask, frame_size=frame_size)
        return np.asarray(cv2.blendLinear(painted, np.ascontiguousarray(toned), share, 1 - share), np.uint8)

    def _learned(self) -> LearnedLook | None:
        """The learned look, trained now if it was not yet; None if it cannot be or is behind the colours."""
        with self._lock:
            if not self._tried:
                self._tried = True
                self._look = self._learn()
            return self._look

    def _learn(self) -> LearnedLook | None:
        if importlib.util.find_spec("torch") is None:
            self._say(WITHOUT_TORCH)
            return None
        from inpaint.looks.training import LookPair, learn_look

        pairs = [LookPair(edit.reference, edit.edited, edit.mask) for edit in self._edits]
        begun_s = time.process_time()

        def check() -> None:
            if self._stop():
                raise _Stopped
            self._progress("look", min(99, int(100 * (time.process_time() - begun_s) / self._seconds)), 100)

        try:
            look = learn_look(pairs[0], self._colours, pairs[1:], seconds=self._seconds, check=check)
        except _Stopped:
            return None
        spent = f"{time.process_time() - begun_s:.0f} s of processor time"
        if look.ahead_db <= 0:
            self._say(
                f"what no reference shows of the look has its colours alone: learned {spent}, no better"
            )
            return None
        self._say(
            f"what no reference shows of the look was painted by a network that learned it in {spent}: "
            f"{look.ahead_db:.1f} dB nearer than its colours alone where that could be tried"
        )
        logger.info("a look was learned in %d steps", look.steps)
        return look


def with_painter(
    edits: Sequence[Edit],
    seconds: float,
    *,
    stop: Callable[[], bool],
    progress: Progress,
    say: Callable[[str], None],
) -> list[Edit] | None:
    """Give edits of a look of the whole picture one painter.

    Returns:
        The edits with the painter; None if they are no look that colours explain in part.
    """
    if edits[0].stand_in is None:
        return None
    painter = LookPainter(edits, look_of(edits[0]), seconds, stop=stop, progress=progress, say=say)
    return [replace(edit, painter=painter) for edit in edits]
