"""Small upright pictures of faces, to tell people in the same clip apart."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from correspondence.types import Float, Image, Landmarks

SIDE = 32  # side of the small picture, pixels
EYES, MOUTH = ((0.3, 0.35), (0.7, 0.35)), (0.5, 0.78)  # their places in it, shares of its side
COLOUR = 30.0  # difference of colour, CIELAB units, that weighs as much as a correlation of 1
LOOK_EVERY_S = 0.5  # interval at which a person's look is stored, seconds
AWAY = 0.5  # likeness lost for each picture width of distance, until the person was met
BLOCKS = 4  # least number of blocks of a large face for each pixel of the small picture, along a side
SAME = 0.0  # likeness from which two looks may be one person; nine in ten pairs of other people stay below


@dataclass(frozen=True, slots=True, eq=False)
class FaceLook:
    """A small picture of a face with eyes and mouth at fixed places.

    Attributes:
        lab: the picture in CIELAB, float32 (32, 32, 3).
    """

    lab: Float

    @classmethod
    def of(cls, image: Image, landmarks: Landmarks) -> FaceLook:
        """Cut the look of a face out of a picture.

        Args:
            image: RGB uint8 (H, W, 3).
            landmarks: landmarks of the face.
        """
        points = landmarks.points[:, :2]
        eyes = [points[list(pair)].mean(axis=0) for pair in ((33, 133), (263, 362))]
        mouth = points[[61, 291]].mean(axis=0)
        places = np.array([*eyes, mouth], np.float32)
        wanted = np.array([*EYES, MOUTH], np.float32) * SIDE
        transform = cv2.getAffineTransform(places, wanted)
        shrink = float(np.linalg.norm(eyes[1] - eyes[0])) / (SIDE * (EYES[1][0] - EYES[0][0]))
        x0, y0, x1, y1 = (int(v) for v in landmarks.box)
        h, w = image.shape[:2]
        left, top = max(0, x0 - 8), max(0, y0 - 8)
        part = image[top : min(h, y1 + 8), left : min(w, x1 + 8)]
        if min(part.shape[:2]) < 2:
            return cls(np.zeros((SIDE, SIDE, 3), np.float32))
        step = max(1, int(shrink / BLOCKS))
        transform[:, 2] += transform[:, :2] @ (left, top)
        if step > 1:  # means over blocks first, since a wide blur of all pixels takes ten times as long
            rows, columns = part.shape[0] // step, part.shape[1] // step
            part = cv2.resize(
                part[: rows * step, : columns * step], (columns, rows), interpolation=cv2.INTER_AREA
            )
            transform[:, 2] += transform[:, :2].sum(axis=1) * ((step - 1) / 2)
            transform[:, :2] *= step
        if shrink > 1.3:
            part = cv2.GaussianBlur(part, (0, 0), 0.5 * shrink / step)
        small = cv2.warpAffine(part, transform, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
        return cls(cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32))

    def likeness(self, other: FaceLook) -> float:
        """Compute the correlation of lightness minus the difference of colour, about [-2, 1].

        The likeness of a picture with itself is 1.
        """
        mine, yours = (look.lab[..., 0] - look.lab[..., 0].mean() for look in (self, other))
        norm = float(np.sqrt((mine * mine).sum() * (yours * yours).sum()))
        correlation = float((mine * yours).sum()) / max(norm, 1e-6)
        return correlation - float(np.abs(self.lab - other.lab).mean()) / COLOUR


class KnownPerson:
    """The person that a tracker follows, with their look in the reference and their last look.

    Args:
        image: the reference, RGB uint8 (H, W, 3).
        face: landmarks of the person in it.
    """

    def __init__(self, image: Image, face: Landmarks) -> None:
        self._looks = [FaceLook.of(image, face)]
        self._place = _place(face)
        self._met_s: float | None = None

    @property
    def met(self) -> bool:
        """Whether the person was seen in this stream."""
        return self._met_s is not None

    def meet(self, image: Image, face: Landmarks, now_s: float) -> None:
        """Tell that the person is seen in a frame. Their look is stored every LOOK_EVERY_S seconds.

        Args:
            image: the frame, RGB uint8 (H, W, 3).
            face: landmarks of the person in it.
            now_s: time of the frame, seconds.
        """
        if self._met_s is None or not 0 <= now_s - self._met_s < LOOK_EVERY_S:
            self._met_s = now_s
            self._looks = [self._looks[0], FaceLook.of(image, face)]

    def likeness(self, look: FaceLook) -> float:
        """Compute the likeness of a face to the person; see `FaceLook.likeness`."""
        return max(known.likeness(look) for known in self._looks)

    def away(self, face: Landmarks) -> float:
        """Compute the likeness that a face loses by its distance from the person's place in the reference."""
        return AWAY * float(np.hypot(*np.subtract(_place(face), self._place)))


def _place(face: Landmarks) -> tuple[float, float]:
    """Compute the centre of a face, in shares of the picture's width and height."""
    h, w = face.image_size
    x0, y0, x1, y1 = face.box
    return (x0 + x1) / 2 / w, (y0 + y1) / 2 / h
