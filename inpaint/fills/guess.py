"""What a hole probably holds before anything is invented: a reference of the person carried into it.

On the face the carried reference is the better guess, elsewhere neither it nor the surroundings continued
into the hole: there a mixture of both is (PSNR and SSIM on holes of training clips).
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from correspondence import Float, Image, Landmarks, Matcher
from correspondence.face import topology
from inpaint.classical.between import carried
from inpaint.classical.opencv import fill_classical
from inpaint.mask import paste

HIDDEN = 127  # gray of what the matcher must not see
FEATHER_PX = 4.0  # ramp inside the hole's border from its surroundings to the reference
ELSEWHERE, ON_FACE = 0.3, 0.9  # share of the carried reference in the guess
FACE_GROWN = 1.1  # its oval, about its centre
FACE_SOFT = 1 / 64  # deviation of its edge, of the picture's shorter side


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
    """Two rough fills: the surroundings continued, and the reference carried onto the picture in them.

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
    weight = reference_weight(landmarks, (image.shape[0], image.shape[1]))[..., None]
    guess = np.rint(continued + weight * (warped.astype(np.float32) - continued)).astype(np.uint8)
    return continued, paste(continued, guess, (hole > 0).astype(np.float32), FEATHER_PX)


def reference_weight(landmarks: Landmarks | None, size: tuple[int, int]) -> Float:
    """How much of a guess is the carried reference, float32 (H, W), `ELSEWHERE` to `ON_FACE`."""
    face = np.zeros(size, np.float32)
    if landmarks is not None:
        oval = landmarks.points[list(topology.OVAL), :2]
        centre = oval.mean(axis=0)
        ring = np.rint(centre + FACE_GROWN * (oval - centre)).astype(np.int32)
        cv2.fillPoly(face, [ring], 1.0)
        face = np.asarray(cv2.GaussianBlur(face, (0, 0), FACE_SOFT * min(size)), np.float32)
    return np.asarray(ELSEWHERE + (ON_FACE - ELSEWHERE) * face, np.float32)
