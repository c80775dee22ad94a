"""One face, followed from frame to frame by a FaceMesh of its own, and smoothed over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from correspondence.face.boxes import (
    FaceBox,
    distance,
    face_side,
    fits_window,
    hide_others,
    run_mesh,
    window_around,
)
from correspondence.face.mediapipe_graphs import FaceMesh
from correspondence.face.smoothing import OneEuro, SmoothingConfig
from correspondence.geometry.region import Region
from correspondence.types import Image, Landmarks

SETTLING_RUNS = 3  # runs of FaceMesh on one picture until its crop follows from its landmarks


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerConfig:
    """Settings of a tracker of faces.

    Attributes:
        smoothing: settings of the filter over time.
        patience_s: time for which a lost face is waited for before another face is taken, seconds.
        reach: largest distance from its last place at which it may come back meanwhile, in face sides.
    """

    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    patience_s: float = 1.0
    reach: float = 1.0

    def __post_init__(self) -> None:
        if self.patience_s < 0 or self.reach <= 0:
            raise ValueError(f"patience_s must be at least 0 and reach positive, got {self}")


class FaceSeat:
    """Follows one face. It is told where to look for a new one, and is used from one thread at a time.

    Args:
        config: settings.

    Attributes:
        last: box of the face where it was last seen; None if it was not seen yet.
        seen_s: time of that frame, seconds.
        followed: whether the face was seen in the last frame.
    """

    def __init__(self, config: TrackerConfig) -> None:
        self._config = config
        self._mesh = FaceMesh(static=False, faces=1)
        self._filter = OneEuro(config.smoothing)
        self._window: Region | None = None  # where the face is followed; None for the whole picture
        self.last: FaceBox | None = None
        self.seen_s = 0.0
        self.followed = False

    def forget(self) -> None:
        """Forget the face and its place."""
        self.followed, self.last, self._window = False, None, None
        self._filter.reset()

    def keep(self, image: Image) -> Landmarks | None:
        """Find the face where FaceMesh expects it.

        Args:
            image: the frame, RGB uint8 (H, W, 3).

        Returns:
            The landmarks, not smoothed; None if the face was not followed, was lost or moved too far. The
            filter then starts anew.
        """
        found = self._kept(image) if self.followed and self.last is not None else None
        if found is None:
            self._filter.reset()
        return found

    def _kept(self, image: Image) -> Landmarks | None:
        assert self.last is not None
        if self._window is not None and not fits_window(self.last, self._window):
            return None
        found = next(iter(run_mesh(self._mesh, image, self._window)), None)
        if found is None or distance(found.box, self.last) > self._config.reach:
            return None
        return found

    def look(
        self, image: Image, boxes: Sequence[FaceBox], chosen: FaceBox | None, waiting: bool
    ) -> Landmarks | None:
        """Find the face in the chosen box; if no box is given, wherever FaceMesh finds a face.

        Args:
            image: the frame, RGB uint8 (H, W, 3).
            boxes: all faces of the frame.
            chosen: the one to look at.
            waiting: whether a face must be near the last place if no box is given.
        """
        place = chosen or (self.last if waiting else None)
        self._window = window_around(place, image.shape[0], image.shape[1]) if place else None
        alone = hide_others(image, boxes, chosen) if chosen else image
        for _ in range(2):  # the first run may only clear what the graph still followed elsewhere
            found = next(iter(run_mesh(self._mesh, alone, self._window)), None)
            if found is None:
                continue
            right = distance(found.box, chosen) <= 1 if chosen else not waiting or self.is_near(found.box)
            if right:
                return found
        return None

    def blank(self) -> None:
        """Make FaceMesh forget the face that it looked at."""
        self._mesh(np.zeros((64, 64, 3), np.uint8))

    def settle(self, image: Image, face: Landmarks) -> Landmarks:
        """Find a face that `look` found again, as later frames will see it; see `detect_landmarks`."""
        for _ in range(SETTLING_RUNS - 1):
            face = next(iter(run_mesh(self._mesh, image, self._window)), face)
        return face

    def note(self, found: Landmarks | None, now_s: float) -> Landmarks | None:
        """Note what was found in a frame, and smooth it.

        Args:
            found: the face's landmarks; None if it is not seen.
            now_s: time of the frame, seconds.

        Returns:
            The smoothed landmarks; None if the face is not seen.
        """
        self.followed = found is not None
        if found is None:
            return None
        self.last, self.seen_s = found.box, now_s
        return Landmarks(self._filter(found.points, face_side(found.box), now_s), found.image_size)

    def is_near(self, box: FaceBox) -> bool:
        """Tell whether a box is within reach of the face's last place."""
        return self.last is None or distance(box, self.last) <= self._config.reach

    def waits(self, now_s: float) -> bool:
        """Tell whether a lost face is still waited for near its last place."""
        return self.last is not None and now_s - self.seen_s <= self._config.patience_s

    def close(self) -> None:
        """Free MediaPipe's task. The seat cannot be used afterwards."""
        self._mesh.close()
