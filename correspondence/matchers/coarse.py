"""The whole frame's field on a coarse grid: what lies beyond the region, and a candidate inside it."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from dataclasses import dataclass

import cv2
import numpy as np

from correspondence.certainty.uncertainty import shipped_judge
from correspondence.geometry.flow import Gray, appearance, contrast, dis_flow, sample, unlike
from correspondence.geometry.grid import Float, pixel_grid, resize_field
from correspondence.geometry.region import Region, content, shrink, square, whole
from correspondence.types import Image, Patch

SEEN = 256  # cells on a side of the square around the whole picture that flow is computed on
CELLS = 128  # cells on a side of the field: DIS stops at half resolution
SMOOTH = 5  # iterations of variational refinement
MOVING_PRICE = 1.0  # gray levels by which flow must explain the frame better than standing still
WIDE, AROUND = 63, 4.0  # what a wide window says (coarser cells) counts this much beside a cell's own: flat
# cells cannot tell, and go with the scene around them
LEAST_BAND = 64  # cells of the grid that flow is computed on, at least, along each axis


@dataclass(frozen=True, slots=True, eq=False)
class CoarseReference:
    """The reference's side of the coarse field.

    Attributes:
        gray: uint8 (SEEN, SEEN), the whole picture's square.
        look: uint8 (CELLS, CELLS, 4), its `flow.appearance`.
        size: (H, W) of the picture, pixels.
    """

    gray: Gray
    look: Image
    size: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Memory it holds, bytes."""
        return self.gray.nbytes + self.look.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class CoarseField:
    """The whole frame's field.

    Attributes:
        flow: float32 (CELLS, CELLS, 2), cells, of the frame's square to the reference's.
        patch: the field in pixels with its log_b, standing still where that explains the frame better.
        reference: the square that `flow` leads into.
        frame: the square that it comes from.
    """

    flow: Float
    patch: Patch
    frame: Region
    reference: Region

    def on(self, region: Region, there: Region, size: int) -> Float:
        """The flow as a field between two regions' grids: float32 (size, size, 2), cells."""
        step = region.side / size * CELLS / self.frame.side  # coarse cells a cell of the region
        x0 = (region.x + 0.5 * region.side / size - self.frame.x) * CELLS / self.frame.side - 0.5
        y0 = (region.y + 0.5 * region.side / size - self.frame.y) * CELLS / self.frame.side - 0.5
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        matrix = np.array([[step, 0, x0], [0, step, y0]])
        flow = cv2.warpAffine(self.flow, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        dx, dy = cv2.split(flow)
        at = np.arange(size, dtype=np.float32)
        line = np.column_stack([at, at])
        cell = self.reference.side / CELLS  # pixels of the reference
        ratio = self.reference.side / self.frame.side
        pixels = (region.to_pixels(line, size) - (np.array([self.frame.x, self.frame.y]) - 0.5)) * ratio
        pixels += np.array([self.reference.x, self.reference.y]) - 0.5
        shift = there.to_grid(pixels.astype(np.float32), size) - line
        scale = np.float32(cell * size / there.side)
        return np.asarray(cv2.merge([dx * scale + shift[:, 0], dy * scale + shift[:, 1, None]]), np.float32)


class Begun:
    """A match that was begun before the frame's landmarks are known: its `CoarseField`, under way.

    Args:
        frame: uint8 (H, W, 3).
        reference: of the keyframe it will be matched with.
        pool: whose thread computes it.
    """

    def __init__(self, frame: Image, reference: CoarseReference, pool: Executor) -> None:
        self._of = frame, reference
        self._field: Future[CoarseField] = pool.submit(coarse_field, frame, reference)

    def check(self, frame: Image, reference: CoarseReference) -> None:
        """Raises ValueError where it was begun for another frame or keyframe."""
        if self._of[0] is not frame or self._of[1] is not reference:
            raise ValueError("the match was begun for another frame or keyframe: hand each to its own match")

    def field(self) -> CoarseField:
        """The field, waited for."""
        return self._field.result()


def coarse_reference(image: Image) -> CoarseReference:
    """Make a reference ready; see `CoarseReference`."""
    inner = square(image, SEEN)
    return CoarseReference(_gray(inner), _look(inner), (image.shape[0], image.shape[1]))


def coarse_field(frame: Image, reference: CoarseReference) -> CoarseField:
    """Flow between the whole pictures, and where it is believed: see `CoarseField`."""
    here, there = whole((frame.shape[0], frame.shape[1])), whole(reference.size)
    flow, weight, features = weighed_flow(frame, reference)
    values = np.dstack([flow * weight[..., None], shipped_judge("coarse")(features)]).astype(np.float32)
    return CoarseField(flow, grid_patch(values, here, there, feather=0), here, there)


def weighed_flow(frame: Image, reference: CoarseReference) -> tuple[Float, Float, list[Float]]:
    """Flow between the whole pictures, how far it is believed, and what a `Judge` weighs of that.

    Returns:
        float32 (CELLS, CELLS, 2), cells; float32 (CELLS, CELLS), [0, 1], 0 where standing still explains the
        frame better; features, each float32 (CELLS, CELLS).
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


def grid_patch(values: Float, region: Region, reference: Region, feather: float) -> Patch:
    """A patch from (dx, dy, log_b) in cells: the field between two regions' grids becomes one in pixels.

    Args:
        values: float32 (N, N, 3).
        region: the frame's.
        reference: the reference's; its cells are what `values` counts in.
        feather: width of the fading rim, pixels.
    """
    size = values.shape[0]
    at = np.arange(size, dtype=np.float32)
    line = np.column_stack([at, at])
    shift = reference.to_pixels(line, size) - region.to_pixels(line, size)
    cell = np.float32(reference.side / size)
    dx, dy, log_b = cv2.split(values)
    planes = [dx * cell + shift[:, 0], dy * cell + shift[:, 1, None], log_b + np.log(cell)]
    return Patch(np.asarray(cv2.merge(planes), np.float32), region.box, feather)


def _gray(image: Image) -> Gray:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def _look(image: Image) -> Image:
    return appearance(shrink(image, CELLS, CELLS))


def _band(size: tuple[int, int], other: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the grid where one of two pictures of (H, W) lies; the rest repeats its border."""
    out = []
    for a, b in zip(content(size, SEEN), content(other, SEEN), strict=True):
        first, last = min(a[0], b[0]), max(a[1], b[1])
        short = max(0, LEAST_BAND - (last - first))
        first = max(0, min(first - short // 2, SEEN - LEAST_BAND))
        out.append(slice(first, max(last, first + LEAST_BAND)))
    return out[0], out[1]


def _spread(values: Float, band: tuple[slice, slice]) -> Float:
    """Values on a band of the grid brought to all of it, the border repeating."""
    rows, columns = band
    sides = rows.start, SEEN - rows.stop, columns.start, SEEN - columns.stop
    return np.asarray(cv2.copyMakeBorder(values, *sides, cv2.BORDER_REPLICATE), np.float32)
