"""Corrects the error of FaceMesh's landmarks on skin, by the flow that starts from them.

FaceMesh is off by about 1 % of the face: by nearly the same amount all over a cheek, and differently in every
pose. Flow sees the skin itself, but it tears lines at hair, and on smooth skin it follows the shading. So the
difference of the two is averaged over a neighbourhood, with more weight where flow explains the skin's
texture. It is added where that explains the frame better.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from correspondence.face.mesh import LandmarkField
from correspondence.geometry.grid import Float, over, pixel_grid, times
from correspondence.matchers.choice import CHOICE
from correspondence.types import Image

SPREAD = 1.2  # standard deviation of the average, cells of the choice grid: 2 % of a face
WIDE = 15  # window, in cells of the choice grid, over which the two explanations are compared
NEAR = 5  # window over which texture, and what flow explains of it, are averaged
BAND = 5  # window whose mean is taken off luma; what is left is texture, without most of the shading
FAINT = 1.0  # gray levels of texture at which a cell has half of its weight
LEAST_WEIGHT = 0.03  # weight of no correction in an average
LIMIT = 2.0  # longest correction, cells of the field: 1.8 % of a face; where flow says more, it slides
LEAST_GAIN = 1.05  # ratio of texture left unexplained, before to after, at which belief is 1/2
SLOPE = 10.0  # with which belief rises around that ratio
LEAST_LEFT = 0.2  # gray levels added to the texture left unexplained
ON_PARTS = 0.5  # share of the correction on lips, eyes and brows, whose form only the landmarks know
NEW = 0.5  # share of a frame's own correction beside that of the frame before, which steadies it


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What is known of a frame's window when its field is corrected. Grids are (h, w), the choice grid.

    Attributes:
        flow: flow that started from the landmarks, float32 (h, w, 2), cells of the field.
        face: the landmark field.
        parts: result of `choice.parts_of`, float32 (h, w).
        look: the frame's `flow.appearance`, uint8 (h, w, 4).
        reference: the reference's, uint8 (h, w, 4).
    """

    flow: Float
    face: LandmarkField
    parts: Float
    look: Image
    reference: Image


def correction(field: Float, seen: Seen, last: Float | None = None) -> Float:
    """Compute the correction of a field that follows the landmarks.

    Args:
        field: the field, float32 (H, W, 2), cells.
        seen: what is known of the frame, on grids of h = H / CHOICE rows and w = W / CHOICE columns.
        last: the correction of the frame before, moved to this one, float32 (h, w, 2); None without one.

    Returns:
        What to add to the field, float32 (h, w, 2), cells of the field. It is 0 off the skin.
    """
    h, w = seen.parts.shape
    skin = cv2.resize(seen.face.validity * seen.face.inside, (w, h), interpolation=cv2.INTER_AREA)
    skin *= 1 - (1 - ON_PARTS) * seen.parts
    here = cv2.resize(field, (w, h), interpolation=cv2.INTER_AREA)
    own, known, grid = _texture(seen.look), _texture(seen.reference), pixel_grid(h, w)

    def left(small: Float, window: int) -> Float:
        """Texture that a field leaves unexplained, mean over a window, float32 (h, w), gray levels."""
        there = cv2.scaleAdd(small, 1 / CHOICE, grid)
        moved = cv2.remap(known, there, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(cv2.blur(cv2.absdiff(own, moved), (window, window)), np.float32)

    texture = cv2.blur(np.abs(own), (NEAR, NEAR))
    explained = np.clip((texture - left(seen.flow, NEAR)) / (texture + LEAST_LEFT), 0, 1)
    weight = skin * explained * (texture**2 / (texture**2 + FAINT**2))
    total = cv2.GaussianBlur(weight, (0, 0), SPREAD) + LEAST_WEIGHT
    away = cv2.GaussianBlur(times(cv2.subtract(seen.flow, here), weight), (0, 0), SPREAD)
    shift = over(away, total)
    gain = left(here, WIDE) / (left(here + shift, WIDE) + LEAST_LEFT)
    belief = 1 / (1 + np.exp(np.clip(SLOPE * (LEAST_GAIN - gain), -20, 20)))
    short = np.minimum(1, LIMIT / np.maximum(cv2.magnitude(*cv2.split(shift)), 1e-3))
    shift = times(shift, short * skin * cv2.blur(belief, (WIDE, WIDE)))
    return np.asarray(shift if last is None else NEW * shift + (1 - NEW) * last, np.float32)


def added(field: Float, small: Float) -> Float:
    """Add displacements on the choice grid, float32 (h, w, 2), to a field, float32 (H, W, 2)."""
    full = cv2.resize(small, field.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.add(field, full), np.float32)


def _texture(look: Image) -> Float:
    """Luma of a picture's `flow.appearance` without its local mean, float32 (h, w), gray levels."""
    luma = cv2.extractChannel(look, 1).astype(np.float32)
    return np.asarray(luma - cv2.blur(luma, (BAND, BAND)), np.float32)
