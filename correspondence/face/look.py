"""What a face looks like, small and upright, to tell one person from another in the same clip."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from correspondence.types import Float, Image, Landmarks

SIDE = 32  # pixels of the small picture
EYES, MOUTH = ((0.3, 0.35), (0.7, 0.35)), (0.5, 0.78)  # their places in it
COLOUR = 30.0  # difference of colour, CIELAB units, that weighs as much as a correlation of 1
LOOK_EVERY_S = 0.5  # a person's look is remembered this often
AWAY = 0.5  # likeness that a picture's width of distance takes off, at first
SAME = 0.0  # likeness from which two looks may be one person's: nine in ten pairs of others stay below


@dataclass(frozen=True, slots=True, eq=False)
class FaceLook:
    """A face brought to a fixed place.

    Attributes:
        lab: CIELAB, float32 (32, 32, 3).
    """

    lab: Float

    @classmethod
    def of(cls, image: Image, landmarks: Landmarks) -> FaceLook:
        """Of a face of a picture, RGB uint8 (H, W, 3)."""
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
        if shrink > 1.3:
            part = cv2.GaussianBlur(part, (0, 0), 0.5 * shrink)
        transform[:, 2] += transform[:, :2] @ (left, top)
        small = cv2.warpAffine(part, transform, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
        return cls(cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32))

    def likeness(self, other: FaceLook) -> float:
        """Correlation of lightness less the difference of colour, about [-2, 1]; the same picture: 1."""
        mine, yours = (look.lab[..., 0] - look.lab[..., 0].mean() for look in (self, other))
        norm = float(np.sqrt((mine * mine).sum() * (yours * yours).sum()))
        correlation = float((mine * yours).sum()) / max(norm, 1e-6)
        return correlation - float(np.abs(self.lab - other.lab).mean()) / COLOUR


class KnownPerson:
    """The person a tracker follows: as the reference shows them, and as they were seen last."""

    def __init__(self, image: Image, face: Landmarks) -> None:
        self._looks = [FaceLook.of(image, face)]
        self._place = _place(face)
        self._met_s: float | None = None

    @property
    def met(self) -> bool:
        """They were seen in this stream."""
        return self._met_s is not None

    def meet(self, image: Image, face: Landmarks, now_s: float) -> None:
        """They are here; remembered as they look now, now and then."""
        if self._met_s is None or not 0 <= now_s - self._met_s < LOOK_EVERY_S:
            self._met_s = now_s
            self._looks = [self._looks[0], FaceLook.of(image, face)]

    def likeness(self, look: FaceLook) -> float:
        """Of a face to them, see `FaceLook.likeness`."""
        return max(known.likeness(look) for known in self._looks)

    def away(self, face: Landmarks) -> float:
        """How far a face lies from where the reference shows them, weighed against likeness."""
        return AWAY * float(np.hypot(*np.subtract(_place(face), self._place)))


def _place(face: Landmarks) -> tuple[float, float]:
    """Middle of a face, shares of the picture's width and height."""
    h, w = face.image_size
    x0, y0, x1, y1 = face.box
    return (x0 + x1) / 2 / w, (y0 + y1) / 2 / h
