"""Takes the flow of the frame before again, where a machine has no time to compute that of each frame.

What flow found beside the landmarks is kept with the frame's face. On the next frame the landmark field is
computed anew, and the rest is moved with the head. A frame that takes over says so, and the one after it
computes flow again, so that no error grows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from correspondence.face.mesh import similarity
from correspondence.face.topology import RIGID
from correspondence.geometry.grid import Float
from correspondence.geometry.region import GRID, Part, Region
from correspondence.types import Landmarks, Match, Prepared

# How far a match gives way (`thin`): 0 not at all; from FINEST on a window is matched without the finest pass
# of flow; from SHARED on two frames share one flow.
FINEST, SHARED = 1, 2
WHOLE = Part(0, 0, GRID, GRID)


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """What was found on a window of a frame, for windows of later frames. It moves as the head does.

    Attributes:
        values: displacements, float32 (h, w, C), cells of the reference's grid; further planes may follow.
            They lie on a grid of the window whose cell is a whole number of the region's cells.
        region: the region of that frame.
        here: the window on the region's grid.
        landmarks: landmarks of that frame.
    """

    values: Float
    region: Region
    here: Part
    landmarks: Landmarks

    def on(self, region: Region, here: Part, landmarks: Landmarks) -> Float:
        """Move the displacements to the window of a later frame. Beyond their own, its border is repeated.

        Args:
            region: the later frame's region.
            here: its window.
            landmarks: its landmarks.

        Returns:
            float32 (h, w, C), cells, on a grid of the later window with the same number of cells in one.
        """
        step = self.here.columns // self.values.shape[1]
        rigid = list(RIGID)
        head = similarity(landmarks.points[rigid, :2], self.landmarks.points[rigid, :2])
        cell, first = _cells(region, here, step)
        cell_then, first_then = _cells(self.region, self.here, step)
        matrix = head * (cell / cell_then)
        matrix[:, 2] = (head[:, :2] @ first + head[:, 2] - first_then) / cell_then
        size = (here.columns // step, here.rows // step)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(self.values, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(moved, np.float32)


def _cells(region: Region, here: Part, step: int) -> tuple[float, npt.NDArray[np.float64]]:
    """Side of cells of a window's grid, and the centre of its first one, float64 (2,), pixels.

    `step` is the number of the region's cells on a side of one.
    """
    cell = region.side * step / GRID
    first = (here.x / step * cell + region.x, here.y / step * cell + region.y)
    return cell, np.array(first) + (0.5 * cell - 0.5)


@dataclass(frozen=True, slots=True, eq=False)
class Beside:
    """A field as it lay beside the landmark field of its frame.

    Attributes:
        values: the field with its log_b, float32 (h, w, 3), cells between the grids of the regions.
        face: the landmark field, float32 (h, w, 2), cells between these grids.
        region: the frame's region.
        here: the window on its grid.
        landmarks: the frame's landmarks.
    """

    values: Float
    face: Float
    region: Region
    here: Part
    landmarks: Landmarks

    def on(self, region: Region, here: Part, landmarks: Landmarks, face: Float) -> Float:
        """The field of a later frame, float32 (h, w, 3), as `values`: what lay beside the landmarks, moved.

        Args:
            region: the later frame's region.
            here: its window.
            landmarks: its landmarks.
            face: its landmark field, as `Beside.face`.
        """
        apart = self.values.copy()
        apart[..., :2] -= self.face
        moved = Carried(apart, self.region, self.here, self.landmarks).on(region, here, landmarks)
        moved[..., :2] += face
        return moved


@dataclass(frozen=True, eq=False)
class FlowMatch(Match):
    """A match whose flow a later frame can take over.

    Attributes:
        prepared: the reference.
        beside: the field of the frame whose flow was computed.
        shared: whether this frame took over the flow of the one before.
    """

    prepared: Prepared
    beside: Beside
    shared: bool = field(default=False, kw_only=True)


def takes_over(previous: Match | None, prepared: Prepared, thin: int) -> bool:
    """Tell whether the frame after `previous` takes over its flow.

    Args:
        previous: the match of the last frame; None without one.
        prepared: the reference of the next match.
        thin: how far that match gives way.
    """
    if thin < SHARED or not isinstance(previous, FlowMatch):
        return False
    return previous.prepared is prepared and not previous.shared


def taken_over(
    previous: Match | None, prepared: Prepared, size: tuple[int, int], thin: int
) -> FlowMatch | None:
    """Return the last match if it is of a whole region and a frame of (H, W) `size` takes over its flow."""
    if not isinstance(previous, FlowMatch) or not takes_over(previous, prepared, thin):
        return None
    return previous if previous.beside.here == WHOLE and previous.frame_size == size else None
