"""A picture laid behind the person of a still, as paint."""

from __future__ import annotations

from math import ceil

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Image
from reference.compose.person import person_share
from reference.errors import EditError
from reference.face.sticker import Rgba


def backdrop(picture: npt.NDArray[np.uint8], still: Image) -> Rgba:
    """Lay a picture behind the person of a still. It fills the still and is cropped where the shapes differ.

    Args:
        picture: uint8 (h, w, 3 or 4); transparency is taken as black.
        still: RGB uint8 (H, W, 3).

    Returns:
        Paint of the still's size, uint8 (H, W, 4): opaque behind the person, clear on them.

    Raises:
        EditError: no person was found in the still.
    """
    h, w = still.shape[:2]
    person = person_share(still)
    if float(person.mean()) < 0.01:
        raise EditError(
            "no person was found in the picture, so its backdrop cannot be found; take one with a person"
        )
    scale = max(h / picture.shape[0], w / picture.shape[1])
    part = _middle(picture, ceil(h / scale) + 2, ceil(w / scale) + 2)  # a long one would be huge as a whole
    size = (max(w, round(part.shape[1] * scale)), max(h, round(part.shape[0] * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    large = _middle(cv2.resize(np.ascontiguousarray(part[..., :3]), size, interpolation=way), h, w)
    alpha = np.rint(255 * (1 - person)).astype(np.uint8)
    return np.dstack([large, alpha])


def _middle(picture: npt.NDArray[np.uint8], rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """Return the middle of a picture, uint8 (h, w, channels), with so many rows and columns at most."""
    y, x = max(0, picture.shape[0] - rows) // 2, max(0, picture.shape[1] - columns) // 2
    return picture[y : y + rows, x : x + columns]
