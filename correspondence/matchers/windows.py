"""Windows of a frame that alone are matched, because an edit can land only there.

A window is a part of the grid of the frame's region. It goes with a part of the reference's grid of the same
size. The flow of the whole frame is not computed in every frame then. What it found is kept as its difference
from the landmark field, and moved with the head (`Carried`).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from correspondence.face.mesh import LandmarkField, affine, similarity
from correspondence.face.topology import RIGID
from correspondence.geometry.grid import Float
from correspondence.geometry.region import GRID, Part, Region
from correspondence.matchers.choice import CHOICE, EVIDENCE
from correspondence.matchers.reuse import Carried, FlowMatch
from correspondence.types import Box, Landmarks, Match, Patch, Prepared

EVERY = 8  # frames between two flows of the whole frame
MARGIN = 8  # margin of a new window around what is needed, cells
LEAST_MARGIN = 4  # least margin of a window that is kept, cells
STEP = 2 * EVIDENCE  # windows begin and end at multiples of this, cells
LEAST_SIDE = 64  # least side of a window, cells, since flow begins on a coarser scale
MOST = 0.75  # largest share of the grid that a window may take; beyond it the whole region is matched
SIDE_STEP = 32  # a region's side is a multiple of this, so that windows begin at whole pixels
RIM = 0.1  # width of the rim that fades, in sides of the face
FACE_CELLS = 8  # cells on a side of the patch of the face
_EIGHTHS = (np.arange(FACE_CELLS) + 0.5) / FACE_CELLS  # centres of its cells, shares of its side


def beyond_landmarks(flow: Float, face: LandmarkField) -> Float:
    """Subtract a window's landmark field from its flow, float32 (H, W, 2): float32 (h, w, 2), choice grid."""
    size = flow.shape[1] // CHOICE, flow.shape[0] // CHOICE
    return np.asarray(cv2.resize(flow - face.field, size, interpolation=cv2.INTER_AREA), np.float32)


@dataclass(frozen=True, eq=False)
class WindowMatch(FlowMatch):
    """A match that is sure in a window only.

    Beyond the window the face has the affine motion of its landmarks. The rest has the field of the last
    frame that was matched as a whole.

    Attributes:
        region: the frame's region.
        here: the window on its grid.
        scene: how the flow of the last whole frame differed from its landmark field.
        bias: the correction of the landmarks' error in this frame.
        age: number of frames since the whole frame was matched.
    """

    region: Region
    here: Part
    scene: Carried
    bias: Carried
    age: int


def last_of(previous: Match | None, prepared: Prepared) -> WindowMatch | None:
    """Return the last match if it is one of a window and of the same reference."""
    if isinstance(previous, WindowMatch) and previous.prepared is prepared:
        return previous
    return None


def is_due(previous: Match | None, prepared: Prepared) -> bool:
    """Tell whether the flow of the whole frame is due in the frame after `previous`."""
    last = last_of(previous, prepared)
    return last is None or last.age + 1 >= EVERY


def even(region: Region) -> Region | None:
    """Shrink a region so that windows on its grid begin at whole pixels. None if it is too small for that."""
    side = region.side // SIDE_STEP * SIDE_STEP
    if side < 4 * SIDE_STEP:
        return None
    cut = (region.side - side) // 2
    return Region(region.x + cut, region.y + cut, side)


def choose_parts(
    box: Box, region: Region, frame: Landmarks, reference: Float, last: Part | None
) -> tuple[Part, Part] | None:
    """Choose the window of a frame and that of the reference, of one size.

    The last window is kept while it holds the box with LEAST_MARGIN and is not much too large.

    Args:
        box: what is needed, (x0, y0, x1, y1), pixels of the frame.
        region: the frame's region, a result of `even`.
        frame: landmarks of the frame.
        reference: landmarks of the reference, float32 (478, 2), cells of its grid.
        last: the last window on the same region; None without one.

    Returns:
        The windows on the grids of frame and reference. None if the box leaves the region, or if a window
        would save little.
    """
    x0, y0, x1, y1 = box
    corners = region.to_grid(np.array([(x0, y0), (x1, y0), (x0, y1), (x1, y1)], np.float32) - np.float32(0.5))
    low, high = corners.min(axis=0) + 0.5, corners.max(axis=0) + 0.5
    if low.min() < 0 or high.max() > GRID:
        return None
    rigid = list(RIGID)
    head = similarity(region.to_grid(frame.points[rigid, :2]), reference[rigid])
    there = corners @ head[:, :2].T + head[:, 2]
    extent = np.maximum(high - low, np.ptp(there, axis=0))
    shift = there.mean(axis=0) - corners.mean(axis=0)
    columns, rows = (min(GRID, max(LEAST_SIDE, _rounded(e + 2 * MARGIN))) for e in extent)
    middle = (low + high) / 2
    x, y = (_first(m - n / 2, n) for m, n in zip(middle, (columns, rows), strict=True))
    here = Part(x, y, columns, rows)
    if last is not None and last.columns * last.rows <= 1.5 * columns * rows:
        least = np.maximum((extent - (high - low)) / 2, 0) + LEAST_MARGIN
        first, end = np.maximum(low - least, 0), np.minimum(high + least, GRID)
        inner = Part(int(first[0]), int(first[1]), int(end[0] - first[0]), int(end[1] - first[1]))
        here = last if last.holds(inner) else here
    if here.columns * here.rows > MOST * GRID * GRID:
        return None
    x, y = (_first(a + s, n) for a, s, n in zip((here.x, here.y), shift, here.shape[::-1], strict=True))
    return here, Part(x, y, here.columns, here.rows)


def _rounded(cells: float) -> int:
    return -(-int(np.ceil(cells)) // STEP) * STEP


def _first(at: float, count: int) -> int:
    """Round the first cell of a window, so that the window lies inside the grid."""
    return min(max(0, round(float(at) / STEP) * STEP), GRID - count)


def face_patch(frame: Landmarks, reference: Landmarks) -> Patch:
    """Compute the affine motion of a face's landmarks as a patch over the face.

    Its log_b comes from the mean distance of the landmarks from that motion.
    """
    source, target = frame.points[:468, :2], reference.points[:468, :2]
    motion = affine(source, target)
    off = float(np.abs(source @ motion[:, :2].T + motion[:, 2] - target).mean())
    x0, y0, x1, y1 = frame.box
    rim = int(np.ceil(RIM * max(x1 - x0, y1 - y0))) + 1
    box = (int(x0) - rim, int(y0) - rim, int(x1) + 1 + rim, int(y1) + 1 + rim)
    x, y = ((_EIGHTHS * (end - start)) + (start - 0.5) for start, end in ((box[0], box[2]), (box[1], box[3])))
    values = np.empty((FACE_CELLS, FACE_CELLS, 3), np.float32)
    for axis, own in ((0, x), (1, y[:, None])):
        a, b, shift = motion[axis]
        values[..., axis] = a * x + b * y[:, None] + (shift - own)
    values[..., 2] = np.log(max(off, 0.5))
    return Patch(values, box, float(rim))
