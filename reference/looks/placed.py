"""Pictures laid onto a still as paint: a sticker on a spot of the face, a picture behind the person."""

from __future__ import annotations

from typing import Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Float, Image, Landmarks
from reference.compose.person import person_share
from reference.errors import EditError
from reference.face.parts import face_size

Rgba = npt.NDArray[np.uint8]
Spot = Literal["forehead", "nose", "mouth", "chin", "cheeks", "left_cheek", "right_cheek", "eyes", "head"]
SPOTS: tuple[Spot, ...] = get_args(Spot)
SIZES = (0.05, 3.0)  # width of a sticker, face heights
_POINTS: dict[Spot, tuple[tuple[int, ...], ...]] = {  # landmarks whose mean is the sticker's middle
    "forehead": ((10, 151, 9),),
    "nose": ((4,),),
    "mouth": ((13, 14),),
    "chin": ((152, 199),),
    "cheeks": ((50,), (280,)),
    "left_cheek": ((280,),),
    "right_cheek": ((50,),),
    "eyes": ((168,),),
    "head": ((10,),),
}
_RIGHT_EYE, _LEFT_EYE = 33, 263  # outer corners; right is the person's own


def sticker(
    picture: npt.NDArray[np.uint8], landmarks: Landmarks, spot: Spot = "forehead", size: float = 0.4,
    turn_deg: float = 0.0,
) -> Rgba:  # fmt: skip
    """Lay a picture onto a spot of the face, upright with the head.

    Args:
        picture: uint8 (h, w, 3 or 4); the fourth channel is straight alpha.
        landmarks: landmarks of the still's face.
        spot: its place, one of `SPOTS`. "cheeks" lays it on both, mirrored; "head" above the forehead.
        size: its width in heights of the face, within `SIZES`.
        turn_deg: turned by this, clockwise as seen.

    Returns:
        Paint of the still's size, uint8 (H, W, 4), straight alpha.

    Raises:
        EditError: an unknown spot, or a size outside `SIZES`.
    """
    if spot not in SPOTS:
        raise EditError(f"spot must be one of {', '.join(SPOTS)}, got {spot!r}")
    if not SIZES[0] <= size <= SIZES[1]:
        raise EditError(f"a sticker's size must be {SIZES[0]:g} to {SIZES[1]:g} face heights, got {size:g}")
    h, w = landmarks.image_size
    out = np.zeros((h, w, 4), np.float32)
    eyes = landmarks.points[_LEFT_EYE, :2] - landmarks.points[_RIGHT_EYE, :2]
    roll = float(np.arctan2(eyes[1], eyes[0])) + np.radians(turn_deg)
    width = size * face_size(landmarks)
    for number, points in enumerate(_POINTS[spot]):
        one = picture[:, ::-1] if number else picture
        middle = landmarks.points[list(points), :2].mean(axis=0)
        if spot == "head":
            up = width * picture.shape[0] / picture.shape[1] / 2
            middle = middle + up * np.array([np.sin(roll), -np.cos(roll)])
        out = np.maximum(out, _turned(one, middle, width, roll, (h, w)))
    return _straight(out)


def _turned(
    picture: npt.NDArray[np.uint8], middle: Float, width: float, roll: float, size: tuple[int, int]
) -> Float:
    """Draw a picture with its middle at a point. Returns premultiplied RGBA, float32 (H, W, 4), [0, 255]."""
    rows, columns = picture.shape[:2]
    alpha = picture[..., 3:] if picture.shape[2] == 4 else np.full((rows, columns, 1), 255, np.uint8)
    premultiplied = np.dstack([picture[..., :3] * (alpha / np.float32(255)), alpha]).astype(np.float32)
    scale = width / columns
    if scale < 0.5:  # shrink by areas first, so that fine detail does not flicker
        small = (max(1, round(2 * columns * scale)), max(1, round(2 * rows * scale)))
        premultiplied = cv2.resize(premultiplied, small, interpolation=cv2.INTER_AREA)
        scale = width / small[0]
        rows, columns = premultiplied.shape[:2]
    turn = scale * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    offset = middle - turn @ np.array([(columns - 1) / 2, (rows - 1) / 2])
    move = np.column_stack([turn, offset])
    return np.asarray(cv2.warpAffine(premultiplied, move, size[::-1], flags=cv2.INTER_LINEAR), np.float32)


def _straight(premultiplied: Float) -> Rgba:
    alpha = premultiplied[..., 3:]
    colour = np.where(alpha > 0, premultiplied[..., :3] * 255 / np.maximum(alpha, 1e-3), 0)
    return np.clip(np.rint(np.dstack([colour, alpha])), 0, 255).astype(np.uint8)


def backdrop(picture: npt.NDArray[np.uint8], still: Image) -> Rgba:
    """Lay a picture behind the person of a still. It fills the still and is cropped where the shapes differ.

    Args:
        picture: uint8 (h, w, 3 or 4); transparency is taken as black.
        still: RGB uint8 (H, W, 3).

    Returns:
        Paint of the still's size, uint8 (H, W, 4): opaque behind the person, clear on them.

    Raises:
        EditError: no person was found in the still.
    """
    h, w = still.shape[:2]
    person = person_share(still)
    if float(person.mean()) < 0.01:
        raise EditError("no person was found in the picture, so it is not known what is behind them")
    scale = max(h / picture.shape[0], w / picture.shape[1])
    size = (max(w, round(picture.shape[1] * scale)), max(h, round(picture.shape[0] * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    large = cv2.resize(np.ascontiguousarray(picture[..., :3]), size, interpolation=way)
    x, y = (size[0] - w) // 2, (size[1] - h) // 2
    alpha = np.rint(255 * (1 - person)).astype(np.uint8)
    return np.dstack([large[y : y + h, x : x + w], alpha])
