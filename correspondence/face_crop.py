"""The upright crop of a face, with its landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class FaceCrop:
    """The upright crop of a face.

    Attributes:
        picture: uint8 (side, side, 3), RGB.
        points: its landmarks, float32 (478, 2), pixels of the crop.
    """

    picture: npt.NDArray[np.uint8]
    points: npt.NDArray[np.float32]
