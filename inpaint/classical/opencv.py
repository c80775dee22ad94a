"""Filling without a network: OpenCV's Telea and Navier-Stokes inpainting, the baseline and the fallback."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from correspondence import Float, Image, check_image
from inpaint.mask import hole_box, paste
from inpaint.types import FillContext, check_mask

Method = Literal["telea", "ns"]
FLAGS = {"telea": cv2.INPAINT_TELEA, "ns": cv2.INPAINT_NS}


def fill_classical(
    image: Image,
    mask: Float,
    context: FillContext | None = None,
    *,
    method: Method = "telea",
    radius_px: float = 4.0,
) -> Image:
    """Continue the surroundings into the hole (A. Telea 2004, or Bertalmio et al. 2001).

    Args:
        image: uint8 (H, W, 3).
        mask: float32 (H, W), [0, 1]; every value above 0 is repainted, soft values blend.
        context: unused; these methods look at the picture alone.
        method: "telea" or "ns".
        radius_px: neighbourhood of each invented pixel.

    Returns:
        uint8 (H, W, 3), bit-equal to `image` where `mask` is 0; the picture itself where the mask covers
        all of it, since there is nothing to continue.

    Raises:
        ValueError: shapes, dtypes or a method that do not fit.
    """
    size = check_image(image)
    check_mask(mask, size)
    if method not in FLAGS:
        raise ValueError(f"method must be one of {sorted(FLAGS)}, got {method!r}")
    box = hole_box(mask, margin_px=int(np.ceil(radius_px)) + 2)
    if box is None or bool((mask > 0).all()):
        return image.copy()
    x0, y0, x1, y1 = box
    crop, hole = np.ascontiguousarray(image[y0:y1, x0:x1]), mask[y0:y1, x0:x1]
    filled = cv2.inpaint(crop, (hole > 0).astype(np.uint8), radius_px, FLAGS[method])
    result = image.copy()
    result[y0:y1, x0:x1] = paste(crop, np.asarray(filled, np.uint8), hole)
    return result
