"""Evens out a frame's fine texture as far as a look of the whole picture does, as an oil painting does.

A look is laid over the live picture in the look's colours. Hair, cloth and skin would keep all their fine
texture there, and what the look took away of it on the reference would be taken away beside its place.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import cv2
import numpy as np

from correspondence import Image
from reference.edits.colour_model import DIRECT_PX, ColourModel
from reference.edits.edit import Edit

SHARES = (1, 2, 4)  # how many times smaller the picture may be whose medians replace it
ACROSS = 5  # window of the median, pixels of that picture
CLEAR = 0.85  # a look is even if this share of its squared error, or less, is left on an evened picture
MOST = 0.7  # the finest share serves that takes away this part of what the best one takes away of the error

_known: WeakKeyDictionary[ColourModel, int] = WeakKeyDictionary()


def evenness(edit: Edit) -> int:
    """Finds how far an edit evens out fine texture, on its reference. The answer is kept for its colours.

    Args:
        edit: an edit with a stand-in.

    Returns:
        One of `SHARES`, or 0 if it keeps texture, as a film look and a drawing of lines do.
    """
    assert edit.stand_in is not None
    found = _known.get(edit.stand_in)
    if found is None:
        found = _known[edit.stand_in] = _measured(edit.stand_in, *middle(edit.reference, edit.edited))
    return found


def evened(image: Image, share: int) -> Image:
    """Replaces each place by the median around it.

    Args:
        image: RGB uint8 (H, W, 3).
        share: as from `evenness`; 0 leaves the picture as it is.

    Returns:
        RGB uint8 (H, W, 3).
    """
    height, width = image.shape[:2]
    if not share or min(height, width) < ACROSS * share:
        return image
    if share == 1:
        return np.asarray(cv2.medianBlur(np.ascontiguousarray(image), ACROSS), np.uint8)
    small = cv2.resize(image, (width // share, height // share), interpolation=cv2.INTER_AREA)
    soft = cv2.medianBlur(small, ACROSS)
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _measured(colours: ColourModel, before: Image, after: Image) -> int:
    errors = {}
    for share in (0, *SHARES):
        toned = colours.apply(evened(before, share))
        errors[share] = float(((toned.astype(np.float32) - after) ** 2).mean())
    plain, best = errors[0], min(errors.values())
    if best > CLEAR * plain:
        return 0
    return next(share for share in SHARES if errors[share] <= plain - MOST * (plain - best))


def middle(*images: Image) -> list[Image]:
    """The middle of pictures of one size, of at most DIRECT_PX pixels."""
    height, width = images[0].shape[:2]
    part = min(1.0, (DIRECT_PX / (height * width)) ** 0.5)
    high, wide = max(1, int(part * height)), max(1, int(part * width))
    y, x = (height - high) // 2, (width - wide) // 2
    return [image[y : y + high, x : x + wide] for image in images]
