"""The fixed triangles of MediaPipe's FaceMesh, derived once from its list of edges.

All triangles have the same winding, and triangles that close the mouth and the eyes are added.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int32]

# Closed rings by landmark number (MediaPipe's). Right and left are the person's own.
LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
RIGHT_EYE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
LEFT_EYE = (362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382)
RIGHT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
LEFT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
_OVAL_LEFT = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377)
_OVAL_RIGHT = (152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
OVAL = (*_OVAL_LEFT, *_OVAL_RIGHT)  # the mesh's outline, from the forehead's middle
RIGHT_IRIS, LEFT_IRIS = (468, 469, 470, 471, 472), (473, 474, 475, 476, 477)  # centre, then the rim
RIGID = (6, 168, 197, 195, 5, 10, 67, 297, 103, 332, 127, 356, 234, 454, 33, 263, 133, 362, 9, 151)


@dataclass(frozen=True, slots=True, eq=False)
class Topology:
    """Triangles of the closed mesh.

    Attributes:
        triangles: vertex numbers below 468, int32 (T, 3). A triangle seen from the front has positive signed
            area in pixels (x right, y down).
        skin: number of skin triangles, which come first. The others close the mouth and the eyes.
    """

    triangles: Indices
    skin: int


_lent: list[Topology] = []  # at most one


def lend(mesh: Topology) -> None:
    """Set the mesh that `topology` returns if MediaPipe is not installed.

    A training cache stores the mesh for machines without MediaPipe.
    """
    _lent[:] = [mesh]


@lru_cache(maxsize=1)
def topology() -> Topology:
    """Return the closed mesh: 852 skin triangles, then the triangles over mouth and eyes.

    The skin triangles are the 3-cycles of FaceMesh's tesselation, without two cycles at the nostrils. Each
    edge of these two already belongs to two triangles, so they are no faces of the mesh.
    """
    try:
        from mediapipe.tasks.python.vision import FaceLandmarksConnections
    except ImportError:
        if not _lent:
            raise
        return _lent[0]
    edges = FaceLandmarksConnections.FACE_LANDMARKS_TESSELATION
    skin = _faces({frozenset((edge.start, edge.end)) for edge in edges})
    closing = [triangle for ring in (INNER_LIPS, RIGHT_EYE, LEFT_EYE) for triangle in _strip(ring)]
    triangles = _wind(skin + closing)
    return Topology(np.array(triangles, np.int32), len(skin))


def _faces(edges: set[frozenset[int]]) -> list[tuple[int, int, int]]:
    """Find the triangles of a surface from its edges, in sorted order."""
    near: dict[int, set[int]] = defaultdict(set)
    for a, b in map(tuple, edges):
        near[a].add(b)
        near[b].add(a)
    cycles = sorted({tuple(sorted((a, b, c))) for a, b in map(tuple, edges) for c in near[a] & near[b]})
    uses: dict[tuple[int, int], int] = defaultdict(int)
    for a, b, c in cycles:
        for edge in ((a, b), (b, c), (a, c)):
            uses[edge] += 1
    return [(a, b, c) for a, b, c in cycles if min(uses[a, b], uses[b, c], uses[a, c]) < 3]


def _strip(ring: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Make triangles that close a hole. Its ring runs from a corner along one border, back on the other."""
    half = len(ring) // 2
    start, upper, stop, lower = ring[0], ring[1:half], ring[half], ring[:half:-1]
    triangles = [(start, upper[0], lower[0])]
    for i in range(len(upper) - 1):
        triangles.append((upper[i], upper[i + 1], lower[i]))
        triangles.append((upper[i + 1], lower[i + 1], lower[i]))
    triangles.append((upper[-1], stop, lower[-1]))
    return triangles


def _wind(triangles: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Give all triangles the same winding, with the edge of the forehead's outline running from 10 to 338.

    Seen from the front, this edge runs to the right along the top, with the face below it. This is the
    positive direction of rotation if y points down.
    """
    users: dict[frozenset[int], list[int]] = defaultdict(list)
    for index, (a, b, c) in enumerate(triangles):
        for edge in ((a, b), (b, c), (c, a)):
            users[frozenset(edge)].append(index)
    first = users[frozenset((10, 338))][0]
    wound = {first: _with_edge(triangles[first], 10, 338)}
    queue = deque([first])
    while queue:
        a, b, c = wound[index := queue.popleft()]
        for tail, head in ((a, b), (b, c), (c, a)):
            for other in users[frozenset((tail, head))]:
                if other not in wound and other != index:
                    wound[other] = _with_edge(triangles[other], head, tail)
                    queue.append(other)
    return [wound[index] for index in range(len(triangles))]


def _with_edge(triangle: tuple[int, int, int], tail: int, head: int) -> tuple[int, int, int]:
    """Reorder a triangle so that it runs from `tail` to `head`."""
    third = next(vertex for vertex in triangle if vertex not in (tail, head))
    return tail, head, third
