"""Joins the compositions of several people of one frame. Where faces overlap, the nearer one wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import cv2
import numpy as np

from correspondence import Box, Float, Image, Landmarks
from reference.compose.blend_weights import union
from reference.face.parts import face_size

SOFT_PX = 5  # width of the soft rim of a face that hides another's paint, pixels, odd


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """One person's composition.

    Attributes:
        image: the frame with this person's edit, uint8 (H, W, 3).
        box: the part (x0, y0, x1, y1) that may differ from the frame; None if nothing differs.
        landmarks: landmarks of the person's face; None if the face is not found.
    """

    image: Image
    box: Box | None
    landmarks: Landmarks | None

    @property
    def size(self) -> float:
        """Size of the face, pixels; 0 if it is not found. The larger of two faces counts as nearer."""
        return 0.0 if self.landmarks is None else face_size(self.landmarks)


def join(frame: Image, people: Sequence[Painted]) -> tuple[Image, Box | None]:
    """Joins the compositions of several people.

    A pixel is painted for one person only. On a face it is that face's person, or a nearer one's; elsewhere
    the nearest person's whose edit reaches it.

    Args:
        frame: uint8 (H, W, 3); never written to.
        people: at least one composition of this frame. The first may also hold the edit's background.

    Returns:
        The joined picture, uint8 (H, W, 3), and the box (x0, y0, x1, y1) that may differ from the frame; None
        if nothing differs, and then the picture is the frame itself.
    """
    first = people[0]
    painted = sorted((one for one in people if one.box is not None), key=lambda one: one.size)
    if not painted:
        return frame, None
    if painted == [first]:
        return first.image, first.box
    out = frame.copy()
    for one in painted:
        assert one.box is not None
        x0, y0, x1, y1 = one.box
        cut = np.s_[y0:y1, x0:x1]
        paint = one.image[cut]
        keep = _outside(_nearer(one, people), one.box)
        if keep is not None:
            free = np.ascontiguousarray(frame[cut])
            paint = cv2.blendLinear(np.ascontiguousarray(paint), free, keep, 1 - keep)
        changed = (paint != frame[cut]).any(axis=2).astype(np.uint8)
        cv2.copyTo(paint, changed, out[cut])
    return out, reduce(union, (one.box for one in painted))


def _nearer(one: Painted, people: Sequence[Painted]) -> list[Landmarks]:
    """Faces nearer than a person's that lie within their box."""
    assert one.box is not None
    x0, y0, x1, y1 = one.box
    out = []
    for other in people:
        if other is one or other.landmarks is None or other.size <= one.size:
            continue
        left, top, right, bottom = other.landmarks.box
        if left < x1 and right > x0 and top < y1 and bottom > y0:
            out.append(other.landmarks)
    return out


def _outside(faces: Sequence[Landmarks], box: Box) -> Float | None:
    """Share of each pixel of a box that lies outside the faces, float32, [0, 1]; None without a face."""
    if not faces:
        return None
    x0, y0, x1, y1 = box
    inside = np.zeros((y1 - y0, x1 - x0), np.uint8)
    for face in faces:
        hull = cv2.convexHull(np.rint(face.points[:468, :2] - (x0, y0)).astype(np.int32))
        cv2.fillConvexPoly(inside, hull, 255)
    soft = cv2.GaussianBlur(inside, (SOFT_PX, SOFT_PX), 0)
    return np.asarray(1 - soft * np.float32(1 / 255), np.float32)
