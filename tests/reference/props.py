"""Things to put on a face, drawn through its landmarks: glasses, a hat, a beard, a patch, a scar."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Float, Image, Landmarks
from reference.face.parts import LEFT_EYE, OUTER_LIPS, RIGHT_EYE, face_size, take

Mask = npt.NDArray[np.uint8]
BEARD: tuple[int, ...] = (234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397)
BEARD += (288, 361, 323, 454, 352, 425, 391, 164, 165, 205, 123)


def glasses(image: Image, landmarks: Landmarks, tint: float = 0.0) -> Image:
    """Round dark rims with arms to the temples; `tint` darkens the lenses, [0, 1]."""
    size = face_size(landmarks)
    points = landmarks.points[:, :2]
    across = points[263] - points[33]
    across = across / np.linalg.norm(across)
    turn = float(np.degrees(np.arctan2(across[1], across[0])))
    lens, rim = np.zeros(image.shape[:2], np.uint8), np.zeros(image.shape[:2], np.uint8)
    width = max(2, round(0.028 * size))
    middles = [take(landmarks, eye).mean(axis=0) + (0, 0.03 * size) for eye in (RIGHT_EYE, LEFT_EYE)]
    axes = _fixed(np.array([0.19 * size, 0.14 * size]))
    for middle in middles:
        cv2.ellipse(lens, _fixed(middle), axes, turn, 0, 360, 255, -1, cv2.LINE_AA, 4)
        cv2.ellipse(rim, _fixed(middle), axes, turn, 0, 360, 255, width, cv2.LINE_AA, 4)
    reach = 0.19 * size * across
    right, left = middles
    for start, end in (
        (right + reach, left - reach),
        (right - reach, points[127]),
        (left + reach, points[356]),
    ):
        cv2.line(rim, _fixed(start), _fixed(end), 255, width, cv2.LINE_AA, 4)
    darkened = over(image, np.full_like(image, 25), lens * np.float32(tint / 255))
    return over(darkened, np.full_like(image, 24), (rim / np.float32(255)).astype(np.float32))


def hat(image: Image, landmarks: Landmarks) -> Image:
    """A blue felt hat on the forehead."""
    size, points = face_size(landmarks), landmarks.points[:, :2]
    across = points[356] - points[127]
    across = across / np.linalg.norm(across)
    up = np.array([across[1], -across[0]])
    corners = [(-0.62, 0), (0.62, 0), (0.5, 0.12), (0.42, 0.55), (-0.42, 0.55), (-0.5, 0.12)]
    outline = [points[10] + 0.02 * size * up + size * (x * across + y * up) for x, y in corners]
    felt = np.clip(np.array((40, 60, 120)) + noise(image, 40, 1.5), 0, 255).astype(np.uint8)
    return over(image, felt, _filled(image, np.array(outline)))


def beard(image: Image, landmarks: Landmarks) -> Image:
    """A full dark beard that leaves the lips free."""
    cover = _filled(image, landmarks.points[list(BEARD), :2]) - _filled(image, take(landmarks, OUTER_LIPS))
    soft = cv2.GaussianBlur(np.clip(cover, 0, 1), (0, 0), 0.02 * face_size(landmarks))
    hair = np.clip(np.array((60, 45, 35)) + noise(image, 50, 0.6, 3.0), 0, 255).astype(np.uint8)
    return over(image, hair, np.asarray(0.92 * soft, np.float32))


def eye_patch(image: Image, landmarks: Landmarks) -> Image:
    """A black patch over the right eye, without its strap."""
    size = face_size(landmarks)
    cover = np.zeros(image.shape[:2], np.uint8)
    middle = take(landmarks, RIGHT_EYE).mean(axis=0)
    axes = _fixed(np.array([0.17 * size, 0.14 * size]))
    cv2.ellipse(cover, _fixed(middle), axes, 0, 0, 360, 255, -1, cv2.LINE_AA, 4)
    return over(image, np.full_like(image, 20), (cover / np.float32(255)).astype(np.float32))


def scar(image: Image, landmarks: Landmarks) -> Image:
    """A red line down the cheek."""
    out, points = image.copy(), landmarks.points[:, :2]
    width = max(2, round(0.015 * face_size(landmarks)))
    cv2.line(out, _fixed(points[117]), _fixed(points[187]), (120, 30, 40), width, cv2.LINE_AA, 4)
    return out


def noise(image: Image, level: float, across: float, down: float | None = None) -> Float:
    """Seeded texture, float32 (H, W, 1), levels."""
    drawn = np.random.default_rng(3).normal(0, level, image.shape[:2]).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(drawn, (0, 0), across, sigmaY=down or across)[..., None], np.float32)


def over(image: Image, paint: Image, share: Float) -> Image:
    """A picture under paint, both uint8 (H, W, 3), by its share float32 (H, W)."""
    mixed = image * (1 - share[..., None]) + paint * share[..., None]
    return np.rint(mixed).astype(np.uint8)


def _filled(image: Image, outline: Float) -> Float:
    cover = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(cover, [np.rint(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return np.asarray((cover / np.float32(255)).astype(np.float32), np.float32)


def _fixed(place: Float) -> tuple[int, int]:
    return round(float(place[0]) * 16), round(float(place[1]) * 16)
