"""Two pictures warped to a face's landmarks and blended: what pure mode knows of a frame beforehand.

StreamEdit's F_Lwarp, of both ends. Landmarks say where the face goes and nothing of what stands behind it or
of hair, teeth and folds, so no pixel of such a picture counts as more than half sure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from correspondence import Float, Image, Landmarks
from inpaint.classical.between import mixed
from inpaint.classical.still import Moved, Still

LEAST_UNSURE = 0.5

End = tuple[Image, Landmarks | None]


class LandmarkWarp:
    """One or two pictures that can be moved to landmarks between theirs.

    Args:
        ends: pictures uint8 (H, W, 3) of one size and their landmarks; None: no face, the picture stands.

    Raises:
        ValueError: no picture, or more than two.
    """

    def __init__(self, ends: Sequence[End]) -> None:
        if not 1 <= len(ends) <= 2:
            raise ValueError(f"landmarks lead from one picture or two, got {len(ends)}")
        self._ends = [(image, None if at is None else Still(image, at)) for image, at in ends]

    def at(self, target: Landmarks | None, share: float) -> tuple[Image, Float]:
        """The picture with its face at `target`.

        Args:
            target: landmarks in pixels of the pictures; None: none known.
            share: how far it is on the way from the first picture to the second, [0, 1].

        Returns:
            uint8 (H, W, 3), and float32 (H, W), `LEAST_UNSURE` to 1.
        """
        views = [self._moved(image, still, target) for image, still in self._ends]
        if len(views) == 1:
            picture, unsure = views[0].image, views[0].unsure
        else:
            one, two = ((view.image, 1 - view.unsure) for view in views)
            picture, unsure = mixed(one, two, share)
        return picture, np.asarray(LEAST_UNSURE + (1 - LEAST_UNSURE) * unsure, np.float32)

    @staticmethod
    def _moved(image: Image, still: Still | None, target: Landmarks | None) -> Moved:
        if still is None or target is None:
            return Moved(image, np.ones(image.shape[:2], np.float32))
        return still.moved(target)
