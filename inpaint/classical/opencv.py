"""Fills by OpenCV's Telea and Navier-Stokes inpainting, used as baseline and fallback."""

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
        image: the picture, uint8 (H, W, 3).
        mask: the hole, float32 (H, W), [0, 1]. Every pixel above 0 is repainted; values below 1 blend.
        context: not used, since these methods use the picture alone.
        method: "telea" or "ns" (Navier-Stokes).
        radius_px: radius of the neighbourhood of each repainted pixel, pixels.

    Returns:
        The filled picture, uint8 (H, W, 3), bit-equal to `image` where `mask` is 0. If the mask covers the
        whole picture, there is nothing to continue and a copy of `image` is returned.

    Raises:
        ValueError: shapes, dtypes or `method` do not fit.
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
