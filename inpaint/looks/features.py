"""What the network of a look sees of a picture: its colours, the colour model's answer, and simple filters.

Editors build looks from blurs, smoothing that keeps edges, gradients, and openings and closings. With these
as inputs, a small network learns a look in seconds: it only has to combine them.
"""

from __future__ import annotations

import cv2
import numpy as np

from correspondence import Float, Image

SIGMAS = (1.0, 2.5, 6.0, 14.0)  # of the blurs between which the bands of the luma lie, pixels
EDGES = (1.0, 2.5)  # of the blurs before the gradients, pixels
COUNT = 6 + len(SIGMAS) + 1 + 3 + len(EDGES) + 2  # planes of the input
REACH = 44  # distance from which a pixel still matters to a plane, pixels
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def features(image: Image, toned: Image) -> Float:
    """Compute the network's input.

    Args:
        image: the live picture, RGB uint8 (H, W, 3).
        toned: the colour model's answer for it, RGB uint8 (H, W, 3).

    Returns:
        float32 (COUNT, H, W), about [-1, 1]: colours, toned colours, bands of the luma from fine to coarse,
        what smoothing that keeps edges changes, strengths of gradients, opening and closing of the luma.
    """
    live = image.astype(np.float32) / 255
    luma = live @ _LUMA
    planes = [live - 0.5, toned.astype(np.float32) / 255 - 0.5]
    finer = luma
    for sigma in SIGMAS:
        coarser = cv2.GaussianBlur(luma, (0, 0), sigma)
        planes.append(4 * (finer - coarser)[..., None])
        finer = np.asarray(coarser, np.float32)
    planes.append(finer[..., None] - 0.5)
    planes.append(cv2.bilateralFilter(image, 9, 30, 5).astype(np.float32) / 255 - live)
    for sigma in EDGES:
        blurred = cv2.GaussianBlur(luma, (0, 0), sigma)
        x, y = cv2.Sobel(blurred, cv2.CV_32F, 1, 0), cv2.Sobel(blurred, cv2.CV_32F, 0, 1)
        planes.append(2 * cv2.magnitude(x, y)[..., None])
    square = np.ones((3, 3), np.uint8)
    opened, closed = (cv2.morphologyEx(luma, kind, square) for kind in (cv2.MORPH_OPEN, cv2.MORPH_CLOSE))
    planes += [4 * (opened - luma)[..., None], 4 * (closed - luma)[..., None]]
    stacked = np.concatenate(planes, axis=2).astype(np.float32)
    return np.ascontiguousarray(stacked.transpose(2, 0, 1))
