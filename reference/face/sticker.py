"""A sticker: a picture with transparency on a place of the face.

Its place is told by a landmark and an offset in heights of the face, so that the same sticker lies alike on
any face and on any still.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Float, Image, Landmarks
from reference.errors import EditError
from reference.face.parts import FACE_OVAL, face_size, take

Rgba = npt.NDArray[np.uint8]
Spot = Literal[
    "forehead", "crown", "eyes", "left_eye", "right_eye", "nose", "cheeks", "left_cheek", "right_cheek",
    "moustache", "mouth", "chin",
]  # fmt: skip
SPOTS: tuple[Spot, ...] = get_args(Spot)
SIZES = (0.05, 3.0)  # width of a sticker, face heights
PLACE = {  # limits of a sticker's place: face heights, and degrees
    "size": SIZES,
    "turn_deg": (-180.0, 180.0),
    "right": (-2.0, 2.0),
    "down": (-2.0, 2.0),
}
SIDES = (16, 1024)  # least and largest side of its picture, pixels; larger ones are shrunk
OF_THE_HEAD = ("crown", "eyes")  # spots where a sticker is carried by the head unless told otherwise
_POINTS: dict[Spot, tuple[tuple[int, ...], ...]] = {  # landmarks whose mean is the sticker's middle
    "forehead": ((10, 151, 9),),
    "crown": ((10,),),
    "eyes": ((168,),),
    "left_eye": ((362, 263),),
    "right_eye": ((33, 133),),
    "nose": ((4,),),
    "cheeks": ((50,), (280,)),
    "left_cheek": ((280,),),
    "right_cheek": ((50,),),
    "moustache": ((164,),),
    "mouth": ((13, 14),),
    "chin": ((152, 199),),
}
_RIGHT_EYE, _LEFT_EYE = 33, 263  # outer corners; right is the person's own
_LIGHT_CELLS = 32  # cells across the face on which its light is measured
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sticker:
    """A picture on a place of the face.

    Attributes:
        picture: uint8 (h, w, 4), straight alpha, sides within `SIDES`.
        at: its place, one of `SPOTS`. "cheeks" lays it on both, mirrored; "crown" above the forehead.
        size: its width in heights of the face, within `SIZES`.
        turn_deg: turned by this, clockwise as seen, -180 to 180; 0 stands upright with the head.
        right, down: offset along the head's own axes, as seen, in heights of the face, -2 to 2.

    Raises:
        EditError: a value is not allowed.
    """

    picture: Rgba
    at: Spot = "forehead"
    size: float = 0.4
    turn_deg: float = 0.0
    right: float = 0.0
    down: float = 0.0

    def __post_init__(self) -> None:
        shape = self.picture.shape
        if self.picture.dtype != np.uint8 or len(shape) != 3 or shape[2] != 4:
            raise EditError(f"a sticker's picture must be uint8 (h, w, 4), got {self.picture.dtype} {shape}")
        if min(shape[:2]) < SIDES[0] or max(shape[:2]) > SIDES[1]:
            raise EditError(
                f"a sticker's picture must have sides of {SIDES[0]} to {SIDES[1]} pixels, "
                f"got {shape[1]}x{shape[0]}"
            )
        if self.at not in SPOTS:
            raise EditError(f"at must be one of {', '.join(SPOTS)}, got {self.at!r}")
        for name, limits in PLACE.items():
            _check(name, getattr(self, name), limits)

    def moved(self, **values: object) -> Sticker:
        """Return it with other values of its place; None keeps one.

        Raises:
            EditError: a value is not allowed.
        """
        return replace(self, **{name: v for name, v in values.items() if v is not None})  # type: ignore[arg-type]

    def drawn(self, landmarks: Landmarks) -> Rgba:
        """Draw it upright with the head, uint8 (H, W, 4) of the landmarks' picture, straight alpha."""
        out = np.zeros((*landmarks.image_size, 4), np.float32)
        for number, place in enumerate(self.places(landmarks)):
            one = self.picture[:, ::-1] if number else self.picture
            out = np.maximum(out, _turned(one, place, landmarks.image_size))
        return _straight(out)

    def places(self, landmarks: Landmarks) -> list[Place]:
        """Find its place in a picture, one or, on both cheeks, two."""
        size, roll = face_size(landmarks), head_roll(landmarks)
        across, down = np.array([np.cos(roll), np.sin(roll)]), np.array([-np.sin(roll), np.cos(roll)])
        width = self.size * size
        found = []
        for number, points in enumerate(_POINTS[self.at]):
            side = -1 if number else 1  # the second one is mirrored
            middle = landmarks.points[list(points), :2].mean(axis=0)
            middle = middle + size * (side * self.right * across + self.down * down)
            if self.at == "crown":
                middle = middle - width * self.picture.shape[0] / self.picture.shape[1] / 2 * down
            turn = roll + side * np.radians(self.turn_deg)
            found.append(Place(float(middle[0]), float(middle[1]), width, float(turn)))
        return found

    def depth(self, landmarks: Landmarks) -> float:
        """Depth of its landmarks in a picture, pixels as in `Landmarks`."""
        return float(landmarks.points[[n for points in _POINTS[self.at] for n in points], 2].mean())


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sticker lies in a picture.

    Attributes:
        x, y: its middle, pixels.
        width: pixels.
        turn: turned by this, clockwise as seen, radians.
    """

    x: float
    y: float
    width: float
    turn: float


@dataclass(frozen=True, slots=True, eq=False)
class HeadSticker:
    """A sticker that the head carries as one piece, as it was placed on a still.

    Attributes:
        sticker: the sticker.
        strength: its opacity, [0, 1].
        landmarks: landmarks of the still.
        light: mean luma of the face in the still, levels.
    """

    sticker: Sticker
    strength: float
    landmarks: Landmarks
    light: float

    @classmethod
    def on(cls, sticker: Sticker, strength: float, still: Image, landmarks: Landmarks) -> HeadSticker:
        """Place a sticker on a still, uint8 (H, W, 3)."""
        return cls(sticker, strength, landmarks, face_light(still, landmarks))

    def again(self, still: Image, landmarks: Landmarks) -> HeadSticker:
        """Place the same sticker on another face."""
        return HeadSticker.on(self.sticker, self.strength, still, landmarks)


def sticker_picture(picture: npt.NDArray[np.uint8]) -> Rgba:
    """Make the picture of a sticker: with alpha, and shrunk to the largest side allowed.

    Args:
        picture: uint8 (h, w, 3 or 4).

    Raises:
        EditError: another dtype or shape.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (3, 4):
        raise EditError(
            f"a sticker's picture must be uint8 (h, w, 3 or 4), got {picture.dtype} {picture.shape}"
        )
    if picture.shape[2] == 3:
        picture = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    rows, columns = picture.shape[:2]
    scale = SIDES[1] / max(rows, columns)
    if scale >= 1:
        return picture
    small = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    return _straight(cv2.resize(_premultiplied(picture), small, interpolation=cv2.INTER_AREA))


def laid_over(below: Image, rgba: Rgba, strength: float) -> Image:
    """Lay a picture with straight alpha, uint8 (H, W, 4), over one of the same size, uint8 (H, W, 3)."""
    alpha = rgba[..., 3:].astype(np.float32) * np.float32(strength / 255)
    laid = below.astype(np.float32) + alpha * (rgba[..., :3].astype(np.float32) - below)
    return np.clip(np.rint(laid), 0, 255).astype(np.uint8)


def head_roll(landmarks: Landmarks) -> float:
    """The angle of the line through the eyes, clockwise as seen, radians."""
    eyes = landmarks.points[_LEFT_EYE, :2] - landmarks.points[_RIGHT_EYE, :2]
    return float(np.arctan2(eyes[1], eyes[0]))


def face_light(image: Image, landmarks: Landmarks) -> float:
    """Mean luma of a face in a picture, uint8 (H, W, 3), levels; at least 1. 128 where it is out of view."""
    x0, y0, x1, y1 = (round(v) for v in landmarks.box)
    h, w = image.shape[:2]
    x0, y0, x1, y1 = max(0, x0), max(0, y0), min(w, x1), min(h, y1)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return 128.0
    cells = (_LIGHT_CELLS, _LIGHT_CELLS)
    small = cv2.resize(image[y0:y1, x0:x1], cells, interpolation=cv2.INTER_AREA).astype(np.float32)
    scale = _LIGHT_CELLS / np.array([x1 - x0, y1 - y0], np.float32)
    oval = ((take(landmarks, FACE_OVAL) - (x0, y0)) * scale).astype(np.int32)
    inside = cv2.fillConvexPoly(np.zeros(cells, np.uint8), cv2.convexHull(oval), 1) > 0
    return max(1.0, float((small[inside] @ _LUMA).mean())) if inside.any() else 128.0


def _check(name: str, value: float, limits: tuple[float, float]) -> None:
    unit = "degrees" if name == "turn_deg" else "face heights"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise EditError(f"{name} must be a number of {unit}, got {value!r}")
    if not limits[0] <= value <= limits[1]:
        raise EditError(f"{name} must be {limits[0]:g} to {limits[1]:g} {unit}, got {value:g}")


def _premultiplied(picture: Rgba) -> Float:
    alpha = picture[..., 3:]
    return np.dstack([picture[..., :3] * (alpha / np.float32(255)), alpha]).astype(np.float32)


def _turned(picture: Rgba, place: Place, size: tuple[int, int]) -> Float:
    """Draw a picture at a place. Returns premultiplied RGBA, float32 (H, W, 4), [0, 255]."""
    rows, columns = picture.shape[:2]
    premultiplied = _premultiplied(picture)
    scale = place.width / columns
    if scale < 0.5:  # shrink by areas first, so that fine detail does not flicker
        small = (max(1, round(2 * columns * scale)), max(1, round(2 * rows * scale)))
        premultiplied = cv2.resize(premultiplied, small, interpolation=cv2.INTER_AREA)
        scale = place.width / small[0]
        rows, columns = premultiplied.shape[:2]
    cos, sin = scale * np.cos(place.turn), scale * np.sin(place.turn)
    turn = np.array([[cos, -sin], [sin, cos]])
    offset = np.array([place.x, place.y]) - turn @ np.array([(columns - 1) / 2, (rows - 1) / 2])
    move = np.column_stack([turn, offset])
    return np.asarray(cv2.warpAffine(premultiplied, move, size[::-1], flags=cv2.INTER_LINEAR), np.float32)


def _straight(premultiplied: Float) -> Rgba:
    alpha = premultiplied[..., 3:]
    colour = np.where(alpha > 0, premultiplied[..., :3] * 255 / np.maximum(alpha, 1e-3), 0)
    return np.clip(np.rint(np.dstack([colour, alpha])), 0, 255).astype(np.uint8)
