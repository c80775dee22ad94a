"""Interpolation between two pictures without a network. Both are warped along their motion and blended.

The motion in both directions comes from the correspondence matcher. The origin of a pixel between the two
pictures follows from a mix of both fields, as in Super SloMo (Jiang et al. 2018, Eq. 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from correspondence import Float, Image, Landmarks, Matcher, Prepared, check_image, confidence, warp_image

RADIUS = 0.02  # largest error at which a place counts as found, as a share of the picture's shorter side


@dataclass(frozen=True, slots=True, eq=False)
class Ends:
    """Two pictures and the motion between them.

    Attributes:
        first, last: the pictures, uint8 (H, W, 3).
        forth, back: the fields from `first` to `last` and the reverse, float32 (H, W, 2), pixels.
        trust_first, trust_last: confidence of `forth` and `back`, float32 (H, W) in [0, 1].
    """

    first: Image
    last: Image
    forth: Float
    back: Float
    trust_first: Float
    trust_last: Float

    @classmethod
    def of(
        cls,
        first: Image,
        last: Image,
        landmarks_first: Landmarks | None,
        landmarks_last: Landmarks | None,
        matcher: Matcher | None = None,
    ) -> Ends:
        """Match two pictures of one size in both directions.

        Args:
            first, last: the pictures, uint8 (H, W, 3).
            landmarks_first, landmarks_last: landmarks of their faces; None for no face.
            matcher: the matcher; None for the classical matcher, which needs no weights.

        Raises:
            ValueError: the pictures differ in size.
        """
        size = check_image(first, "first")
        if check_image(last, "last") != size:
            raise ValueError(f"the two pictures must have one size, got {first.shape} and {last.shape}")
        matcher = matcher or Matcher.load("classical")
        radius = RADIUS * min(size)
        forth = matcher.match(first, matcher.prepare(last, landmarks_last), landmarks=landmarks_first)
        back = matcher.match(last, matcher.prepare(first, landmarks_first), landmarks=landmarks_last)
        return cls(first, last, forth.field, back.field, confidence(forth, radius), confidence(back, radius))


def interpolate(ends: Ends, share: float) -> tuple[Image, Float]:
    """Interpolate between two pictures.

    Args:
        ends: the pictures with their motion, from `Ends.of`.
        share: time between the pictures, [0, 1]; 0 for the first picture, 1 for the last.

    Returns:
        The picture, uint8 (H, W, 3), and its uncertainty, float32 (H, W) in [0, 1]. It is 1 where neither
        picture is known to show the pixel.

    Raises:
        ValueError: `share` is outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie in [0, 1], got {share}")
    t = np.float32(share)
    to_first = -(1 - t) * t * ends.forth + t * t * ends.back
    to_last = (1 - t) * (1 - t) * ends.forth - t * (1 - t) * ends.back
    one, trust_one = _moved(ends.first, ends.trust_first, to_first)
    two, trust_two = _moved(ends.last, ends.trust_last, to_last)
    return mixed((one, trust_one), (two, trust_two), share)


def mixed(first: tuple[Image, Float], last: tuple[Image, Float], share: float) -> tuple[Image, Float]:
    """Blend two versions of one picture by their nearness in time and their trust.

    Args:
        first, last: a picture, uint8 (H, W, 3), and its trust, float32 (H, W) in [0, 1].
        share: time of the result, [0, 1]; 0 for the time of `first`, 1 for that of `last`.

    Returns:
        The picture, uint8 (H, W, 3), and its uncertainty, float32 (H, W): 1 minus the larger trust. At share
        0 or 1 only the trust of the picture at that time counts.
    """
    (one, trust_one), (two, trust_two) = first, last
    near_one = (1 - share) * (trust_one + np.float32(0.02))
    near_two = share * (trust_two + np.float32(0.02))
    weight = np.asarray(near_two / np.maximum(near_one + near_two, np.float32(1e-6)), np.float32)
    picture = one + weight[..., None] * (two.astype(np.float32) - one)
    sure = np.maximum(trust_one * (share < 1), trust_two * (share > 0))
    return np.rint(picture).astype(np.uint8), np.asarray(1 - sure, np.float32)


def carried(
    frame: Image,
    landmarks: Landmarks | None,
    sources: Sequence[tuple[Image, Prepared]],
    share: float,
    matcher: Matcher,
) -> tuple[Image, Float]:
    """Warp one or two pictures onto a frame and mix them, as the live path shows them.

    Args:
        frame: the frame, uint8 (H, W, 3).
        landmarks: landmarks of its face; None for no face.
        sources: one or two pictures of the frame's size, each with the result of `matcher.prepare`.
        share: time of the frame between the first and the second picture, [0, 1].
        matcher: the matcher that prepared the pictures.

    Returns:
        The mixed picture, uint8 (H, W, 3), and its uncertainty, float32 (H, W) in [0, 1]. It is 1 where no
        source is known to show the pixel.
    """
    radius = RADIUS * min(frame.shape[:2])
    views = []
    for picture, prepared in sources:
        match = matcher.match(frame, prepared, landmarks=landmarks)
        views.append((warp_image(picture, match.field), confidence(match, radius)))
    return mixed(views[0], views[-1], share) if len(views) > 1 else (views[0][0], 1 - views[0][1])


def _moved(image: Image, trust: Float, field: Float) -> tuple[Image, Float]:
    h, w = trust.shape
    y, x = np.mgrid[:h, :w].astype(np.float32)
    at = (x + field[..., 0], y + field[..., 1])
    inside = (at[0] >= -0.5) & (at[0] <= w - 0.5) & (at[1] >= -0.5) & (at[1] <= h - 0.5)
    picture = cv2.remap(image, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    moved = cv2.remap(trust, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) * inside
    return np.asarray(picture, np.uint8), np.asarray(moved, np.float32)
