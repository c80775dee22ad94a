"""Two pictures warped to given landmarks and blended, for pure mode, where only landmarks are known.

This is StreamEdit's F_Lwarp, from both ends. Landmarks give the place of the face, but not the background,
hair, teeth or folds. So the uncertainty of such a picture is at least 0.5 everywhere.
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
    """One or two pictures that can be warped to landmarks between theirs.

    Args:
        ends: pictures uint8 (H, W, 3) of one size, each with its landmarks; None for no face. A picture
            without landmarks is not warped.

    Raises:
        ValueError: there is no picture, or more than two.
    """

    def __init__(self, ends: Sequence[End]) -> None:
        if not 1 <= len(ends) <= 2:
            raise ValueError(f"landmarks lead from one picture or two, got {len(ends)}")
        self._ends = [(image, None if at is None else Still(image, at)) for image, at in ends]

    def at(self, target: Landmarks | None, share: float) -> tuple[Image, Float]:
        """Warp the pictures to landmarks and blend them.

        Args:
            target: landmarks in pixels of the pictures; None if unknown.
            share: time between the first picture and the second, [0, 1].

        Returns:
            The picture, uint8 (H, W, 3), and its uncertainty, float32 (H, W), `LEAST_UNSURE` to 1.
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
