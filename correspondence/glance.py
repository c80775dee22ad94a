"""What a search for covers saw. While the face looks the same in later frames, its answer serves again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

CELLS = 16  # blocks on a side of the face crop
SAME = 12  # largest change of a block's mean at which the face looks the same, levels; a hand's is over 20
MOST = 3  # frames in a row that are not searched


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """The face of a frame in which nothing was hidden.

    Attributes:
        blocks: mean colours of the face crop's blocks, int16 (CELLS, CELLS, 3).
        age: frames since that one.
    """

    blocks: npt.NDArray[np.int16]
    age: int = 0

    @classmethod
    def at(cls, crop: npt.NDArray[np.uint8]) -> Glance:
        """Look at a face crop, uint8 (side, side, 3)."""
        return cls(cv2.resize(crop, (CELLS, CELLS), interpolation=cv2.INTER_AREA).astype(np.int16))

    def later(self, now: Glance, face: npt.NDArray[np.bool_]) -> Glance | None:
        """Return this glance, a frame older, if its answer serves for a later frame; else None.

        Args:
            now: the later frame.
            face: blocks that show the face or lie beside it, bool (CELLS, CELLS).
        """
        if self.age >= MOST:
            return None
        change = np.abs(now.blocks - self.blocks)[face]
        return None if change.max(initial=0) > SAME else replace(self, age=self.age + 1)
