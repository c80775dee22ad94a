"""A match read as finely as a composition needs it: on a coarse grid first, then where the edit lands."""

from __future__ import annotations

import cv2
import numpy as np

from correspondence.types import Box, Float, Match

LARGE_PX = 200_000  # windows of more pixels are read on a coarser grid and enlarged
LARGE_STEP = 3  # its cells, pixels: no coarser than a matcher's own grid on a frame that large


def coarse_values(match: Match, box: Box, size: tuple[int, int]) -> Float:
    """(dx, dy, log_b) on an even grid over a box of the frame.

    Args:
        match: of the frame.
        box: (x0, y0, x1, y1) inside the frame.
        size: cells (rows, columns); cell i of n on a side of length l is read at (i + 0.5) l / n - 0.5.

    Returns:
        float32 (rows, columns, 3), in pixels of frame and reference.
    """
    rows, columns = size
    shown: list[tuple[Float, Float]] = []  # values and weights
    values = np.empty((0, 0, 3), np.float32)
    for patch in reversed(match.patches):  # finest first
        values, weight = _read(patch.values, patch.box, box, size), patch.weight(box, match.frame_size)
        if weight is None:
            break
        shown.append((values, cv2.resize(weight, (columns, rows), interpolation=cv2.INTER_LINEAR)))
    for above, weight in reversed(shown):
        values = cv2.blendLinear(above, values, weight, 1 - weight)
    return values


def _read(values: Float, covered: Box, box: Box, size: tuple[int, int]) -> Float:
    """Values of a grid over the box `covered`, read bilinearly on a grid of `size` over `box`."""
    rows, columns = size
    step_x, step_y = (box[2] - box[0]) / columns, (box[3] - box[1]) / rows
    cell_x = (covered[2] - covered[0]) / values.shape[1]
    cell_y = (covered[3] - covered[1]) / values.shape[0]
    matrix = np.array(
        [
            [step_x / cell_x, 0, (box[0] + 0.5 * step_x - covered[0]) / cell_x - 0.5],
            [0, step_y / cell_y, (box[1] + 0.5 * step_y - covered[1]) / cell_y - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    read = cv2.warpAffine(values, matrix, (columns, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(read, np.float32)


def window_field(match: Match, box: Box) -> Float:
    """The field at each pixel of a box of the frame, large boxes read on a coarser grid.

    Args:
        match: of the frame.
        box: (x0, y0, x1, y1) inside the frame.

    Returns:
        float32 (h, w, 2), (dx, dy) in pixels.
    """
    w, h = box[2] - box[0], box[3] - box[1]
    if w * h <= LARGE_PX:
        return np.ascontiguousarray(match.window(box)[0])
    grid = coarse_values(match, box, (-(-h // LARGE_STEP), -(-w // LARGE_STEP)))
    field = cv2.resize(np.ascontiguousarray(grid[..., :2]), (w, h), interpolation=cv2.INTER_LINEAR)
    return np.asarray(field, np.float32)


def places(match: Match, box: Box, pixels: Float) -> Float:
    """Where in the reference each pixel of a box of the frame is seen.

    Args:
        match: of the frame.
        box: (x0, y0, x1, y1) inside the frame.
        pixels: x and y of each pixel of the whole frame, float32 (H, W, 2).

    Returns:
        float32 (h, w, 2), pixels of the reference.
    """
    x0, y0, x1, y1 = box
    return np.asarray(cv2.add(pixels[y0:y1, x0:x1], window_field(match, box)), np.float32)
