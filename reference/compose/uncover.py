"""What hides the face put back over an edit, with its own edge."""

from __future__ import annotations

import cv2
import numpy as np

from correspondence.types import Box, Hidden, Image
from reference.compose.guided import guided_mask

STEP_PX = 2  # grid on which the edge is looked for
RADIUS = 3  # window of the guided filter, cells
FIRM = 4e-4  # contrast squared, of [0, 1], below which a hand has no edge before a face of its colour
REST = 0.15  # share below which the edit stays as it is, and 1 less this above which none of it does


def uncover(image: Image, frame: Image, hidden: Hidden | None, box: Box) -> None:
    """Put the live pixels of what hides the face back, in place.

    The network tells on a coarse grid what is hidden; the frame's own edges tell where that ends.

    Args:
        image: the composed frame, uint8 (H, W, 3).
        frame: uint8 (H, W, 3).
        hidden: of the frame; None where nothing hides the face.
        box: the part of the frame where the edit landed.
    """
    if hidden is None:
        return
    x0, y0, x1, y1 = box
    size = (-(-(y1 - y0) // STEP_PX), -(-(x1 - x0) // STEP_PX))
    coarse = hidden.on(box, size)
    x, y, w, h = cv2.boundingRect((coarse > REST).astype(np.uint8))
    if not w or not h:
        return
    margin = 2 * RADIUS
    left, top = max(0, x - margin) * STEP_PX + x0, max(0, y - margin) * STEP_PX + y0
    right, bottom = min(x1, x0 + (x + w + margin) * STEP_PX), min(y1, y0 + (y + h + margin) * STEP_PX)
    part = (left, top, right, bottom)
    rows, columns = -(-(bottom - top) // STEP_PX), -(-(right - left) // STEP_PX)
    live = np.ascontiguousarray(frame[top:bottom, left:right])
    share = guided_mask(hidden.on(part, (rows, columns)), live, RADIUS, FIRM)
    share = np.clip((share - np.float32(REST)) * np.float32(1 / (1 - 2 * REST)), 0, 1)
    edited = np.ascontiguousarray(image[top:bottom, left:right])
    image[top:bottom, left:right] = cv2.blendLinear(live, edited, share, 1 - share)
