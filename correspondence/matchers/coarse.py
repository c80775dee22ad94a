"""The field of the whole frame on a coarse grid. It serves beyond the region and as a candidate inside it."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from dataclasses import dataclass

import cv2
import numpy as np

from correspondence.certainty.uncertainty import shipped_judge
from correspondence.geometry.flow import Gray, appearance, contrast, dis_flow, sample, unlike
from correspondence.geometry.grid import Float, pixel_grid, resize_field, times
from correspondence.geometry.region import GRID, Part, Region, content, shrink, square, whole
from correspondence.types import Image, Patch

SEEN = 256  # cells on a side of the square around the whole picture on which flow is computed
CELLS = 128  # cells on a side of the field, since DIS stops at half resolution
SMOOTH = 5  # iterations of variational refinement
MOVING_PRICE = 1.0  # gray levels by which flow must explain the frame better than standing still
# The gain of flow over standing still is averaged over a window of WIDE cells. The average is added to the
# cell's own gain with weight AROUND, so that cells without texture follow the scene around them.
WIDE, AROUND = 63, 4.0
LEAST_BAND = 64  # smallest number of cells along each axis on which flow is computed


@dataclass(frozen=True, slots=True, eq=False)
class CoarseReference:
    """A reference prepared for the coarse field.

    Attributes:
        gray: luma of the square around the whole picture, uint8 (SEEN, SEEN).
        look: `flow.appearance` of that square, uint8 (CELLS, CELLS, 4).
        size: (H, W) of the picture, pixels.
    """

    gray: Gray
    look: Image
    size: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Memory that this object holds, bytes."""
        return self.gray.nbytes + self.look.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class CoarseField:
    """The field of the whole frame.

    Attributes:
        flow: the flow from the frame's square to the reference's, float32 (CELLS, CELLS, 2), cells.
        patch: the field in pixels with its log_b. It stands still where that explains the frame better.
        frame: the square of the frame, where `flow` starts.
        reference: the square of the reference, into which `flow` leads.
    """

    flow: Float
    patch: Patch
    frame: Region
    reference: Region

    def on(self, region: Region, there: Region, size: int, part: Part | None = None) -> Float:
        """Convert the flow to a field between the grids of two regions, float32 (h, w, 2), cells.

        Args:
            region: the region of the frame.
            there: the region of the reference.
            size: cells on a side of both grids.
            part: the cells of the frame's grid to compute; all when None.
        """
        part = part or Part(0, 0, size, size)
        step = region.side / size * CELLS / self.frame.side  # coarse cells a cell of the region
        x0 = (region.x + 0.5 * region.side / size - self.frame.x) * CELLS / self.frame.side - 0.5
        y0 = (region.y + 0.5 * region.side / size - self.frame.y) * CELLS / self.frame.side - 0.5
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        matrix = np.array([[step, 0, x0 + step * part.x], [0, step, y0 + step * part.y]])
        shape = part.columns, part.rows
        flow = cv2.warpAffine(self.flow, matrix, shape, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        dx, dy = cv2.split(flow)
        at = np.arange(size, dtype=np.float32)
        line = np.column_stack([at, at])
        cell = self.reference.side / CELLS  # pixels of the reference
        ratio = self.reference.side / self.frame.side
        pixels = (region.to_pixels(line, size) - (np.array([self.frame.x, self.frame.y]) - 0.5)) * ratio
        pixels += np.array([self.reference.x, self.reference.y]) - 0.5
        shift = there.to_grid(pixels.astype(np.float32), size) - line
        scale = np.float32(cell * size / there.side)
        rows, columns = part.cells
        dx, dy = dx * scale + shift[columns, 0], dy * scale + shift[rows, 1, None]
        return np.asarray(cv2.merge([dx, dy]), np.float32)


class Begun:
    """A match that was started before the frame's landmarks are known. It computes the `CoarseField`.

    Args:
        frame: the frame, uint8 (H, W, 3).
        reference: the prepared reference that the frame will be matched with.
        pool: the executor that computes the field.
    """

    def __init__(self, frame: Image, reference: CoarseReference, pool: Executor) -> None:
        self._of = frame, reference
        self._field: Future[CoarseField] = pool.submit(coarse_field, frame, reference)

    def check(self, frame: Image, reference: CoarseReference) -> None:
        """Check that this match was started for the given frame and reference.

        Raises:
            ValueError: it was started for another frame or reference.
        """
        if self._of[0] is not frame or self._of[1] is not reference:
            raise ValueError("the match was begun for another frame or keyframe: hand each to its own match")

    def field(self) -> CoarseField:
        """Wait for the field and return it."""
        return self._field.result()


def coarse_reference(image: Image) -> CoarseReference:
    """Prepare a reference picture for the coarse field."""
    inner = square(image, SEEN)
    return CoarseReference(_gray(inner), _look(inner), (image.shape[0], image.shape[1]))


def coarse_field(frame: Image, reference: CoarseReference) -> CoarseField:
    """Compute the field of the whole frame; see `CoarseField`."""
    here, there = whole((frame.shape[0], frame.shape[1])), whole(reference.size)
    flow, weight, features = weighed_flow(frame, reference)
    log_b = shipped_judge("coarse")(features)
    values = np.asarray(cv2.merge([*cv2.split(times(flow, weight)), log_b]), np.float32)
    return CoarseField(flow, grid_patch(values, here, there, feather=0), here, there)


def weighed_flow(frame: Image, reference: CoarseReference) -> tuple[Float, Float, list[Float]]:
    """Compute flow between the whole pictures, its weight, and features for a `Judge`.

    Returns:
        The flow, float32 (CELLS, CELLS, 2), cells; its weight, float32 (CELLS, CELLS), [0, 1], which is 0
        where standing still explains the frame better; the features, each float32 (CELLS, CELLS).
    """
    inner = square(frame, SEEN)
    band = _band((frame.shape[0], frame.shape[1]), reference.size)
    seen, known = (np.ascontiguousarray(gray[band]) for gray in (_gray(inner), reference.gray))
    fine = _spread(dis_flow(seen, known, smooth=SMOOTH), band)
    flow = resize_field(fine, (CELLS, CELLS))
    a, b = _look(inner), reference.look
    moved = cv2.blur(unlike(a, sample(b, pixel_grid(CELLS, CELLS) + flow)), (5, 5)) + MOVING_PRICE
    stood = cv2.blur(unlike(a, b), (5, 5))
    gain = stood - moved
    gain += AROUND * cv2.blur(gain, (WIDE, WIDE))
    weight = cv2.GaussianBlur(1 / (1 + np.exp(np.clip(-gain, -20, 20))), (0, 0), 1.5)
    length = cv2.magnitude(flow[..., 0], flow[..., 1]) * weight
    residual, texture = np.log(cv2.min(moved, stood) + 1), np.log(contrast(a) + 1)
    apart, motion = np.log(length * (1 - weight) + np.float32(0.05)), np.log(length + np.float32(0.1))
    around = [cv2.blur(values, (15, 15)) for values in (residual, texture, motion)]
    return flow, weight, [residual, apart, texture, motion, *around]


def grid_patch(
    values: Float, region: Region, reference: Region, feather: float, part: Part | None = None
) -> Patch:
    """Convert a field between the grids of two regions to a patch in pixels.

    Args:
        values: (dx, dy, log_b), float32 (N, N, 3), in cells of the reference's grid.
        region: the region of the frame.
        reference: the region of the reference.
        feather: width of the fading rim, pixels.
        part: the cells of the frame's grid of GRID cells that `values` hold, float32 (h, w, 3). It begins and
            ends at whole pixels. None for the whole grid, of any size.
    """
    size = values.shape[0] if part is None else GRID
    part = part or Part(0, 0, size, size)
    at = np.arange(size, dtype=np.float32)
    line = np.column_stack([at, at])
    shift = reference.to_pixels(line, size) - region.to_pixels(line, size)
    cell = np.float32(reference.side / size)
    rows, columns = part.cells
    dx, dy, log_b = cv2.split(values)
    planes = [dx * cell + shift[columns, 0], dy * cell + shift[rows, 1, None], log_b + np.log(cell)]
    return Patch(np.asarray(cv2.merge(planes), np.float32), region.pixels_of(part, size), feather)


def _gray(image: Image) -> Gray:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def _look(image: Image) -> Image:
    return appearance(shrink(image, CELLS, CELLS))


def _band(size: tuple[int, int], other: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the grid that at least one of two pictures of given (H, W) covers.

    Beyond them the grid only repeats border pixels.
    """
    out = []
    for a, b in zip(content(size, SEEN), content(other, SEEN), strict=True):
        first, last = min(a[0], b[0]), max(a[1], b[1])
        short = max(0, LEAST_BAND - (last - first))
        first = max(0, min(first - short // 2, SEEN - LEAST_BAND))
        out.append(slice(first, max(last, first + LEAST_BAND)))
    return out[0], out[1]


def _spread(values: Float, band: tuple[slice, slice]) -> Float:
    """Extend values on a band of the grid to the whole grid by repeating the border."""
    rows, columns = band
    sides = rows.start, SEEN - rows.stop, columns.start, SEEN - columns.stop
    return np.asarray(cv2.copyMakeBorder(values, *sides, cv2.BORDER_REPLICATE), np.float32)
