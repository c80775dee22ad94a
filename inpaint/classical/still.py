"""A still portrait warped by landmarks, and the transfer of a driver's motion to its landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from correspondence import Bool, Float, Image, Landmarks, check_image
from correspondence.face.mesh import face_reference, landmark_field
from correspondence.geometry.region import GRID, Region, whole
from inpaint.model.face_parts import LIPS_INNER

MOUTH_RGB = (58, 24, 26)  # guessed colour inside a mouth that is opened wider than the still's
OPENED = 1.4  # ratio of mouth openings from which the mouth counts as opened wider than the still's
LEAST_OPEN = 0.03  # height over width of the inner lips, below which a mouth is closed
UPPER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)  # inner edges, from corner to corner
LOWER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)


def transferred(still: Landmarks, rest: Landmarks, drive: Landmarks) -> Landmarks:
    """Move the still's landmarks by the driver's motion since its rest pose, without the driver's identity.

    p = still + s (drive - rest), where s is the ratio of the faces' sizes. This is relative motion, as
    first-order motion models transfer it.

    Args:
        still: landmarks of the still.
        rest: landmarks of the driver in the frame that looks most like the still.
        drive: landmarks of the driver now.
    """
    scale = np.float32(_size(still) / max(_size(rest), 1e-3))
    return Landmarks(still.points + scale * (drive.points - rest.points), still.image_size)


def _size(landmarks: Landmarks) -> float:
    points = landmarks.points[:468, :2]
    return float(np.linalg.norm(points - points.mean(axis=0), axis=1).mean())


def unlike(still: Landmarks, drive: Landmarks) -> float:
    """Compute how far two faces differ in pose: the mean distance of centred points, in face sizes."""
    a, b = (_centred(lm) for lm in (still, drive))
    return float(np.linalg.norm(a - b, axis=1).mean())


def _centred(landmarks: Landmarks) -> Float:
    points = landmarks.points[:468] - landmarks.points[:468].mean(axis=0)
    return np.asarray(points / max(_size(landmarks), 1e-3), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """A still that was warped to landmarks.

    Attributes:
        image: the warped picture, uint8 (H, W, 3).
        unsure: uncertainty, float32 (H, W) in [0, 1]. It is 1 where the still is not known to show the pixel.
    """

    image: Image
    unsure: Float


class Still:
    """A still portrait that can be warped to other landmarks of its face.

    Args:
        image: the still, uint8 (H, W, 3).
        landmarks: landmarks of its face.
    """

    def __init__(self, image: Image, landmarks: Landmarks) -> None:
        self.image, self.landmarks = image, landmarks
        self._size = check_image(image)
        self._region: Region = whole(self._size)
        self._face = face_reference(landmarks, self._region, GRID)
        self._mouth = mouth_opening(landmarks)

    def moved(self, target: Landmarks) -> Moved:
        """Warp the still so that its face is at `target`. Parts far from the face do not move."""
        h, w = self._size
        found = landmark_field(target, self._face, self._region)
        box = self._region.box
        cells = np.float32(self._region.side / GRID)
        field = self._full(found.field * cells, box)
        inside = self._full(found.inside.astype(np.float32), box)
        validity = self._full(found.validity, box)
        y, x = np.mgrid[:h, :w].astype(np.float32)
        at = np.stack([x + field[..., 0], y + field[..., 1]], axis=-1)
        unsure = np.clip(inside * (1 - validity), 0, 1)
        wider = mouth_opening(target) / max(self._mouth, LEAST_OPEN)
        dark = None
        if wider > OPENED:
            hole = _mouth_hole(target, (h, w))
            dark = self._unstretched(at, hole > 0, wider)
            unsure = np.maximum(unsure, hole)
        picture = cv2.remap(self.image, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        if dark is not None:
            shade = cv2.GaussianBlur(dark, (0, 0), max(0.8, 0.003 * max(h, w)))[..., None]
            picture = np.rint(picture + shade * (np.array(MOUTH_RGB, np.float32) - picture))
        return Moved(np.asarray(picture, np.uint8), np.asarray(unsure, np.float32))

    def _unstretched(self, at: Float, hole: Bool, wider: float) -> Float:
        """Keep the still's mouth interior at its height below the upper lip, instead of stretching it.

        Args:
            at: place where each pixel is sampled, float32 (H, W, 2). It is changed inside the hole.
            hole: True inside the target's lips, bool (H, W).
            wider: ratio of the target's mouth opening to the still's.

        Returns:
            How far each pixel lies below the part that the still shows, float32 (H, W), [0, 1].
        """
        points = self.landmarks.points[:, :2]
        corner, other = points[78], points[308]
        along = (other - corner) / max(float(np.linalg.norm(other - corner)), 1e-3)
        down = np.array([-along[1], along[0]], np.float32)
        upper, lower = (
            (points[list(edge)] - corner) @ np.stack([along, down], axis=1) for edge in (UPPER_LIP, LOWER_LIP)
        )
        local = (at[hole] - corner) @ np.stack([along, down], axis=1)
        top = np.interp(local[:, 0], upper[:, 0], upper[:, 1])
        height = np.maximum(np.interp(local[:, 0], lower[:, 0], lower[:, 1]) - top, 0.5)
        depth = (local[:, 1] - top) / height * wider
        place = top + np.clip(depth, 0, 1) * height
        at[hole] = corner + local[:, :1] * along + place[:, None].astype(np.float32) * down
        below = np.zeros(hole.shape, np.float32)
        closed = 1.0 if self._mouth < LEAST_OPEN else 0.0
        below[hole] = np.maximum(np.clip((depth - 0.75) / 0.35, 0, 1), closed)
        return below

    def _full(self, cells: Float, box: tuple[int, int, int, int]) -> Float:
        """Resize values on the grid to the picture's size."""
        h, w = self._size
        side = self._region.side
        large = cv2.resize(cells, (side, side), interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(large[-box[1] : h - box[1], -box[0] : w - box[0]], np.float32)


def mouth_opening(landmarks: Landmarks) -> float:
    """Compute the ratio of the inner lips' height to their width."""
    points = landmarks.points[:, :2]
    height = float(np.linalg.norm(points[13] - points[14]))
    return height / max(float(np.linalg.norm(points[78] - points[308])), 1e-3)


def _mouth_hole(target: Landmarks, size: tuple[int, int]) -> Float:
    """Draw the mask of the inner lips, float32 (H, W), 1 inside."""
    ring = np.rint(target.points[LIPS_INNER, :2] * 16).astype(np.int32)
    hole = np.zeros(size, np.float32)
    cv2.fillPoly(hole, [ring], 1.0, lineType=cv2.LINE_8, shift=4)
    return hole
