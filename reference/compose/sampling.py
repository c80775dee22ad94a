"""Reads a match as finely as a composition needs it: on a coarse grid first, then where the edit lands."""

from __future__ import annotations

import cv2
import numpy as np

from correspondence import Box, Float, Match
from correspondence.geometry.grid import pixel_grid, shifted
from correspondence.types import Patch
from reference.compose.blend import CELL, Tile
from reference.compose.blend_weights import centres
from reference.compose.layers import Maps, Unmoved, fixed_maps

LARGE_PX = 200_000  # windows of more pixels are read on a coarser grid and enlarged
LARGE_STEP = 3  # cell of that grid, pixels: no coarser than a matcher's own grid on a frame that large


def coarse_values(match: Match, box: Box, size: tuple[int, int], *, doubted: bool = True) -> Float:
    """Reads (dx, dy, log_b) on an even grid over a box of the frame.

    Args:
        match: the match of the frame.
        box: (x0, y0, x1, y1) inside the frame.
        size: cells (rows, columns); cell i of n on a side of length l is read at (i + 0.5) l / n - 0.5.
        doubted: raises log_b where something hides the face; False for callers that handle it per pixel.

    Returns:
        float32 (rows, columns, 3), in pixels of frame and reference.
    """
    shown: list[tuple[Float, Float]] = []  # values and weights
    values = np.empty((0, 0, 3), np.float32)
    for patch in reversed(match.patches):  # finest first
        values, weight = read_grid(patch.values, patch.box, box, size), _weight(patch, match, box, size)
        if weight is None:
            break
        shown.append((values, weight))
    for above, weight in reversed(shown):
        values = cv2.blendLinear(above, values, weight, 1 - weight)
    if doubted and match.hidden is not None:
        values = np.dstack([values[..., :2], match.hidden.doubted(values[..., 2], box)])
    return values


def seen_share(match: Match, box: Box, size: tuple[int, int]) -> Float | np.float32:
    """Share of each cell that nothing hides on an even grid over a box, [0, 1].

    Returns float32 (rows, columns), or 1 if nothing hides the face.
    """
    return np.float32(1) if match.hidden is None else 1 - match.hidden.on(box, size)


def read_grid(values: Float, covered: Box, box: Box, size: tuple[int, int]) -> Float:
    """Reads a grid over the box `covered` bilinearly on a grid of `size` (rows, columns) over `box`."""
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


def _weight(patch: Patch, match: Match, box: Box, size: tuple[int, int]) -> Float | None:
    """Weight of a patch over those below it on a grid of `size` over `box`, [0, 1]; None for 1 everywhere."""
    ramps = patch.ramps(box, match.frame_size)
    if ramps is None:
        return None
    across, down = ramps
    rows, columns = size
    across = cv2.resize(across[None], (columns, 1), interpolation=cv2.INTER_LINEAR)
    down = cv2.resize(down[:, None], (1, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(down * across, np.float32)


def window_field(match: Match, box: Box) -> Float:
    """Reads the field at each pixel of a box of the frame. Large boxes are read on a coarser grid.

    Args:
        match: the match of the frame.
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
    """Computes the place in the reference of each pixel of a box of the frame.

    Args:
        match: the match of the frame.
        box: (x0, y0, x1, y1) inside the frame.
        pixels: x and y of each pixel of the whole frame, float32 (H, W, 2).

    Returns:
        float32 (h, w, 2), pixels of the reference.
    """
    x0, y0, x1, y1 = box
    return np.asarray(cv2.add(pixels[y0:y1, x0:x1], window_field(match, box)), np.float32)


def is_still(match: Match) -> bool:
    """Whether a match says of each pixel that it lies where the reference shows it, before a still camera."""
    (first, *more), same = match.patches, match.frame_size == match.reference_size
    return same and not more and not first.values[..., :2].any()


class Places:
    """The place in the reference of each pixel of a box of the frame, computed tile by tile.

    Large boxes are read on a grid of about the match's own cells, and enlarged. Before a camera that stands
    still nothing needs to be read.

    Args:
        match: the match of the frame.
        box: (x0, y0, x1, y1) inside the frame.

    Attributes:
        cells: place of each cell of CELL pixels, float32 (rows, columns, 2), pixels.
    """

    cells: Float

    def __init__(self, match: Match, box: Box) -> None:
        x0, y0, x1, y1 = self._box = box
        self._pixels = pixel_grid(*match.frame_size)
        self._whole: Float | None = None
        self._unmoved = is_still(match)
        if self._unmoved:
            first = np.ascontiguousarray(self._pixels[y0:y1:CELL, x0:x1:CELL])
            self.cells = shifted(first, np.full(2, CELL / 2 - 0.5, np.float32))
            return
        if (x1 - x0) * (y1 - y0) <= LARGE_PX:
            pixels = self._pixels[y0:y1, x0:x1]
            self._whole = np.asarray(cv2.add(pixels, np.ascontiguousarray(match.window(box)[0])), np.float32)
            self.cells = np.ascontiguousarray(self._whole[::CELL, ::CELL])
            return
        finest = match.patches[-1]
        self._step = step = CELL if finest.box[2] - finest.box[0] >= 3 * finest.values.shape[1] else CELL // 2
        rows, columns = -(-(y1 - y0) // step) + 2, -(-(x1 - x0) // step) + 2  # a cell more on each side
        around = (x0 - step, y0 - step, x0 + (columns - 1) * step, y0 + (rows - 1) * step)
        grid = coarse_values(match, around, (rows, columns), doubted=False)[..., :2]
        self._grid = np.asarray(grid + centres(around, (rows, columns)), np.float32)
        self.cells = np.ascontiguousarray(self._grid[1 : -1 : CELL // step, 1 : -1 : CELL // step])

    def maps(self, tile: Tile) -> Maps | Unmoved:
        """Returns the places of a tile, to read pictures with. It begins at multiples of CELL."""
        if not self._unmoved:
            return fixed_maps(self.on(tile))
        x0, y0, x1, y1 = self._box
        return Unmoved(slice(y0, y1), slice(x0, x1)).part(tile)

    def on(self, tile: Tile) -> Float:
        """Returns the places of a tile, float32 (h, w, 2), pixels. It begins at multiples of CELL."""
        y, x = tile
        if self._unmoved:
            x0, y0, _, _ = self._box
            return self._pixels[y0 + y.start : y0 + y.stop, x0 + x.start : x0 + x.stop]
        if self._whole is not None:
            return self._whole[tile]
        height, width = y.stop - y.start, x.stop - x.start
        step = self._step
        rows, columns = -(-height // step) + 2, -(-width // step) + 2
        top, left = y.start // step, x.start // step
        cells = self._grid[top : top + rows, left : left + columns]
        full = cv2.resize(cells, (columns * step, rows * step), interpolation=cv2.INTER_LINEAR)
        return np.asarray(full[step : step + height, step : step + width], np.float32)
