"""Functions that change what is behind the person. The person is found by MediaPipe's selfie segmentation.

Each takes a picture (RGB float32 (H, W, 3), 0 to 255), the share of the person in each pixel (float32 (H, W)
in [0, 1]) and a colour, and returns the changed picture.
"""

from __future__ import annotations

import cv2
import numpy as np

from correspondence import Float
from reference.painters.drawing import Rgb

BLUR = 0.028  # sigma of the blur, share of the picture's shorter side
DIM = 0.3  # how much darker a coloured backdrop is in the corners


def blurred(picture: Float, person: Float, colour: Rgb) -> Float:
    """The backdrop out of focus. The person's colours do not run into it."""
    behind = 1 - person
    sigma = BLUR * min(person.shape)
    share = cv2.GaussianBlur(behind, (0, 0), sigma)
    total = cv2.GaussianBlur(np.ascontiguousarray(picture * behind[..., None]), (0, 0), sigma)
    soft = np.where(share[..., None] > 1e-3, total / np.maximum(share, 1e-3)[..., None], picture)
    return np.asarray(picture + behind[..., None] * (soft - picture), np.float32)


def coloured(picture: Float, person: Float, colour: Rgb) -> Float:
    """A backdrop of one colour, darker towards the corners, as of paper in a studio."""
    h, w = person.shape
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j].astype(np.float32)
    paper = np.array(colour, np.float32) * (1 - DIM * np.clip((x**2 + y**2) / 2, 0, 1))[..., None]
    return np.asarray(paper + person[..., None] * (picture - paper), np.float32)
