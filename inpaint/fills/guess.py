"""A first guess of a hole's content: a reference of the person, warped into the hole.

On the face the warped reference is the better guess. Elsewhere a mixture of the warped reference and the
continued surroundings is better than either (PSNR and SSIM on holes of training clips).
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

HIDDEN = 127  # gray level of pixels that are hidden from the matcher
FEATHER_PX = 4.0  # width of the ramp inside the hole's border from the surroundings to the reference, pixels
ELSEWHERE, ON_FACE = 0.3, 0.9  # share of the warped reference in the guess
FACE_GROWN = 1.1  # factor by which the face's oval is enlarged about its centre
FACE_SOFT = 1 / 64  # standard deviation of the oval's blur, as a share of the picture's shorter side


@lru_cache(maxsize=1)
def shared_matcher() -> Matcher:
    """Return a shared classical matcher. It needs no weights and holds no state between calls."""
    return Matcher.load("classical")


def guesses(
    image: Image,
    hole: Float,
    landmarks: Landmarks | None,
    reference: Image | None,
    reference_landmarks: Landmarks | None,
) -> tuple[Image, Image]:
    """Make two rough fills of a hole.

    Args:
        image: the picture, uint8 (H, W, 3).
        hole: float32 (H, W). Pixels above 0 are unknown, and their content is not used.
        landmarks: landmarks of the picture's face. They can be known even if the hole covers the face.
        reference: another picture of the person, of any size; None if there is none.
        reference_landmarks: landmarks of the reference's face.

    Returns:
        Two pictures uint8 (H, W, 3): the surroundings continued into the hole, and this mixed with the
        warped reference. Without a reference both are the first.
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
    """Compute the share of the warped reference in a guess, float32 (H, W), `ELSEWHERE` to `ON_FACE`."""
    face = np.zeros(size, np.float32)
    if landmarks is not None:
        oval = landmarks.points[list(topology.OVAL), :2]
        centre = oval.mean(axis=0)
        ring = np.rint(centre + FACE_GROWN * (oval - centre)).astype(np.int32)
        cv2.fillPoly(face, [ring], 1.0)
        face = np.asarray(cv2.GaussianBlur(face, (0, 0), FACE_SOFT * min(size)), np.float32)
    return np.asarray(ELSEWHERE + (ON_FACE - ELSEWHERE) * face, np.float32)
