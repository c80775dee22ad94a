"""Finds what resampling did to a picture: what was filled in at its edges, and what its kernel changed."""

from __future__ import annotations

import cv2
import numpy as np

from correspondence import Bool, Float, Image
from reference.edits.placing import Transform, seen_at

FILLED = 0.06  # depth of what is filled in at an edge, share of the shorter side
FILLED_LEVELS = 4.0  # least change of it, levels
RIM_PX = 5  # margin of it, where resampling mixed it with the picture, pixels


def filled_rim(change: Float, inside: Bool) -> Bool:
    """Finds what an editor filled in along the edges when it turned a picture, bool (H, W).

    It is changed, touches an edge of the picture and stays within `FILLED` of the shorter side of it.
    """
    h, w = inside.shape
    changed = (np.abs(change).max(axis=2) > FILLED_LEVELS) & inside
    groups, labels = cv2.connectedComponents(changed.astype(np.uint8), connectivity=8)
    rows, columns = np.mgrid[:h, :w]
    depth = np.minimum(np.minimum(columns, w - 1 - columns), np.minimum(rows, h - 1 - rows))
    deepest, shallowest = np.zeros(groups), np.full(groups, h + w)
    np.maximum.at(deepest, labels[changed], depth[changed])
    np.minimum.at(shallowest, labels[changed], depth[changed])
    filled = (shallowest <= 3) & (deepest <= FILLED * min(h, w))
    filled[0] = False
    return np.asarray(
        cv2.dilate(filled[labels].astype(np.uint8), np.ones((2 * RIM_PX + 1,) * 2, np.uint8)) > 0, np.bool_
    )


def kernel_doubt(reference: Image, edited: Image, transform: Transform) -> Float:
    """Measures how far the reference on the edited picture's grid depends on the resampling kernel.

    Editors resample with kernels that are not known. A difference that another kernel would make is no edit.

    Args:
        reference, edited: RGB uint8 (H, W, 3), of any sizes.
        transform: from places of the reference to places of the edited picture, float64 (2, 3).

    Returns:
        The largest difference of a channel nearby, levels, float32 of the edited picture's size.
    """
    size = (edited.shape[0], edited.shape[1])
    kernels = (cv2.INTER_CUBIC, cv2.INTER_LINEAR)
    cubic, linear = (seen_at(reference, size, transform, how)[0] for how in kernels)
    largest = cv2.absdiff(cubic, linear).max(axis=2)
    doubt: Float = cv2.dilate(largest, np.ones((3, 3), np.uint8)).astype(np.float32)
    return doubt
