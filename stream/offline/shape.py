"""Brings edited pictures to the pixels that a clip stores: their shape, their colours and their place."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from correspondence import Image
from reference import Alignment, align_edited
from reference.edits.placing import seen_at
from stream.colour.spaces import Space
from stream.media.picture_colour import converted_note
from stream.media.pictures import Picture
from stream.media.probe import VideoInfo

SAME_SHAPE = 0.01  # share by which the shapes of two pictures may differ
FITS = 0.8  # converted colours must reduce the difference to the reference to less than this share
LEAST_LEVELS = 1.0  # a smaller difference, levels, is none of colour spaces
BROUGHT = (
    "the clip is stored as {0}x{1} pixels, but shown in another shape. The edited picture had the shape that "
    "is shown, and was resized to {0}x{1}"
)


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


def aligned(reference: Image, picture: Picture, space: Space | None) -> tuple[Alignment, Picture]:
    """Align an edited picture with its reference, in the colour space of the clip.

    Programs without colour management keep the clip's own colours, whatever the file says. Others convert
    them to sRGB and may not say so. If the clip has a space of its own, it is tried which of the two fits.

    Args:
        reference: a frame of the clip, RGB uint8 (H, W, 3).
        picture: read into `space`, or in sRGB.
        space: the clip's colour space; None for sRGB.

    Returns:
        The alignment, and the picture in the clip's space.

    Raises:
        EditError: the picture does not fit the reference.
    """
    found = align_edited(reference, picture.over(reference))
    if space is None:
        return found, picture
    other = replace(picture, image=space.from_srgb(picture.image), note=converted_note("sRGB", space))
    size = (picture.image.shape[0], picture.image.shape[1])
    seen, inside = seen_at(reference, size, found.placement.transform)
    if picture.alpha is not None:
        inside = inside & (picture.alpha == 255)
    if not inside.any():
        return found, picture
    off, left = (
        float(np.median(cv2.absdiff(seen, one.image).mean(axis=2)[inside])) for one in (picture, other)
    )
    if off < LEAST_LEVELS or left > FITS * off:
        return found, picture
    return align_edited(reference, other.over(reference)), other
