"""Restores what hides the face, such as a hand, over an edit, with its exact edge."""

from __future__ import annotations

import cv2
import numpy as np

from correspondence.types import Box, Hidden, Image
from reference.compose.guided import guided_mask

STEP_PX = 2  # cell of the grid on which the edge is found, pixels
RADIUS = 2  # radius of the guided filter's window, cells
FIRM = 4e-4  # squared contrast, of values in [0, 1], below which a hand has no edge before the face
SEEN = 0.15  # hidden share below which a place is not looked at
WHOLE, GONE = 0.05, 0.5  # filtered shares: up to the first the edit is whole, from the second on it is gone


def uncover(image: Image, frame: Image, hidden: Hidden | None, box: Box) -> None:
    """Restores the live pixels of what hides the face, in place.

    The network gives the hidden parts on a coarse grid. The frame's own edges give their exact outline.

    Args:
        image: the composed frame, uint8 (H, W, 3).
        frame: uint8 (H, W, 3).
        hidden: what hides the face in the frame; None if nothing does.
        box: the part of the frame where the edit landed, (x0, y0, x1, y1), pixels.
    """
    if hidden is None:
        return
    x0, y0, x1, y1 = box
    size = (-(-(y1 - y0) // STEP_PX), -(-(x1 - x0) // STEP_PX))
    coarse = hidden.on(box, size)
    x, y, w, h = cv2.boundingRect((coarse > SEEN).astype(np.uint8))
    if not w or not h:
        return
    margin = 2 * RADIUS
    left, top = max(0, x - margin) * STEP_PX + x0, max(0, y - margin) * STEP_PX + y0
    right, bottom = min(x1, x0 + (x + w + margin) * STEP_PX), min(y1, y0 + (y + h + margin) * STEP_PX)
    part = (left, top, right, bottom)
    rows, columns = -(-(bottom - top) // STEP_PX), -(-(right - left) // STEP_PX)
    live = np.ascontiguousarray(frame[top:bottom, left:right])
    share = guided_mask(hidden.on(part, (rows, columns)), live, RADIUS, FIRM)
    share = np.clip((share - np.float32(WHOLE)) * np.float32(1 / (GONE - WHOLE)), 0, 1)
    edited = np.ascontiguousarray(image[top:bottom, left:right])
    image[top:bottom, left:right] = cv2.blendLinear(live, edited, share, 1 - share)
