"""The guided filter, solved on a coarse grid and applied at full size. It gives masks the picture's edges."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Float, Image
from correspondence.geometry.region import shrink

RADIUS = 4  # radius of the filter's window, cells
FIRM = 1e-3  # variance of the guide, in [0, 1] squared, below which it has no edge to follow


def guided_mask(coarse: Float, image: Image, radius: int = RADIUS, firm: float = FIRM) -> Float:
    """Enlarges a coarse mask to a picture's size, with its edges along the picture's edges.

    It uses the fast guided filter (He and Sun, arXiv:1505.00996): mask = a luma + b in each window. a and b
    are fitted on the coarse grid and enlarged.

    Args:
        coarse: float32 (h, w), [0, 1].
        image: uint8 (H, W, 3).
        radius: radius of the window, cells of `coarse`.
        firm: regularisation, variance of the guide in [0, 1] squared.

    Returns:
        float32 (H, W), [0, 1].
    """
    luma, a, b = _fitted(coarse, image, radius, firm)
    fitted = cv2.multiply(luma, a, scale=1 / 255, dtype=cv2.CV_32F)
    return np.asarray(np.clip(cv2.add(fitted, b), 0, 1), np.float32)


def guided_levels(
    coarse: Float, image: Image, radius: int = RADIUS, firm: float = FIRM
) -> npt.NDArray[np.uint8]:
    """Computes `guided_mask` in 8 bits, uint8 (H, W), with 1 as 255. It takes half the time."""
    luma, a, b = _fitted(coarse, image, radius, firm)
    return np.asarray(cv2.add(cv2.multiply(luma, a, dtype=cv2.CV_32F), b * 255, dtype=cv2.CV_8U), np.uint8)


def _fitted(
    coarse: Float, image: Image, radius: int, firm: float
) -> tuple[npt.NDArray[np.uint8], Float, Float]:
    """The picture's luma, and a and b of each pixel, float32 (H, W), for luma in [0, 1]."""
    luma = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    guide = shrink(luma, *coarse.shape).astype(np.float32) / np.float32(255)
    side = (2 * radius + 1, 2 * radius + 1)

    def mean(values: Float) -> Float:
        return np.asarray(cv2.blur(values, side), np.float32)

    mean_guide, mean_mask = mean(guide), mean(coarse)
    variance = mean(guide * guide) - mean_guide**2
    a = (mean(guide * coarse) - mean_guide * mean_mask) / (variance + np.float32(firm))
    b = mean_mask - a * mean_guide
    full = (luma.shape[1], luma.shape[0])
    a, b = (cv2.resize(mean(x), full, interpolation=cv2.INTER_LINEAR) for x in (a, b))
    return luma, np.asarray(a, np.float32), np.asarray(b, np.float32)
