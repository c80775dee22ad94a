"""Backward warp of pictures, masks and differences."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from correspondence.geometry.grid import Float, check_field, pixel_grid

_MOST_CHANNELS = 4  # cv2.remap is fast for up to 4 channels; more channels are warped in groups


def warp_image(image: npt.NDArray[Any], field: Float, origin: tuple[int, int] = (0, 0)) -> npt.NDArray[Any]:
    """Sample `image` where `field` points: out(x) = image(x + field(x)), bilinear.

    This is Eq. 5 of Spatial Transformer Networks (arXiv:1506.02025). OpenCV's fixed-point path rounds
    positions to 1/32 pixel. Outside `image` its border value is repeated.

    Args:
        image: the reference, uint8 or float32, (H', W') or (H', W', C), any value range.
        field: frame-to-reference displacement (dx, dy) in pixels, float32 (H, W, 2).
        origin: (x, y) of the frame pixel at `field[0, 0]`, if `field` is a window of the frame.

    Returns:
        The warped image, (H, W) or (H, W, C), with the dtype and channels of `image`.

    Raises:
        ValueError: `image` or `field` has another dtype or number of dimensions.
    """
    height, width = check_field(field)
    if image.dtype not in (np.uint8, np.float32) or image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(
            f"image must be uint8 or float32 of shape (H, W) or (H, W, C), got {image.dtype} {image.shape}"
        )
    at = pixel_grid(height, width) + field
    if origin != (0, 0):
        at += np.array(origin, np.float32)
    if image.ndim == 2:
        return cv2.remap(image, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    where, fraction = cv2.convertMaps(at, None, cv2.CV_16SC2)
    out = np.empty((height, width, image.shape[2]), image.dtype)
    for start in range(0, image.shape[2], _MOST_CHANNELS):
        part = np.ascontiguousarray(image[..., start : start + _MOST_CHANNELS])
        warped = cv2.remap(part, where, fraction, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        out[..., start : start + _MOST_CHANNELS] = warped.reshape(height, width, -1)
    return out
