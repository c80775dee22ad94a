"""Heads in perspective: landmarks as points in space, the head's motion between two frames, turned pictures.

A camera at `CAMERA` face sizes from the reference's face is assumed. FaceMesh's depth is added to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from correspondence import Image, Landmarks
from correspondence.face.mesh import face_reference, landmark_field
from correspondence.geometry.region import whole
from correspondence.geometry.warp import warp_image
from reference.face.parts import face_size
from reference.face.view import RIGID

CAMERA = 5.0  # distance of the camera from the face, face sizes
NECK = 0.35  # distance of the axis of a turn behind the face's middle, face sizes

_Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Eye:
    """A pinhole camera.

    Attributes:
        middle: place of its axis in the picture, float64 (2,), pixels.
        distance: distance of a point of depth 0, which is seen at its own size, pixels.
    """

    middle: _Doubles
    distance: float

    @classmethod
    def of(cls, reference: Landmarks) -> Eye:
        """The camera that took a reference."""
        height, width = reference.image_size
        return cls(np.array([width - 1, height - 1]) / 2, CAMERA * face_size(reference))

    def seen(self, points: _Doubles) -> _Doubles:
        """Project points (N, 3) to the picture, (N, 2)."""
        return self.middle + points[:, :2] * (self.distance / (self.distance + points[:, 2:]))

    def lifted(self, landmarks: Landmarks) -> _Doubles:
        """Place landmarks in space, (478, 3), so that each is seen where it was found."""
        points = np.asarray(landmarks.points, np.float64)
        away = (points[:, :2] - self.middle) * ((self.distance + points[:, 2:]) / self.distance)
        return np.column_stack([away, points[:, 2]])


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """A motion of the head: points p of the reference come to scale * (p - start) @ turn.T + end.

    Attributes:
        turn: rotation, float64 (3, 3).
        scale: change of size by the distance from the camera.
        start, end: a point of the reference and where it comes to, float64 (3,).
    """

    turn: _Doubles
    scale: float
    start: _Doubles
    end: _Doubles

    def moved(self, points: _Doubles) -> _Doubles:
        """Move points of the reference, (N, 3)."""
        return self.scale * (points - self.start) @ self.turn.T + self.end

    @property
    def yaw_deg(self) -> float:
        """Turn about the upright axis, degrees."""
        return float(np.degrees(np.arctan2(self.turn[0, 2], self.turn[2, 2])))


def yaw_about_neck(reference: _Doubles, size: float, yaw_deg: float) -> Pose:
    """Return a turn about the neck's axis.

    Args:
        reference: landmarks in space, float64 (478, 3).
        size: size of the face, pixels.
        yaw_deg: angle, degrees.
    """
    axis = reference[:468].mean(axis=0) + (0, 0, NECK * size)
    c, s = np.cos(np.radians(yaw_deg)), np.sin(np.radians(yaw_deg))
    return Pose(np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]), 1.0, axis, axis)


def fitted(reference: _Doubles, frame: _Doubles, held: Sequence[int]) -> Pose:
    """Fit the motion of the rigid landmarks (Umeyama 1991), so that the mean of some landmarks is met.

    Args:
        reference, frame: landmarks in space, float64 (478, 3).
        held: numbers of the landmarks whose mean is met.
    """
    a, b = (points[list(RIGID)] - points[list(RIGID)].mean(axis=0) for points in (reference, frame))
    u, stretch, vt = np.linalg.svd(b.T @ a)
    sign = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    scale = float((stretch * np.diag(sign)).sum() / (a**2).sum())
    start, end = (points[list(held)].mean(axis=0) for points in (reference, frame))
    return Pose(u @ sign @ vt, scale, start, end)


def moved(landmarks: Landmarks, eye: Eye, pose: Pose) -> Landmarks:
    """Move a face and see it through its camera."""
    points = pose.moved(eye.lifted(landmarks))
    return Landmarks(
        np.column_stack([eye.seen(points), points[:, 2]]).astype(np.float32), landmarks.image_size
    )


def drawn(image: Image, landmarks: Landmarks, there: Landmarks) -> Image:
    """Draw a picture with its face moved, by the mesh. Skin that it does not show is smeared.

    Args:
        image: a square picture, uint8 (S, S, 3).
        landmarks: its landmarks.
        there: where they come to.
    """
    region = whole(landmarks.image_size)
    driven = landmark_field(there, face_reference(landmarks, region, image.shape[0]), region)
    return warp_image(image, driven.field)
