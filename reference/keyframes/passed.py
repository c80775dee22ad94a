"""Remembers a few of the views that a stream passes while its edit is poorly covered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from correspondence import Image, Landmarks
from reference.keyframes.bank import BankConfig
from reference.keyframes.keyframe import SAME_VIEW, apart


@dataclass(frozen=True, slots=True, eq=False)
class Passed:
    """A view that the stream passed.

    Attributes:
        frame: uint8 (H, W, 3), a copy.
        landmarks: landmarks of the frame's face.
        now_s: time of the frame, seconds.
    """

    frame: Image
    landmarks: Landmarks
    now_s: float


class PassedViews:
    """The views passed since the edit was last covered, thinned out to a few that are far apart.

    When there are too many, the view whose two neighbours are nearest to each other is dropped. A steady
    turn of the head thus leaves views at even steps, however long it takes.

    Args:
        most: largest number of views that `before` returns; one more is held.
        config: scales of the distance between views.
    """

    def __init__(self, most: int, config: BankConfig) -> None:
        self._most, self._config = most, config
        self._views: list[Passed] = []

    def __len__(self) -> int:
        return len(self._views)

    def note(self, frame: Image, landmarks: Landmarks, now_s: float, start: Landmarks | None) -> None:
        """Remembers a view if it is unlike all views held. Only then the frame is copied.

        Args:
            frame: uint8 (H, W, 3).
            landmarks: landmarks of the frame's face.
            now_s: time of the frame, seconds, growing from call to call.
            start: landmarks of the keyframe that serves, where the views began; None without a face.
        """
        if self._most < 1 or any(
            apart(v.landmarks, landmarks, self._config) < SAME_VIEW for v in self._views
        ):
            return
        held = self._thinned(self._views, start, landmarks)
        self._views = [*held, Passed(frame.copy(), landmarks, now_s)]

    def before(self, now_s: float, start: Landmarks | None, end: Landmarks) -> tuple[Passed, ...]:
        """Returns the views between the keyframe that serves and a frame that may become one.

        Args:
            now_s: time of the frame, seconds.
            start: as in `note`.
            end: landmarks of the frame.

        Returns:
            At most `most` views, in order of time.
        """
        return tuple(self._thinned([v for v in self._views if v.now_s < now_s], start, end))

    def clear(self) -> None:
        """Forgets all views."""
        self._views = []

    def _thinned(self, views: Sequence[Passed], start: Landmarks | None, end: Landmarks) -> list[Passed]:
        kept = list(views)
        while len(kept) > self._most:
            way = [start or kept[0].landmarks, *(v.landmarks for v in kept), end]
            spans = [apart(way[i], way[i + 2], self._config) for i in range(len(kept))]
            del kept[int(np.argmin(spans))]
        return kept
