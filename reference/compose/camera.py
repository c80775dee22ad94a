"""Finds the camera's motion since a picture was taken, by points of the picture's background."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Float, Image
from correspondence.geometry.region import shrink

SIDE = 360  # pictures are shrunk to this before points are followed
POINTS = 160
LEAST = 12  # least number of points that must agree
SHARE = 0.35  # least share of the followed points that must agree
ERROR = 1.0  # pixels of the shrunk picture within which points agree
STILL = 0.12  # motion below which the camera counts as still, pixels of the shrunk picture
WINDOW = (15, 15)  # window of the Lucas-Kanade tracker, pixels

Homography = npt.NDArray[np.float64]  # 3 x 3, frame -> reference, in pixels


class CameraTracker:
    """Tracks the background of one reference through the frames of a stream.

    Points of the reference are tracked by pyramidal Lucas-Kanade from their places in the last frame. A
    homography is fitted to the points that agree. It is exact for a camera that only turns, and for a far
    background. When most points have left the picture, points of a later frame are used.

    Args:
        reference: uint8 (H, W, 3).
        behind: where it shows background, bool (H, W).
    """

    def __init__(self, reference: Image, behind: npt.NDArray[np.bool_]) -> None:
        self._own = _anchor(reference, behind, np.eye(3))
        self._later: _Anchor | None = None
        self._size = (reference.shape[0], reference.shape[1])
        self._last: Homography | None = None  # the last frame's, frame -> reference

    @property
    def blind(self) -> bool:
        """Whether the reference's background has too few points, so that no motion can ever be found."""
        return len(self._own.points) < LEAST

    def __call__(
        self, frame: Image, behind: npt.NDArray[np.bool_] | None = None, half: Image | None = None
    ) -> Homography | None:
        """Finds the homography from the frame's background to the reference's.

        Args:
            frame: uint8 (H, W, 3), of any size.
            behind: where it shows background, bool (H, W); None if that is not known.
            half: the frame at half its size, if it is there already.

        Returns:
            float64 (3, 3), in pixels; None if the motion is not known.
        """
        gray, scale = _shrunk(frame, half)
        still = resized((frame.shape[0], frame.shape[1]), self._size)
        found = None
        for anchor in (self._own, self._later):
            if anchor is None:
                continue
            found = anchor.find(gray, scale, still if self._last is None else self._last)
            if found is not None:
                break
        if found is None:
            self._later = self._last = None  # a cut, or lost track: restart at the reference's places
            return None
        seen, count = _steady(found[0], still, frame.shape[:2], scale), found[1]
        self._last = seen
        if behind is not None and count < 0.5 * len(self._own.points):
            enough = self._later is None or count < 0.5 * len(self._later.points)
            self._later = _anchor(frame, behind, seen) if enough else self._later
        return seen


class _Anchor:
    """A picture with points on its background.

    Args:
        gray: the picture, shrunk, uint8.
        scale: pixels of `gray` per pixel of the picture.
        points: float32 (N, 2), pixels of `gray`.
        motion: homography from the picture at full size to the reference.
    """

    def __init__(self, gray: npt.NDArray[np.uint8], scale: float, points: Float, motion: Homography) -> None:
        self.gray, self.scale, self.points, self.motion = gray, scale, points, motion

    def find(
        self, gray: npt.NDArray[np.uint8], scale: float, last: Homography
    ) -> tuple[Homography, int] | None:
        """Finds the homography frame -> reference and the number of points that agree; None if too few do.

        Args:
            gray: the frame, shrunk by `scale`, uint8.
            scale: pixels of `gray` per pixel of the frame.
            last: the last frame's homography, frame -> reference.
        """
        if len(self.points) < LEAST:
            return None
        there = self.motion @ _sized(1 / self.scale)
        expected = _moved(self.points, np.linalg.inv(last @ _sized(1 / scale)) @ there)
        inside = (expected >= 2).all(axis=1) & (expected < (gray.shape[1] - 2, gray.shape[0] - 2)).all(axis=1)
        if inside.sum() < LEAST:
            return None
        start, guess = self.points[inside], expected[inside]
        at, there_too = _followed(self.gray, gray, start, guess)
        back, here_too = _followed(gray, self.gray, at, start)
        kept = there_too & here_too & (np.abs(back - start).max(axis=1) < 1)
        if kept.sum() < LEAST:
            return None
        cv2.setRNGSeed(1)
        motion, agree = cv2.findHomography(at[kept], start[kept], cv2.RANSAC, ERROR)
        count = 0 if agree is None else int(agree.sum())
        if motion is None or count < max(LEAST, SHARE * kept.sum()):
            return None
        full = self.motion @ _sized(1 / self.scale) @ motion @ _sized(scale)
        return full / full[2, 2], count


def _followed(
    first: npt.NDArray[np.uint8], then: npt.NDArray[np.uint8], points: Float, guess: Float
) -> tuple[Float, npt.NDArray[np.bool_]]:
    """Tracks points (N, 2) from one gray picture to another.

    Returns their places, float32 (N, 2), and which were found, bool (N,).
    """
    flags = cv2.OPTFLOW_USE_INITIAL_FLOW
    at, found, _ = cv2.calcOpticalFlowPyrLK(
        first, then, points, guess.copy(), winSize=WINDOW, maxLevel=3, flags=flags
    )
    return np.asarray(at, np.float32), found[:, 0] > 0


def _anchor(image: Image, behind: npt.NDArray[np.bool_], motion: Homography) -> _Anchor:
    gray, scale = _shrunk(image)
    where = cv2.resize(behind.astype(np.uint8), gray.shape[::-1], interpolation=cv2.INTER_NEAREST)
    where = cv2.erode(where, np.ones((WINDOW[0], WINDOW[1]), np.uint8), borderValue=1)
    points = cv2.goodFeaturesToTrack(gray, POINTS, 0.005, 7, mask=where)
    found = np.empty((0, 2), np.float32) if points is None else points.reshape(-1, 2).astype(np.float32)
    return _Anchor(gray, scale, found, motion)


def _shrunk(image: Image, half: Image | None = None) -> tuple[npt.NDArray[np.uint8], float]:
    scale = min(1.0, SIDE / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = shrink(half if half is not None and scale <= 0.5 else image, size[1], size[0])
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8), scale


def _sized(scale: float) -> Homography:
    """Homography from a picture to itself at `scale` times its size; pixel centres on integers."""
    return np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2], [0, 0, 1.0]])


def _moved(points: Float, motion: Homography) -> Float:
    """Points (N, 2) through a homography, float32 (N, 2)."""
    out = np.column_stack([points, np.ones(len(points))]) @ motion.T
    return np.asarray(out[:, :2] / np.where(np.abs(out[:, 2:]) < 1e-9, 1e-9, out[:, 2:]), np.float32)


def resized(size: tuple[int, int], other: tuple[int, int]) -> Homography:
    """Homography from a picture of `size` (H, W) to itself at size `other`; pixel centres on integers."""
    y, x = other[0] / size[0], other[1] / size[1]
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1.0]])


def _steady(motion: Homography, still: Homography, size: tuple[int, ...], scale: float) -> Homography:
    """Returns `still` if `motion` hardly moves the frame's corners off it, else `motion`.

    It keeps the edit from shimmering before a camera on a stand.
    """
    corners = np.array([(0, 0), (size[1], 0), (0, size[0]), (size[1], size[0])], np.float32)
    return still if np.abs(_moved(corners, motion) - _moved(corners, still)).max() * scale < STILL else motion
