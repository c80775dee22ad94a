"""Turns an edited picture back that was mirrored, as selfies are, or turned by quarters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from correspondence import Image
from reference.edits.placing import luma_of, resized_by
from reference.edits.search import find_place

SIDE = 256  # shorter side at which the turns are compared, pixels
LIKE = 0.25  # misfit below which a turn is taken; that of another picture is above 0.4
TURNS: dict[str, Callable[[Image], Image]] = {
    "mirrored": lambda image: image[:, ::-1],
    "turned by 180 degrees": lambda image: image[::-1, ::-1],
    "turned by 90 degrees clockwise": lambda image: np.rot90(image, 1),
    "turned by 90 degrees anticlockwise": lambda image: np.rot90(image, -1),
    "mirrored from top to bottom": lambda image: image[::-1],
}


@dataclass(frozen=True, slots=True, eq=False)
class Turned:
    """An edited picture that was turned back.

    Attributes:
        image: RGB uint8 (H, W, 3).
        words: how it was turned, for the user.
    """

    image: Image
    words: str


def turned_back(reference: Image, edited: Image) -> Turned | None:
    """Finds how an edited picture was turned.

    Args:
        reference, edited: RGB uint8 (H, W, 3), of any sizes.

    Returns:
        The edited picture turned back; None if it lies on the reference in none of the orientations.
    """
    small = [
        luma_of(resized_by(image, min(1.0, SIDE / min(image.shape[:2])))) for image in (reference, edited)
    ]
    best: tuple[float, str] = (LIKE, "")
    for words, back in TURNS.items():
        place = find_place(small[0], np.ascontiguousarray(back(small[1])))
        if place is not None and place.misfit < best[0]:
            best = (place.misfit, words)
    if not best[1]:
        return None
    return Turned(np.ascontiguousarray(TURNS[best[1]](edited)), best[1])
