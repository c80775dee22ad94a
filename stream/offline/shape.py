"""Brings edited pictures of clips without square pixels from the shape shown to the shape stored."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from stream.media.pictures import Picture
from stream.media.probe import VideoInfo

SAME_SHAPE = 0.01  # share by which the shapes of two pictures may differ
BROUGHT = "the edited picture has the shape the clip is shown in: it is brought to the {}x{} pixels stored"


def as_stored(picture: Picture, info: VideoInfo) -> Picture:
    """Resize a picture from the shape that a clip is shown in to the shape that it stores.

    Pictures of another shape are returned unchanged.
    """
    h, w = picture.image.shape[:2]
    height, width = info.size
    aspect = float(1 / info.aspect if info.orientation.transpose else info.aspect)
    off_shown, off_stored = (abs(np.log(w * height / (h * width * shape))) for shape in (aspect, 1.0))
    if off_shown > SAME_SHAPE or off_stored <= off_shown:
        return picture
    size = (width, height)
    alpha = None if picture.alpha is None else cv2.resize(picture.alpha, size, interpolation=cv2.INTER_AREA)
    image = cv2.resize(picture.image, size, interpolation=cv2.INTER_AREA)
    alpha = None if alpha is None else np.asarray(alpha, np.uint8)
    return replace(picture, image=np.asarray(image, np.uint8), alpha=alpha)
