"""The interface of fills, and the context that a fill can use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from correspondence import Float, Image, Landmarks, check_image


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FillContext:
    """What is known in addition to the picture with the hole. Each part may be missing.

    Attributes:
        landmarks: landmarks of the picture to fill, in its pixels.
        reference: another picture of the same person with the same edit, uint8 (h, w, 3), of any size.
        reference_landmarks: landmarks of `reference`, in its pixels.
        live: the unedited half of the picture to fill, uint8 (H, W, 3) of its size.
        seed: seed of the noise. The same seed gives the same fill.
    """

    landmarks: Landmarks | None = None
    reference: Image | None = None
    reference_landmarks: Landmarks | None = None
    live: Image | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.reference is not None:
            check_image(self.reference, "reference")
        if self.live is not None:
            check_image(self.live, "live")


class Fill(Protocol):
    """A function that generates what a mask covers, by OpenCV or by a diffusion model."""

    def __call__(self, image: Image, mask: Float, context: FillContext | None = None) -> Image:
        """Fill the hole of a picture.

        Args:
            image: the picture, uint8 (H, W, 3). Its content under the mask may serve as a hint.
            mask: the hole, float32 (H, W) in [0, 1]. Pixels of value 1 are repainted.
            context: what else is known; None for nothing.

        Returns:
            The filled picture, uint8 (H, W, 3), equal to `image` wherever `mask` is exactly 0.
        """
        ...


def check_mask(mask: Float, size: tuple[int, int]) -> None:
    """Check that a mask fits its picture.

    Args:
        mask: float32 (H, W), [0, 1].
        size: (H, W) of the picture.

    Raises:
        ValueError: `mask` has another dtype or shape, or values that are not finite or outside [0, 1].
    """
    if mask.dtype != np.float32 or mask.shape != size:
        raise ValueError(f"mask must be float32 {size}, got {mask.dtype} {mask.shape}")
    low, high = (float(mask.min()), float(mask.max())) if mask.size else (0.0, 0.0)
    if not (low >= 0.0 and high <= 1.0):
        raise ValueError(f"mask values must lie in [0, 1], got [{low}, {high}]")
