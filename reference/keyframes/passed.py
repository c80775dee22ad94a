"""Views that a stream passes while its edit is poorly covered: a few are remembered for the bank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from correspondence import Image, Landmarks
from reference.keyframes.bank import SAME_VIEW, BankConfig, apart


@dataclass(frozen=True, slots=True, eq=False)
class Passed:
    """A view that was passed.

    Attributes:
        frame: uint8 (H, W, 3), a copy; landmarks: of its face; now_s: its time.
    """

    frame: Image
    landmarks: Landmarks
    now_s: float


class PassedViews:
    """The way since the edit was covered last: views that lie as far apart as a few can.

    Where one too many is held, the one whose neighbours on the way are nearest to each other goes, so that
    a steady turn leaves even steps however long it takes.

    Args:
        most: views that `before` gives; one more is held.
        config: scales of the distance between views.
    """

    def __init__(self, most: int, config: BankConfig) -> None:
        self._most, self._config = most, config
        self._views: list[Passed] = []

    def __len__(self) -> int:
        return len(self._views)

    def note(self, frame: Image, landmarks: Landmarks, now_s: float, start: Landmarks | None) -> None:
        """Remember a view; copied only where it is like none of those held.

        Args:
            frame: uint8 (H, W, 3); landmarks: of its face; now_s: its time, growing from call to call.
            start: of the keyframe that serves, where the way began.
        """
        if self._most < 1 or any(
            apart(v.landmarks, landmarks, self._config) < SAME_VIEW for v in self._views
        ):
            return
        held = self._thinned(self._views, start, landmarks)
        self._views = [*held, Passed(frame.copy(), landmarks, now_s)]

    def before(self, now_s: float, start: Landmarks | None, end: Landmarks) -> tuple[Passed, ...]:
        """What lies between the keyframe that serves and a frame that may become one, by time.

        Args:
            now_s: of the frame; start: as in `note`; end: landmarks of the frame.
        """
        return tuple(self._thinned([v for v in self._views if v.now_s < now_s], start, end))

    def clear(self) -> None:
        """Forget all."""
        self._views = []

    def _thinned(self, views: Sequence[Passed], start: Landmarks | None, end: Landmarks) -> list[Passed]:
        kept = list(views)
        while len(kept) > self._most:
            way = [start or kept[0].landmarks, *(v.landmarks for v in kept), end]
            spans = [apart(way[i], way[i + 2], self._config) for i in range(len(kept))]
            del kept[int(np.argmin(spans))]
        return kept
