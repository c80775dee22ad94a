"""Outlines of face parts as closed rings of FaceMesh's 478 points, in drawing order.

Left and right are the person's own. The mesh has no contour for brows and nose, so their rings follow mesh
points around them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from correspondence.face import topology

Ring = npt.NDArray[np.int64]


def _ring(numbers: Sequence[int]) -> Ring:
    ring = np.array(numbers, np.int64)
    ring.setflags(write=False)
    return ring


def _back(ring: Sequence[int], start: int = 0) -> Ring:
    """Reverse a ring, starting at one of its points."""
    return _ring([ring[start - n] for n in range(len(ring))])


OVAL = _ring(topology.OVAL)
LIPS_OUTER, LIPS_INNER = _back(topology.LIPS), _back(topology.INNER_LIPS)
RIGHT_EYE, LEFT_EYE = _back(topology.RIGHT_EYE), _ring(topology.LEFT_EYE[8:] + topology.LEFT_EYE[:8])
RIGHT_BROW, LEFT_BROW = _back(topology.RIGHT_BROW, -1), _back(topology.LEFT_BROW, -1)
NOSE = _ring(
    [168, 351, 419, 248, 281, 275, 440, 344, 278, 294, 327, 2, 98, 64, 48, 115, 220, 45, 51, 3, 196, 122]
)
RIGHT_IRIS, LEFT_IRIS = _ring(topology.RIGHT_IRIS[1:]), _ring(topology.LEFT_IRIS[1:])
IRIS_CENTRES = (topology.RIGHT_IRIS[0], topology.LEFT_IRIS[0])
CHIN, FOREHEAD = 152, 10
EXPRESSIVE = {  # parts whose pixels have double weight in the loss (Anchored Diffusion's 1 + lambda)
    "right_eye": RIGHT_EYE,
    "left_eye": LEFT_EYE,
    "mouth": LIPS_OUTER,
}
