"""What a hole probably holds before anything is invented: a reference of the person carried into it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from correspondence import Landmarks, Matcher
from correspondence.types import Float, Image
from inpaint.between import carried
from inpaint.classical import fill_classical
from inpaint.mask import paste

HIDDEN = 127  # gray of what the matcher must not see
FEATHER_PX = 4.0  # ramp inside the hole's border from its surroundings to the reference


@lru_cache(maxsize=1)
def shared_matcher() -> Matcher:
    """The classical matcher, which needs no weights and holds no state between calls."""
    return Matcher.load("classical")


def guesses(
    image: Image,
    hole: Float,
    landmarks: Landmarks | None,
    reference: Image | None,
    reference_landmarks: Landmarks | None,
) -> tuple[Image, Image]:
    """Two rough fills: the surroundings continued, and the reference carried onto the picture.

    Args:
        image: uint8 (H, W, 3).
        hole: float32 (H, W), above 0: unknown; what the picture holds there is not looked at.
        landmarks: of the picture's face; they may be known where the face itself is not.
        reference: another picture of the person, of any size; None: there is none.
        reference_landmarks: of its face.

    Returns:
        Two pictures uint8 (H, W, 3); without a reference the first one twice.
    """
    continued = fill_classical(image, hole)
    if reference is None:
        return continued, continued
    hidden = image.copy()
    hidden[hole > 0] = HIDDEN
    matcher = shared_matcher()
    source = (reference, matcher.prepare(reference, reference_landmarks))
    warped, _ = carried(hidden, landmarks, [source], 0.0, matcher)
    return continued, paste(continued, warped, (hole > 0).astype(np.float32), FEATHER_PX)
