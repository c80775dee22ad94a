"""Parts of the face by FaceMesh landmark number, and the openings of mouth and eyes."""

from __future__ import annotations

from math import hypot

from correspondence import Float, Landmarks
from correspondence.face import topology

INNER_LIPS, OUTER_LIPS, FACE_OVAL = topology.INNER_LIPS, topology.LIPS, topology.OVAL
# Right and left are the person's own: the right eye is on the left of the picture. Lids run from the outer
# corner to the inner one, brows are an upper and a lower edge, outer end first.
RIGHT_EYE = topology.RIGHT_EYE
LEFT_EYE = (*topology.LEFT_EYE[8::-1], *topology.LEFT_EYE[:8:-1])
RIGHT_UPPER_LID, RIGHT_LOWER_LID = RIGHT_EYE[:9], (RIGHT_EYE[0], *RIGHT_EYE[:7:-1])
LEFT_UPPER_LID, LEFT_LOWER_LID = LEFT_EYE[:9], (LEFT_EYE[0], *LEFT_EYE[:7:-1])
RIGHT_BROW = (topology.RIGHT_BROW[:5], topology.RIGHT_BROW[:4:-1])
LEFT_BROW = (topology.LEFT_BROW[:5], topology.LEFT_BROW[:4:-1])
# Lid creases between eye and brow, outer end first.
RIGHT_CREASE = (226, 247, 30, 29, 27, 28, 56, 190, 243)
LEFT_CREASE = (446, 467, 260, 259, 257, 258, 286, 414, 463)


def take(landmarks: Landmarks, numbers: tuple[int, ...]) -> Float:
    """x and y of the numbered landmarks, float32 (N, 2), pixels."""
    return landmarks.points[list(numbers), :2]


def distance(landmarks: Landmarks, a: int, b: int) -> float:
    """Distance between landmarks number a and b in the picture, pixels."""
    (ax, ay, _), (bx, by, _) = landmarks.points[a].tolist(), landmarks.points[b].tolist()
    return hypot(ax - bx, ay - by)  # numpy takes ten times as long for a single pair


def lip_gap(landmarks: Landmarks) -> float:
    """Opening of the mouth: height of the inner lips over their width, >= 0."""
    return distance(landmarks, 13, 14) / max(distance(landmarks, 78, 308), 1e-3)


def eye_openings(landmarks: Landmarks) -> tuple[float, float]:
    """Opening of the right and the left eye: lid distance over eye width, >= 0 (about 0.3 when open)."""
    right = distance(landmarks, 159, 145) / max(distance(landmarks, 33, 133), 1e-3)
    left = distance(landmarks, 386, 374) / max(distance(landmarks, 263, 362), 1e-3)
    return right, left


def face_size(landmarks: Landmarks) -> float:
    """The longer side of the face's box, pixels."""
    x0, y0, x1, y1 = landmarks.box
    return max(x1 - x0, y1 - y0)
