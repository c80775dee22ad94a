"""How well a frame would serve as reference: frontal, sharp, eyes open, large enough, inside the frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from correspondence import Image, Landmarks, check_image
from reference.face.parts import distance, eye_openings, face_size

FACE_SIDE = 192  # a larger face is shrunk to this before its sharpness is measured, pixels
EYES_SHUT, EYES_OPEN = 0.10, 0.30  # lid distance over eye width
GOOD = 0.4  # a part at least this high is not complained about
SHARP_LOW, SHARP_HIGH = 0.003, 0.1  # variance of the Laplacian over the variance of the luma


@dataclass(frozen=True, slots=True)
class ReferenceScore:
    """A frame's worth as reference; every figure in [0, 1].

    Attributes:
        total: the product of the others, each eased so that one middling figure does not decide alone.
        frontal, sharp, eyes_open, size, in_frame: its parts.
        reason: what lowers it most, in words; "good" where nothing does.
    """

    total: float
    frontal: float
    sharp: float
    eyes_open: float
    size: float
    in_frame: float
    reason: str


_WORDS = {
    "frontal": "the face is turned away",
    "sharp": "the picture is blurred",
    "eyes_open": "the eyes are shut",
    "size": "the face is small",
    "in_frame": "the face is cut off by the frame",
}


def reference_score(image: Image, landmarks: Landmarks | None) -> ReferenceScore:
    """Rate a frame as reference.

    Args:
        image: RGB uint8 (H, W, 3).
        landmarks: of its face; None gives 0 and says so.

    Raises:
        ValueError: a picture of another dtype or shape, or landmarks of another picture size.
    """
    size = check_image(image)
    if landmarks is None:
        return ReferenceScore(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, "no face found")
    if landmarks.image_size != size:
        raise ValueError(f"landmarks are of a picture {landmarks.image_size}, got one of {size}")
    parts = {
        "frontal": _frontal(landmarks),
        "sharp": _sharp(image, landmarks),
        "eyes_open": eyes_open(landmarks),
        "size": _ease(face_size(landmarks) / min(size), 0.05, 0.35),
        "in_frame": _inside(landmarks),
    }
    total = float(np.prod([0.1 + 0.9 * value for value in parts.values()]))
    worst = min(parts, key=lambda name: parts[name])
    reason = "good" if parts[worst] >= GOOD else _WORDS[worst]
    return ReferenceScore(total, **parts, reason=reason)


def eyes_open(landmarks: Landmarks) -> float:
    """How open the eyes are, `ReferenceScore.eyes_open`: 0 shut, 1 wide."""
    return float(np.mean([_ease(o, EYES_SHUT, EYES_OPEN) for o in eye_openings(landmarks)]))


def _frontal(landmarks: Landmarks) -> float:
    """1 for a face looking at the camera, 0 for one turned by some 45 degrees, from left-right balance."""
    nose_right, nose_left = distance(landmarks, 1, 234), distance(landmarks, 1, 454)
    balance = min(nose_right, nose_left) / max(nose_right, nose_left, 1e-3)  # yaw
    up, down = distance(landmarks, 1, 168), distance(landmarks, 1, 152)
    tilt = min(up, 0.65 * down) / max(up, 0.65 * down, 1e-3)  # pitch: nose between root and chin
    roll = landmarks.points[263, :2] - landmarks.points[33, :2]
    level = abs(float(np.degrees(np.arctan2(roll[1], roll[0]))))
    return _ease(balance, 0.2, 1.0) * _ease(tilt, 0.15, 0.75) * (1 - _ease(level, 20, 60))


def _sharp(image: Image, landmarks: Landmarks) -> float:
    """Variance of the Laplacian of the face at a fixed size, over its contrast (Pech-Pacheco et al. 2000)."""
    h, w = image.shape[:2]
    x0, y0, x1, y1 = landmarks.box
    left, top = max(0, int(x0)), max(0, int(y0))
    right, bottom = min(w, int(x1) + 1), min(h, int(y1) + 1)
    if right - left < 4 or bottom - top < 4:
        return 0.0
    face = cv2.cvtColor(np.ascontiguousarray(image[top:bottom, left:right]), cv2.COLOR_RGB2GRAY)
    scale = FACE_SIDE / max(face.shape)
    if scale < 1:
        face = cv2.resize(face, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    face = face.astype(np.float32)
    variance = float(face.var())
    if variance < 1:
        return 0.0
    ratio = float(cv2.Laplacian(face, cv2.CV_32F).var()) / variance
    return _ease(float(np.log(max(ratio, 1e-6))), float(np.log(SHARP_LOW)), float(np.log(SHARP_HIGH)))


def _inside(landmarks: Landmarks) -> float:
    """1 where the face keeps off the frame's border, 0 where a tenth of its landmarks lie outside."""
    h, w = landmarks.image_size
    points = landmarks.points[:468, :2]
    outside = ((points < 0) | (points > (w - 1, h - 1))).any(axis=1).mean()
    return 1 - _ease(float(outside), 0.0, 0.1)


def _ease(value: float, low: float, high: float) -> float:
    t = min(1.0, max(0.0, (value - low) / (high - low)))
    return t * t * (3 - 2 * t)
