"""Small pictures of every preset on the user's own face, in one picture."""

from __future__ import annotations

import contextlib

import cv2
import numpy as np

from correspondence import Image, Landmarks
from reference import EditError, presets

SIDE = 112  # of one preview, pixels
COLUMNS = 6  # previews in a row of the sheet
ROOM = 1.45  # side of a preview in face sizes
QUALITY = 82


def preview_sheet(image: Image, landmarks: Landmarks) -> bytes:
    """Draw every preset on a small picture of the face, in its own colour and strength. This is slow.

    Args:
        image: the reference, RGB uint8 (H, W, 3).
        landmarks: landmarks of its face.

    Returns:
        A JPEG sheet of squares of `SIDE` pixels, `COLUMNS` a row, in the order of `presets.NAMES`.
    """
    face, points = _cut(image, landmarks)
    rows = -(-len(presets.NAMES) // COLUMNS)
    sheet = np.zeros((rows * SIDE, COLUMNS * SIDE, 3), np.uint8)
    for number, name in enumerate(presets.NAMES):
        row, column = divmod(number, COLUMNS)
        place = np.s_[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
        if presets.find(name).hair is None:
            sheet[place] = presets.apply(name, face, points)
            continue
        with contextlib.suppress(EditError):  # hair that cannot be told stays as it is
            sheet[place] = face
            sheet[place] = _cut(presets.apply(name, image, landmarks), landmarks)[0]
    _, data = cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return bytes(data)


def _cut(image: Image, landmarks: Landmarks) -> tuple[Image, Landmarks]:
    """Cut a square around the face, `SIDE` pixels wide; what lies outside the picture repeats its edge."""
    x0, y0, x1, y1 = landmarks.box
    scale = SIDE / (ROOM * max(x1 - x0, y1 - y0))
    middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    offset = (SIDE - 1) / 2 - scale * middle
    move = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
    if scale < 0.5:  # blurred first, so that fine detail does not alias
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.4 / scale), np.uint8)
    face = cv2.warpAffine(image, move, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    points = landmarks.points * np.float32(scale)
    points[:, :2] += offset.astype(np.float32)
    return np.asarray(face, np.uint8), Landmarks(points, (SIDE, SIDE))
