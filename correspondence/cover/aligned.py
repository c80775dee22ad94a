"""Bends the reference's face crop onto a frame's by the landmarks of both, so that skin lies on skin.

What hides the face then differs from the reference where it lies. The field is smooth: the landmarks'
offsets, averaged around each cell of a coarse grid.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from correspondence.face_crop import FaceCrop
from correspondence.types import Float, Image

CELL = 4  # cell of the field, pixels of the crop
NEAR, FAR = 1.1, 5.0  # widths of the averages, cells; the second serves where no landmark is near
FAINT = 1e-3  # weight of the second beside the first


def aligned(crop: FaceCrop, points: Float) -> Image:
    """Bend a face crop so that its landmarks lie on other ones.

    Args:
        crop: face crop of the reference.
        points: landmarks of the frame in pixels of the frame's crop, float32 (478, 2 or 3).

    Returns:
        uint8 (side, side, 3): at each pixel of the frame's crop the reference's colour there. The border is
        repeated outside the reference's crop.
    """
    side = crop.picture.shape[0]
    cells = side // CELL
    at = np.clip((points[:468, :2] + 0.5) / CELL - 0.5, 0, cells - 1.001)
    offset = crop.points[:468] - points[:468, :2]
    low = at.astype(np.int32)
    part = at - low
    flat = low[:, 1] * cells + low[:, 0]
    where = np.concatenate([flat, flat + 1, flat + cells, flat + cells + 1])
    across, down = np.stack([1 - part[:, 0], part[:, 0]]), np.stack([1 - part[:, 1], part[:, 1]])
    share = (down[:, None] * across[None]).reshape(4, -1)  # of the four cells around a landmark
    grid = np.empty((cells, cells, 3), np.float32)
    for i, values in enumerate((share, share * offset[:, 0], share * offset[:, 1])):
        grid[..., i] = np.bincount(where, values.ravel(), cells * cells).reshape(cells, cells)
    wide = cv2.GaussianBlur(grid, (0, 0), FAR, borderType=cv2.BORDER_REPLICATE)
    grid = cv2.GaussianBlur(grid, (0, 0), NEAR, borderType=cv2.BORDER_CONSTANT) + np.float32(FAINT) * wide
    field = grid[..., 1:] / np.maximum(grid[..., :1], np.float32(1e-9))
    field = cv2.resize(field, (side, side), interpolation=cv2.INTER_LINEAR) + _pixels(side)
    out = cv2.remap(crop.picture, field, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.uint8)


@lru_cache(maxsize=4)
def _pixels(side: int) -> Float:
    """x and y of each pixel, float32 (side, side, 2)."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    return np.dstack([x, y])
