"""Rates a frame as reference: its face should be frontal, lit, sharp, large, in the frame, with open eyes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from correspondence import Box, Float, Image, Landmarks, check_image
from reference.face.parts import distance, eye_openings, face_size

FACE_SIDE = 192  # longer side to which a larger face is shrunk to measure its sharpness, pixels
EYES_SHUT, EYES_OPEN = 0.10, 0.30  # lid distance over eye width
GOOD = 0.4  # a part of the score from here on is good enough
SHARP_LOW, SHARP_HIGH = 0.003, 0.1  # variance of the Laplacian over the variance of the luma
QUIET = 60.0  # variance of luma by noise and rounding, which is no detail in a dark face, levels squared
DARK, LIT = 15.0, 75.0  # mean luma of a face, levels
BRIGHT, WHITE = 222.0, 248.0  # the same for a face that is too bright, levels
FAINT, PLAIN = 3.0, 12.0  # standard deviation of a face's luma, levels
BLOCK = 8  # side of the coding blocks of video and JPEG, pixels
EVEN, BLOCKY = 2.0, 4.0  # ratio of luma steps at the blocks' borders to those inside
FULL = 0.9  # share of a clip's usual contrast from which a frame is in no fade
USUAL = (0.55, 0.95)  # share of a clip's usual values at which a frame counts 0, and at which it counts 1


@dataclass(frozen=True, slots=True)
class ReferenceScore:
    """The quality of a frame as reference. All figures but `level` and `contrast` are in [0, 1].

    Attributes:
        total: the product of the parts, each eased so that one middling part does not decide alone.
        frontal, sharp, eyes_open, size, in_frame, lit, clean: the parts. `lit` is low for a face near black,
            near white or without contrast. `clean` is low for a picture coded in visible blocks.
        reason: what lowers the score most, in words for the user; "good" if nothing does much.
        weakness: the same in mild words, also where it lowers the score little; "" for a score of 1.
        level, contrast: mean and standard deviation of the face's luma, levels.
    """

    total: float
    frontal: float
    sharp: float
    eyes_open: float
    size: float
    in_frame: float
    reason: str
    lit: float = 0.0
    clean: float = 0.0
    level: float = 0.0
    contrast: float = 0.0
    weakness: str = ""


_MILD_WORDS = {
    "frontal": "the face is turned a little",
    "sharp": "the picture is a little blurred",
    "eyes_open": "the eyes are not wide open",
    "size": "the face is rather small in the picture",
    "in_frame": "the face is close to the picture's edge",
    "lit": "the light on the face is dim, harsh or flat",
    "clean": "the picture is compressed strongly",
}
_WORDS = {
    "frontal": "the face is turned away",
    "sharp": "the picture is blurred",
    "eyes_open": "the eyes are shut",
    "size": "the face is small",
    "in_frame": "the face is cut off by the frame",
    "lit": "the face is badly lit",
    "clean": "the picture is coded in visible blocks",
}


def reference_score(image: Image, landmarks: Landmarks | None) -> ReferenceScore:
    """Rates a frame as reference.

    Args:
        image: RGB uint8 (H, W, 3).
        landmarks: landmarks of its face; None gives a score of 0.

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
        "lit": 0.0,
        "clean": 0.0,
    }
    level = contrast = 0.0
    if (box := _face_box(landmarks)) is not None:
        luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        level, contrast = _light(luma, box)
        parts["lit"] = _lit(level, contrast)
        parts["clean"] = _clean(luma, box)
    total = float(np.prod([0.1 + 0.9 * value for value in parts.values()]))
    worst = min(parts, key=lambda name: parts[name])
    reason = "good" if parts[worst] >= GOOD else _WORDS[worst]
    weakness = "" if parts[worst] >= 1 else (_WORDS if parts[worst] < GOOD else _MILD_WORDS)[worst]
    return ReferenceScore(total, **parts, reason=reason, level=level, contrast=contrast, weakness=weakness)


def among(scores: Sequence[ReferenceScore]) -> list[float]:
    """Rates a clip's frames relative to the clip's own light, contrast and sharpness.

    A frame in a fade or with motion blur thus rates lower than its neighbours, whatever its own score.

    Args:
        scores: scores of the clip's frames; those without a face have a total of 0.

    Returns:
        One total for each frame, [0, 1], in the same order.
    """
    seen = [score for score in scores if score.total > 0]
    if not seen:
        return [0.0] * len(scores)
    usual = {
        name: max(1e-3, float(np.percentile([getattr(score, name) for score in seen], 75)))
        for name in ("contrast", "sharp")
    }
    plain = [score.level for score in seen if score.contrast >= FULL * usual["contrast"]]
    usual["level"] = max(1e-3, float(np.median(plain)))  # in a fade to white the brightest frames are faded
    return [
        score.total * float(np.prod([_ease(getattr(score, name) / usual[name], *USUAL) for name in usual]))
        for score in scores
    ]


def _face_box(landmarks: Landmarks) -> Box | None:
    """The part of the face's box inside the picture; None if a side of it is shorter than 4 pixels."""
    h, w = landmarks.image_size
    x0, y0, x1, y1 = landmarks.box
    left, top, right, bottom = max(0, int(x0)), max(0, int(y0)), min(w, int(x1) + 1), min(h, int(y1) + 1)
    return None if right - left < 4 or bottom - top < 4 else (left, top, right, bottom)


def _light(luma: Float, box: Box) -> tuple[float, float]:
    """Mean and standard deviation of a face's luma."""
    x0, y0, x1, y1 = box
    face = luma[y0:y1, x0:x1]
    return float(face.mean()), float(face.std())


def _lit(level: float, contrast: float) -> float:
    """Rates the light of a face: 1 if it is neither dark nor white nor without contrast."""
    bright = 1 - _ease(level, BRIGHT, WHITE)
    return _ease(level, DARK, LIT) * bright * _ease(contrast, FAINT, PLAIN)


def _clean(luma: Float, box: Box) -> float:
    """Rates the coding around a face: 1 without visible 8 x 8 blocks, 0 if luma steps at their borders."""
    h, w = luma.shape
    x0, y0, x1, y1 = box
    rim = round(0.5 * max(x1 - x0, y1 - y0))  # around the face too: it may lie in one block
    x0, y0, x1, y1 = max(0, x0 - rim), max(0, y0 - rim), min(w, x1 + rim), min(h, y1 + rim)
    ratios = []
    for axis, start in ((1, x0), (0, y0)):
        steps = np.abs(np.diff(luma[y0:y1, x0:x1], axis=axis)).mean(axis=1 - axis)
        phase = (np.arange(len(steps)) + start + 1) % BLOCK
        border, inner = steps[phase == 0], steps[(phase >= 2) & (phase <= BLOCK - 2)]
        if border.size and inner.size:
            ratios.append(float(border.mean()) / max(float(inner.mean()), 0.3))
    return 1 - _ease(float(np.mean(ratios)), EVEN, BLOCKY) if ratios else 1.0


def eyes_open(landmarks: Landmarks) -> float:
    """Rates how open the eyes are, see `ReferenceScore.eyes_open`: 0 for shut, 1 for wide open."""
    return float(np.mean([_ease(o, EYES_SHUT, EYES_OPEN) for o in eye_openings(landmarks)]))


def _frontal(landmarks: Landmarks) -> float:
    """Rates how frontal a face is: 1 if it looks at the camera, 0 if it is turned by about 45 degrees."""
    nose_right, nose_left = distance(landmarks, 1, 234), distance(landmarks, 1, 454)
    balance = min(nose_right, nose_left) / max(nose_right, nose_left, 1e-3)  # yaw
    up, down = distance(landmarks, 1, 168), distance(landmarks, 1, 152)
    tilt = min(up, 0.65 * down) / max(up, 0.65 * down, 1e-3)  # pitch: nose between root and chin
    roll = landmarks.points[263, :2] - landmarks.points[33, :2]
    level = abs(float(np.degrees(np.arctan2(roll[1], roll[0]))))
    return _ease(balance, 0.2, 1.0) * _ease(tilt, 0.15, 0.75) * (1 - _ease(level, 20, 60))


def _sharp(image: Image, landmarks: Landmarks) -> float:
    """Rates sharpness by the variance of the Laplacian over the contrast (Pech-Pacheco et al. 2000).

    A variance of noise is added to the contrast, so that a face near black does not count as sharp.
    """
    box = _face_box(landmarks)
    if box is None:
        return 0.0
    x0, y0, x1, y1 = box
    face = cv2.cvtColor(np.ascontiguousarray(image[y0:y1, x0:x1]), cv2.COLOR_RGB2GRAY)
    scale = FACE_SIDE / max(face.shape)
    if scale < 1:
        face = cv2.resize(face, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    face = face.astype(np.float32)
    variance = float(face.var())
    if variance < 1:
        return 0.0
    ratio = float(cv2.Laplacian(face, cv2.CV_32F).var()) / (variance + QUIET)
    return _ease(float(np.log(max(ratio, 1e-6))), float(np.log(SHARP_LOW)), float(np.log(SHARP_HIGH)))


def _inside(landmarks: Landmarks) -> float:
    """Rates whether a face lies in the frame: 1 if it does, 0 if a tenth of its landmarks lie outside."""
    h, w = landmarks.image_size
    points = landmarks.points[:468, :2]
    outside = ((points < 0) | (points > (w - 1, h - 1))).any(axis=1).mean()
    return 1 - _ease(float(outside), 0.0, 0.1)


def _ease(value: float, low: float, high: float) -> float:
    t = min(1.0, max(0.0, (value - low) / (high - low)))
    return t * t * (3 - 2 * t)
