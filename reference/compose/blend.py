"""The pixel operations of a composition. They run on cache-sized tiles, only where the edit lands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Bool, Float, Image
from correspondence.geometry.grid import rescaled, times
from reference.compose.layers import Layers, Maps, Rectangle, Unmoved, warp, warp_change

UNIT = 64  # value of weight 1 in the 8-bit weight planes; their largest weight is 255 / 64
CELL = 4  # side of the cells that are marked busy or idle, pixels
BAND = 24  # height of a tile, cells
SHARED_PX = 60_000  # tiles of as many pixels in all are worth a second thread
GAP = 8  # largest number of adjacent idle columns that a tile may hold, cells

Tile = Rectangle  # of the window
_pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="tiles")


def weight_plane(weight: Float, size: tuple[int, int]) -> Image | None:
    """Enlarges a coarse weight (h', w') or (h', w', 3) to an 8-bit plane of `size`, with 1 as UNIT.

    Returns None if all weights are 1.
    """
    small = np.rint(np.minimum(weight * UNIT, 255)).astype(np.uint8)
    if (small == UNIT).all():
        return None
    plane: Image = cv2.resize(small, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return plane


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """Weights of each pixel of a window, uint8 with 1 as UNIT. Except for `doubt`, None is 1 everywhere.

    Attributes:
        change: weight of the change, (h, w, 3), or (h, w) if the channels agree.
        lit: light gain of the paint, (h, w, 3).
        trust: weight of the paint, (h, w).
        doubt: share of the colour model that stands in, (h, w); None is 0 everywhere.
    """

    change: Image | None
    lit: Image | None
    trust: Image | None
    doubt: Image | None

    def cut(self, tile: Tile) -> Planes:
        """Returns the weights of a tile."""
        return Planes(
            *(None if x is None else x[tile] for x in (self.change, self.lit, self.trust, self.doubt))
        )


def weigh_pixels(
    gain: Float, trust: Float, doubt: Float | None, size: tuple[int, int], paint: Bool
) -> Planes:
    """Makes the planes of a window from coarse weights over it.

    Args:
        gain: light gain, (rows, columns, 3).
        trust: confidence times strength, (rows, columns).
        doubt: share of the colour model that stands in, (rows, columns); None for none.
        size: (h, w) of the window, pixels.
        paint: bool, the cells where paint is laid, which has weights of its own.
    """
    painted = bool(paint.any())
    lit = bool(np.abs(gain - 1).max() > 1e-3)
    trusted = weight_plane(trust, size) if painted or not lit else None
    change = weight_plane(times(gain, trust), size) if lit else trusted
    share = None
    if doubt is not None:
        small = np.rint(doubt * UNIT).astype(np.uint8)
        share = np.asarray(cv2.resize(small, (size[1], size[0]), interpolation=cv2.INTER_LINEAR), np.uint8)
    return Planes(change, weight_plane(gain, size) if lit and painted else None, trusted, share)


def busy_cells(where: npt.NDArray[np.uint8], scale: Float, field: Float) -> npt.NDArray[np.uint8]:
    """Marks the cells of CELL pixels of a window that may see a marked place of the reference.

    Args:
        where: uint8 (rows, columns, n), above 0 at the marked cells of the reference, widened by a cell.
        scale: cells of `where` per pixel of the reference, float32 (2,), for x and y.
        field: place of each cell's first pixel in the reference, float32 (h', w', 2), pixels.

    Returns:
        uint8 (h', w', n), above 0 at these cells and their neighbours.
    """
    seen = cv2.remap(where, rescaled(field, scale), None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(cv2.dilate(seen, np.ones((3, 3), np.uint8)), np.uint8)


def tiles(busy: Bool, size: tuple[int, int]) -> Iterator[Tile]:
    """Splits the busy cells of a window into tiles that hold all of them and do not overlap.

    Args:
        busy: bool (rows, columns), the cells of CELL pixels that the edit may change.
        size: (h, w) of the window, pixels.

    Yields:
        Rows and columns of the window.
    """
    for top in range(0, busy.shape[0], BAND):
        y = slice(top * CELL, min((top + BAND) * CELL, size[0]))
        for left, right in _runs(np.logical_or.reduce(busy[top : top + BAND], axis=0)):
            yield y, slice(left * CELL, min(right * CELL, size[1]))


def parts(busy: Bool, tile: Tile) -> Iterator[Tile]:
    """Like `tiles` for the cells inside one tile. Yields rows and columns relative to the tile."""
    y, x = tile
    cells = busy[y.start // CELL : -(-y.stop // CELL), x.start // CELL : -(-x.stop // CELL)]
    yield from tiles(cells, (y.stop - y.start, x.stop - x.start))


def _runs(busy: Bool) -> list[tuple[int, int]]:
    """Start and end of the runs of True. Runs at most GAP cells apart are joined."""
    line = busy.tobytes()  # searching bytes takes a tenth of numpy's time here
    runs: list[tuple[int, int]] = []
    start = line.find(b"\1")
    while start >= 0:
        end = line.find(b"\0", start)
        end = len(line) if end < 0 else end
        if runs and start - runs[-1][1] <= GAP:
            start = runs.pop()[0]
        runs.append((start, end))
        start = line.find(b"\1", end)
    return runs


def each_tile(work: Callable[[Tile], None], todo: Sequence[Tile], threads: int = 1) -> None:
    """Does the work of each tile. Tiles must not overlap.

    Args:
        work: is called with each tile.
        todo: the tiles.
        threads: 2 lets another thread do half of it, if there is much.
    """
    sizes = [(y.stop - y.start) * (x.stop - x.start) for y, x in todo]
    half, count, done = sum(sizes) / 2, 0, 0
    if threads > 1 and 2 * half >= SHARED_PX:
        while done + sizes[count] <= half:
            done += sizes[count]
            count += 1
    other = _pool.submit(_each, work, todo[:count]) if count else None
    try:
        _each(work, todo[count:])
    finally:
        if other is not None:
            other.result()


def _each(work: Callable[[Tile], None], todo: Sequence[Tile]) -> None:
    for tile in todo:
        work(tile)


def compose_tile(
    made: Image, layers: Layers, maps: Maps | Unmoved, planes: Planes, work: Bool, tile: Tile
) -> None:
    """Adds the change to a live tile and lays the paint over it, in place, in the cells marked in `work`."""
    for part in parts(work[..., 0], tile):
        weight = planes.cut(part).change
        add_change(made[part], layers, maps.part(part), weight)
    if layers.paint is None:
        return
    for part in parts(work[..., 1], tile):
        weights, at = planes.cut(part), maps.part(part)
        lay_paint(made[part], layers.paint, at, weights.lit, weights.trust)


def add_change(out: Image, layers: Layers, maps: Maps | Unmoved, weight: Image | None) -> None:
    """Adds the warped change times its weight to `out`, uint8 (h, w, 3), in place."""
    more, less = warp_change(layers, maps)
    if weight is not None:
        plane = weight if weight.ndim == 3 else cv2.cvtColor(weight, cv2.COLOR_GRAY2RGB)
        more = cv2.multiply(more, plane, scale=1 / UNIT)
        less = cv2.multiply(less, plane, scale=1 / UNIT)
    cv2.subtract(cv2.add(out, more, more), less, out)


def lay_paint(
    out: Image, paint: npt.NDArray[np.uint8], maps: Maps | Unmoved, lit: Image | None, trust: Image | None
) -> None:
    """Lays the warped paint over `out`, uint8 (h, w, 3), in place.

    The paint's colour is multiplied by `lit` and its cover by `trust`.
    """
    warped = warp(paint, maps)
    colour, cover = cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB), cv2.extractChannel(warped, 3)
    if lit is not None:
        colour = cv2.multiply(colour, lit, scale=1 / UNIT)
    if trust is not None:
        cover = cv2.multiply(cover, trust, scale=1 / UNIT)
    lay_over(out, colour, cover)


def lay_over(out: Image, over: Image, share: npt.NDArray[np.uint8]) -> None:
    """Mixes a picture over `out`, uint8 (h, w, 3), in place. Its share is uint8 (h, w), with 1 as 255.

    Sums of saturated 8-bit differences take half the time of OpenCV's `blendLinear`.
    """
    plane = cv2.cvtColor(share, cv2.COLOR_GRAY2RGB)
    more = cv2.multiply(cv2.subtract(over, out), plane, scale=1 / 255)
    less = cv2.multiply(cv2.subtract(out, over), plane, scale=1 / 255)
    cv2.subtract(cv2.add(out, more, more), less, out)


def mix_toned(out: Image, live: Image, toned: Image, share: Image) -> Image:
    """Returns `out`, uint8 (h, w, 3), plus the difference `toned` - `live` times its share (h, w)."""
    plane = cv2.cvtColor(share, cv2.COLOR_GRAY2RGB)
    more = cv2.multiply(cv2.subtract(toned, live), plane, scale=1 / UNIT)
    less = cv2.multiply(cv2.subtract(live, toned), plane, scale=1 / UNIT)
    return cv2.subtract(cv2.add(out, more), less)
