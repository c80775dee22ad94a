"""Remembers the place of a face in a frame, to tell whether a later frame still shows the same there."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from correspondence import Box, Float, Image, Landmarks

SIDE = 24  # side of the small picture of the place, pixels
STAYS = 0.6  # correlation of luma from which the place still shows the same


@dataclass(frozen=True, slots=True, eq=False)
class Spot:
    """The picture at the place of a face.

    Attributes:
        size: (H, W) of the frame.
        box: the place (x0, y0, x1, y1), pixels, end exclusive.
        luma: luma of the place minus its mean, float32 (24, 24).
    """

    size: tuple[int, int]
    box: Box
    luma: Float

    @classmethod
    def of(cls, frame: Image, landmarks: Landmarks) -> Spot | None:
        """Takes the place of a face from a frame, uint8 (H, W, 3); None if the face is outside the frame."""
        h, w = frame.shape[:2]
        x0, y0, x1, y1 = (round(float(v)) for v in landmarks.box)
        box = (max(0, x0), max(0, y0), min(w, x1), min(h, y1))
        if box[2] - box[0] < 2 or box[3] - box[1] < 2:
            return None
        return cls((h, w), box, _small(frame, box))

    def shown_in(self, frame: Image) -> bool:
        """Whether a later frame shows the same there, so that a face that is not found was only missed."""
        if frame.shape[:2] != self.size:
            return False
        now = _small(frame, self.box)
        norm = float(np.sqrt((self.luma * self.luma).sum() * (now * now).sum()))
        return float((self.luma * now).sum()) >= STAYS * max(norm, 1e-6)


def _small(frame: Image, box: Box) -> Float:
    x0, y0, x1, y1 = box
    across, down = (max(1, length // (4 * SIDE)) for length in (x1 - x0, y1 - y0))
    seen = np.ascontiguousarray(frame[y0:y1:down, x0:x1:across])  # every n-th pixel tells enough
    part = cv2.resize(seen, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    luma = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY).astype(np.float32)
    centred: Float = luma - luma.mean()
    return centred
