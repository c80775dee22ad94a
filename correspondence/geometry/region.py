"""The square of the frame around head and shoulders that is matched on a fine grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from correspondence.geometry.grid import Float
from correspondence.types import Landmarks

GRID = 256  # cells on a side of the fine grid
SIDE_PER_FACE = 2.3  # ratio of the region's side to the face's longer side
DOWNWARD = 0.12  # shift of the region's centre below the face's centre, in face sides, to include shoulders
KEEP_SHIFT = 0.05  # largest shift of the centre from the ideal at which the last region is kept, in its sides
KEEP_SCALE = 0.08  # largest relative difference of the side at which the last region is kept


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of cells of a region's grid.

    Attributes:
        x: column of its first cell.
        y: row of its first cell.
        columns: number of its columns.
        rows: number of its rows.
    """

    x: int
    y: int
    columns: int
    rows: int

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.rows, self.columns

    @property
    def cells(self) -> tuple[slice, slice]:
        """Rows and columns of the grid, to index an array (N, N, ...)."""
        return slice(self.y, self.y + self.rows), slice(self.x, self.x + self.columns)

    def coarser(self, ratio: int) -> Part:
        """Return the same rectangle on a grid with fewer cells; `ratio` divides all four numbers."""
        return Part(self.x // ratio, self.y // ratio, self.columns // ratio, self.rows // ratio)

    def holds(self, other: Part) -> bool:
        """Tell whether another rectangle lies inside this one."""
        return (
            self.x <= other.x
            and self.y <= other.y
            and other.x + other.columns <= self.x + self.columns
            and other.y + other.rows <= self.y + self.rows
        )


@dataclass(frozen=True, slots=True)
class Region:
    """A square of whole pixels.

    Attributes:
        x: column of its first pixel. It may lie outside the picture.
        y: row of its first pixel. It may lie outside the picture.
        side: length of a side, pixels, at least 1.
    """

    x: int
    y: int
    side: int

    def __post_init__(self) -> None:
        if self.side < 1:
            raise ValueError(f"a region's side must be at least 1 pixel, got {self.side}")

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The square as (x0, y0, x1, y1), with the end points excluded."""
        return self.x, self.y, self.x + self.side, self.y + self.side

    def to_grid(self, points: Float, size: int = GRID) -> Float:
        """Convert pixels of the picture to cells of the region's grid, float32 (..., 2).

        Centres of pixels and cells lie on integers.
        """
        scale = np.float32(size / self.side)
        offset = np.array([self.x - 0.5, self.y - 0.5], np.float32)
        return np.asarray((points - offset) * scale - np.float32(0.5), np.float32)

    def to_pixels(self, points: Float, size: int = GRID) -> Float:
        """Convert cells of the grid to pixels of the picture, float32 (..., 2): the inverse of `to_grid`."""
        scale = np.float32(self.side / size)
        offset = np.array([self.x - 0.5, self.y - 0.5], np.float32)
        return np.asarray((points + np.float32(0.5)) * scale + offset, np.float32)

    def pixels_of(self, part: Part, size: int = GRID) -> tuple[int, int, int, int]:
        """Return the box (x0, y0, x1, y1) of a part of the grid, pixels of the picture, rounded down."""
        x0, y0 = self.x + part.x * self.side // size, self.y + part.y * self.side // size
        return x0, y0, x0 + part.columns * self.side // size, y0 + part.rows * self.side // size


def whole(size: tuple[int, int]) -> Region:
    """Return the smallest square around a picture of (H, W) `size`, centred on the picture."""
    height, width = size
    side = max(height, width)
    return Region((width - side) // 2, (height - side) // 2, side)


def ideal_region(landmarks: Landmarks | None, size: tuple[int, int]) -> Region:
    """Return the square around head and shoulders, or around the whole picture if there is no face.

    Args:
        landmarks: landmarks of the face; None for no face.
        size: (H, W) of the picture.
    """
    if landmarks is None:
        return whole(size)
    height, width = size
    x0, y0, x1, y1 = landmarks.box
    face = max(x1 - x0, y1 - y0, 8.0)
    side = round(min(SIDE_PER_FACE * face, max(height, width)))
    side = max(side // 4 * 4, 16)  # halves twice without a remainder, see `shrink`
    x = _inside((x0 + x1) / 2 - side / 2, side, width)
    y = _inside((y0 + y1) / 2 + DOWNWARD * face - side / 2, side, height)
    return Region(x, y, side)


def _inside(start: float, side: int, extent: int) -> int:
    """Move `start` so that [start, start + side) overlaps [0, extent) as far as possible."""
    if side >= extent:
        return (extent - side) // 2
    return round(min(max(start, 0), extent - side))


def choose_region(landmarks: Landmarks | None, size: tuple[int, int], previous: Region | None) -> Region:
    """Return the previous region if it still fits, otherwise the ideal one.

    Keeping the region avoids shimmer, since the grid does not move with every frame.
    """
    ideal = ideal_region(landmarks, size)
    if previous is None or landmarks is None:
        return ideal
    half = previous.side / 2 - ideal.side / 2
    shift = max(abs(previous.x + half - ideal.x), abs(previous.y + half - ideal.y))
    near = shift <= KEEP_SHIFT * ideal.side
    alike = abs(previous.side - ideal.side) <= KEEP_SCALE * ideal.side
    return previous if near and alike else ideal


def crop(image: npt.NDArray[Any], region: Region, size: int = GRID) -> npt.NDArray[Any]:
    """Cut a region out of a picture and resample it to (size, size).

    Outside the picture its border pixels are repeated.

    Args:
        image: (H, W) or (H, W, C), uint8 or float32.
        region: the square to cut out. Any part of it may lie outside the picture.
        size: side of the result.
    """
    return shrink(_padded(image, region.box), size, size)


def _padded(image: npt.NDArray[Any], box: tuple[int, int, int, int]) -> npt.NDArray[Any]:
    """Cut the box (x0, y0, x1, y1) out of a picture. Outside the picture its border pixels are repeated."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = box
    top, bottom = min(max(y0, 0), height - 1), max(min(y1, height), 1)
    left, right = min(max(x0, 0), width - 1), max(min(x1, width), 1)
    inner = image[top:bottom, left:right]
    if inner.shape[:2] == (y1 - y0, x1 - x0):
        return inner
    above, below, before, after = (max(0, beyond) for beyond in (-y0, y1 - height, -x0, x1 - width))
    return cv2.copyMakeBorder(inner, above, below, before, after, cv2.BORDER_REPLICATE)


def crop_part(image: npt.NDArray[Any], region: Region, part: Part) -> npt.NDArray[Any]:
    """Compute the cells of `part` of `crop`, without reading the rest of the region.

    Args:
        image: (H, W) or (H, W, C), uint8 or float32.
        region: the square whose grid has GRID cells on a side.
        part: the cells to compute.

    Returns:
        (part.rows, part.columns) or (part.rows, part.columns, C). It differs from `crop` by rounding.
    """
    step, side = 1, region.side  # pixels of the picture for each pixel of the halved picture, and its side
    while side >= 2 * GRID and side % 2 == 0:
        step, side = 2 * step, side // 2
    cell = side / GRID
    first = [int(np.floor((at + 0.5) * cell - 0.5)) - 1 for at in (part.x, part.y)]
    count = [int(np.ceil(number * cell)) + 4 for number in (part.columns, part.rows)]
    x0, y0 = region.x + first[0] * step, region.y + first[1] * step
    inner = _padded(image, (x0, y0, x0 + count[0] * step, y0 + count[1] * step))
    while step > 1:
        inner = cv2.resize(inner, (inner.shape[1] // 2, inner.shape[0] // 2), interpolation=cv2.INTER_AREA)
        step //= 2
    shift = [(at + 0.5) * cell - 0.5 - start for at, start in zip((part.x, part.y), first, strict=True)]
    matrix = np.array([[cell, 0, shift[0]], [0, cell, shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(
        inner, matrix, (part.columns, part.rows), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )


def shrink(image: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[Any]:
    """Resample a picture to (height, width) by repeated halving and a final bilinear step.

    Halving averages 2 x 2 pixels, a fast case in OpenCV. General area resampling costs five times as much.
    """
    while image.shape[0] >= 2 * height and image.shape[1] >= 2 * width:
        rows, columns = image.shape[0] // 2, image.shape[1] // 2
        even = image.shape[0] == 2 * rows and image.shape[1] == 2 * columns
        image = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA if even else cv2.INTER_LINEAR)
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def square(image: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Compute `crop` of the `whole` picture without a padded copy at full size."""
    (top, bottom), (left, right) = content((image.shape[0], image.shape[1]), size)
    small = shrink(image, bottom - top, right - left)
    return cv2.copyMakeBorder(small, top, size - bottom, left, size - right, cv2.BORDER_REPLICATE)


def content(size: tuple[int, int], side: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Find where a picture of (H, W) `size` lies in its `square` of `side` cells.

    Returns:
        (first, last + 1) of the rows, and the same of the columns.
    """
    spans = []
    for extent in size:
        cells = max(1, round(extent * side / max(size)))
        first = (side - cells) // 2
        spans.append((first, first + cells))
    return spans[0], spans[1]
