"""What a fill is asked for and what it may look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from correspondence import Float, Image, Landmarks, check_image


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FillContext:
    """What is known beside the picture with the hole; every part may be missing.

    Attributes:
        landmarks: of the picture to fill, in its pixels.
        reference: another picture of the same person with the same edit, uint8 (h, w, 3), any size.
        reference_landmarks: of `reference`, in its pixels.
        seed: of the noise; the same seed gives the same fill.
    """

    landmarks: Landmarks | None = None
    reference: Image | None = None
    reference_landmarks: Landmarks | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.reference is not None:
            check_image(self.reference, "reference")


class Fill(Protocol):
    """Invents what a mask covers: OpenCV's, or the diffusion model's."""

    def __call__(self, image: Image, mask: Float, context: FillContext | None = None) -> Image:
        """The picture with its hole filled.

        Args:
            image: uint8 (H, W, 3); what it holds under the mask is a hint at most.
            mask: float32 (H, W) in [0, 1], 1: repaint.
            context: what else is known.

        Returns:
            uint8 (H, W, 3), equal to `image` wherever `mask` is exactly 0.
        """
        ...


def check_mask(mask: Float, size: tuple[int, int]) -> None:
    """Check that a mask fits its picture.

    Args:
        mask: float32 (H, W), [0, 1].
        size: (H, W) of the picture.

    Raises:
        ValueError: another dtype or shape, values outside [0, 1] or not finite.
    """
    if mask.dtype != np.float32 or mask.shape != size:
        raise ValueError(f"mask must be float32 {size}, got {mask.dtype} {mask.shape}")
    low, high = (float(mask.min()), float(mask.max())) if mask.size else (0.0, 0.0)
    if not (low >= 0.0 and high <= 1.0):
        raise ValueError(f"mask values must lie in [0, 1], got [{low}, {high}]")
