"""Hand-made faces and matches, so that composition is tested apart from any matcher."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from correspondence import DETECT, Float, Image, Landmarks, Match, MaybeLandmarks
from reference.face.parts import LEFT_LOWER_LID, LEFT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_UPPER_LID


def shift_match(
    size: tuple[int, int], shift: tuple[float, float], landmarks: Landmarks | None = None, log_b: float = -2.0
) -> Match:
    """A match whose field is the same everywhere: frame(x) is reference(x + shift)."""
    field = np.empty((*size, 2), np.float32)
    field[...] = shift
    return Match.from_field(field, np.full(size, log_b, np.float32), landmarks)


def moved(landmarks: Landmarks, dx: float, dy: float, size: tuple[int, int] | None = None) -> Landmarks:
    """The same face elsewhere."""
    points = landmarks.points + np.array([dx, dy, 0], np.float32)
    return Landmarks(points.astype(np.float32), size or landmarks.image_size)


def scaled_face(landmarks: Landmarks, scale: float, size: tuple[int, int], yaw_deg: float = 0.0) -> Landmarks:
    """The face turned about its vertical axis and scaled, in the middle of a picture of another size."""
    points = landmarks.points - landmarks.points[:468].mean(axis=0)
    c, s = np.cos(np.radians(yaw_deg)), np.sin(np.radians(yaw_deg))
    turned = points @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]).astype(np.float32)
    placed = scale * turned + np.array([size[1] / 2, size[0] / 2, 0])
    return Landmarks(placed.astype(np.float32), size)


def translated(image: Image, dx: int, dy: int) -> Image:
    """The picture moved by whole pixels, border repeated."""
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    size = (image.shape[1], image.shape[0])
    return np.asarray(cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


class FakePrepared:
    """A reference as the fake matcher wants it."""

    def __init__(self, image: Image, landmarks: Landmarks | None) -> None:
        self.image, self.landmarks, self.nbytes = image, landmarks, image.nbytes


class FakeMatcher:
    """Answers with a constant field and records what it was asked."""

    kind = "classical"

    def __init__(self, landmarks: Landmarks | None, shift: tuple[float, float] = (0.0, 0.0)) -> None:
        self.landmarks, self.shift = landmarks, shift
        self.prepared: list[Image] = []
        self.previous: list[Match | None] = []
        self.fails = False

    def prepare(self, image: Image, landmarks: MaybeLandmarks = DETECT) -> FakePrepared:
        self.prepared.append(image)
        return FakePrepared(image, self.landmarks)

    def begin(self, frame: Image, prepared: FakePrepared) -> None:
        pass

    def match(
        self,
        frame: Image,
        prepared: FakePrepared,
        previous: Match | None = None,
        landmarks: MaybeLandmarks = DETECT,
        begun: None = None,
    ) -> Match:
        if self.fails:
            raise RuntimeError("matcher broke")
        self.previous.append(previous)
        seen = landmarks if isinstance(landmarks, Landmarks) else None
        height, width = frame.shape[:2]
        match = shift_match((height, width), self.shift, seen)
        reference_size = (prepared.image.shape[0], prepared.image.shape[1])
        return Match(match.patches, seen, (height, width), reference_size)


class FakeTracker:
    """Sees the given face, or none where `landmarks` is None."""

    def __init__(self, landmarks: Landmarks | None) -> None:
        self.landmarks = landmarks

    def __call__(self, image: Image, now_s: float) -> Landmarks | None:
        return self.landmarks


def paint_square(image: Image, box: tuple[int, int, int, int], colour: tuple[int, int, int]) -> Image:
    """The picture with a filled box (x0, y0, x1, y1)."""
    x0, y0, x1, y1 = box
    painted = image.copy()
    painted[y0:y1, x0:x1] = colour
    return painted


def grown(mask: Float, pixels: int) -> Float:
    """A mask dilated by a square."""
    side = 2 * pixels + 1
    return np.asarray(cv2.dilate(mask, np.ones((side, side), np.uint8)), np.float32)


class MapMatcher(FakeMatcher):
    """Finds every place where it is, as sure as the keyframe's map says."""

    def __init__(self, maps: dict[int, Float]) -> None:
        super().__init__(None)
        self.maps = maps

    def match(
        self, frame: Image, prepared: Any, previous: Any = None, landmarks: Any = None, begun: Any = None
    ) -> Match:
        height, width = frame.shape[:2]
        log_b = self.maps[id(prepared)]
        return Match.from_field(np.zeros((height, width, 2), np.float32), log_b, landmarks)


def shut(face: Landmarks) -> Landmarks:
    """The face with its upper lids on the lower ones."""
    points = face.points.copy()
    points[list(RIGHT_UPPER_LID)] = points[list(RIGHT_LOWER_LID)]
    points[list(LEFT_UPPER_LID)] = points[list(LEFT_LOWER_LID)]
    return Landmarks(points, face.image_size)
