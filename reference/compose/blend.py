"""The pixel work of a composition, tile by tile: only where something lands, in pieces a cache holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Bool, Float, Image
from reference.compose.layers import Layers, Maps, warp, warp_change

UNIT = 64  # weight 1 in the 8-bit weight planes, which reach 255 / 64
CELL = 4  # pixels; whether there is anything to do is known for each cell
BAND = 16  # cells a tile is high
GAP = 8  # idle cells in a row that a tile may hold

Tile = tuple[slice, slice]  # rows, columns of the window


def weight_plane(weight: Float, size: tuple[int, int]) -> Image | None:
    """A coarse weight (h', w') or (h', w', 3) as 8-bit plane of `size`, 1 as UNIT; None for all 1."""
    small = np.rint(np.minimum(weight * UNIT, 255)).astype(np.uint8)
    if (small == UNIT).all():
        return None
    plane: Image = cv2.resize(small, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return plane


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """What weighs each pixel of a window, uint8 with 1 as UNIT; None for 1 everywhere.

    Attributes:
        change: weight of the change, (h, w, 3), or (h, w) where the channels agree.
        lit: light gain of the paint, (h, w, 3).
        trust: weight of the paint, (h, w).
        doubt: share of what stands in, (h, w); None for 0 everywhere.
    """

    change: Image | None
    lit: Image | None
    trust: Image | None
    doubt: Image | None

    def cut(self, tile: Tile) -> Planes:
        """The same on a tile."""
        return Planes(
            *(None if x is None else x[tile] for x in (self.change, self.lit, self.trust, self.doubt))
        )


def weigh_pixels(gain: Float, trust: Float, doubt: Float | None, size: tuple[int, int]) -> Planes:
    """The planes of a window of `size` (h, w) from coarse weights over it.

    Args:
        gain: (rows, columns, 3).
        trust: confidence times strength, (rows, columns).
        doubt: share of what stands in, (rows, columns); None for none.
    """
    lit = bool(np.abs(gain - 1).max() > 1e-3)
    trusted = weight_plane(trust, size)
    change = weight_plane(gain * trust[..., None], size) if lit else trusted
    share = None
    if doubt is not None:
        small = np.rint(doubt * UNIT).astype(np.uint8)
        share = np.asarray(cv2.resize(small, (size[1], size[0]), interpolation=cv2.INTER_LINEAR), np.uint8)
    return Planes(change, weight_plane(gain, size) if lit else None, trusted, share)


def busy_cells(where: npt.NDArray[np.uint8], scale: Float, field: Float) -> npt.NDArray[np.uint8]:
    """Cells of CELL pixels of a window that may see a marked place of the reference.

    Args:
        where: uint8 (rows, columns, n), above 0 at the marked cells of the reference, widened by a cell.
        scale: cells of `where` a pixel of the reference, float32 (2,), for x and y.
        field: where each cell's first pixel is seen in the reference, float32 (h', w', 2), pixels.

    Returns:
        uint8 (h', w', n), above 0 at these cells and their neighbours.
    """
    at = (field + np.float32(0.5)) * scale - np.float32(0.5)
    seen = cv2.remap(where, at, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(cv2.dilate(seen, np.ones((3, 3), np.uint8)), np.uint8)


def tiles(busy: Bool, size: tuple[int, int]) -> Iterator[Tile]:
    """Tiles that together hold every busy cell of a window and never overlap.

    Args:
        busy: bool (rows, columns), the cells of CELL pixels where there is something to do.
        size: (h, w) of the window, pixels.

    Yields:
        Rows and columns of the window.
    """
    for top in range(0, busy.shape[0], BAND):
        y = slice(top * CELL, min((top + BAND) * CELL, size[0]))
        for left, right in _runs(np.any(busy[top : top + BAND], axis=0)):
            yield y, slice(left * CELL, min(right * CELL, size[1]))


def parts(busy: Bool, tile: Tile) -> Iterator[Tile]:
    """As `tiles`, of the cells inside one tile; rows and columns of the tile."""
    y, x = tile
    cells = busy[y.start // CELL : -(-y.stop // CELL), x.start // CELL : -(-x.stop // CELL)]
    yield from tiles(cells, (y.stop - y.start, x.stop - x.start))


def _runs(busy: Bool) -> list[tuple[int, int]]:
    """Start and end of the runs of True, joined over up to GAP False."""
    at = np.flatnonzero(busy)
    if not len(at):
        return []
    breaks = np.flatnonzero(np.diff(at) > GAP + 1)
    starts, ends = at[np.append(0, breaks + 1)], at[np.append(breaks, len(at) - 1)] + 1
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def add_change(live: Image, layers: Layers, maps: Maps, weight: Image | None) -> Image:
    """`live` (h, w, 3) plus the warped change, times its weight."""
    more, less = warp_change(layers, maps)
    if weight is not None:
        plane = weight if weight.ndim == 3 else cv2.merge([weight, weight, weight])
        more = cv2.multiply(more, plane, scale=1 / UNIT)
        less = cv2.multiply(less, plane, scale=1 / UNIT)
    return cv2.subtract(cv2.add(live, more), less)


def lay_paint(
    out: Image, paint: npt.NDArray[np.uint8], maps: Maps, lit: Image | None, trust: Image | None
) -> Image:
    """`out` (h, w, 3) under the warped paint, its colour times `lit` and its cover times `trust`."""
    warped = warp(paint, maps)
    colour, cover = cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB), cv2.extractChannel(warped, 3)
    if lit is not None:
        colour = cv2.multiply(colour, lit, scale=1 / UNIT)
    if trust is not None:
        cover = cv2.multiply(cover, trust, scale=1 / UNIT)
    share = cover.astype(np.float32) * np.float32(1 / 255)
    return cv2.blendLinear(colour, np.ascontiguousarray(out), share, 1 - share)


def mix_toned(out: Image, live: Image, toned: Image, share: Image) -> Image:
    """`out` (h, w, 3) plus what `toned` changes on `live`, times its share (h, w)."""
    plane = cv2.merge([share, share, share])
    more = cv2.multiply(cv2.subtract(toned, live), plane, scale=1 / UNIT)
    less = cv2.multiply(cv2.subtract(live, toned), plane, scale=1 / UNIT)
    return cv2.subtract(cv2.add(out, more), less)
