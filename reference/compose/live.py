"""Keeps the mouth interior and the eyeballs live, because the reference shows them at another opening.

If lips are apart in the reference and meet in a frame, the unedited gap between them shrinks to a visible
line. The paint of both lips is therefore continued over the gap of a mouth that was not edited inside
(`gap_between_lips`). Where the lips meet, it closes the line. Where they are apart, the mouth stays live
anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from correspondence import Box, Float, Image, Landmarks
from reference.compose.whole.lines import in_look
from reference.edits.edit import Edit
from reference.face.parts import INNER_LIPS, LEFT_EYE, RIGHT_EYE, eye_openings, lip_gap, take

SUBPIXEL_BITS = 4
Areas = list[tuple[Box, Float]]  # boxes of a frame, each with its live share float32 (h, w) in [0, 1]
TOUCHED = 0.3  # share of an opening that the edit must cover on the reference to count as editing its inside
LEAST = 0.04  # openness below which an opening has no inside to keep live
LEAST_BARE = 0.02  # the same for a mouth that was not edited inside, where paint would lie on the teeth


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening of the face, mouth or eye, as the reference shows it.

    Attributes:
        numbers: landmark numbers of its outline.
        openness: its opening in the reference, as `lip_gap` or `eye_openings` give it.
        edited: whether the edit covers its inside in the reference.
        least: openness below which there is no inside to keep live.
        tolerance: relative change of openness up to which an edited inside is shown.
    """

    numbers: tuple[int, ...]
    openness: float
    edited: bool
    least: float
    tolerance: float


def openings(edit: Edit, landmarks: Landmarks | None) -> tuple[Opening, Opening, Opening] | None:
    """Finds the mouth, the right and the left eye of the edit's reference; None without landmarks."""
    if landmarks is None:
        return None
    right, left = eye_openings(landmarks)
    mouth_edited = _inside_edited(edit, landmarks, INNER_LIPS)
    least = LEAST if mouth_edited else LEAST_BARE
    return (
        Opening(INNER_LIPS, lip_gap(landmarks), mouth_edited, least, 0.25),
        Opening(RIGHT_EYE, right, _inside_edited(edit, landmarks, RIGHT_EYE), LEAST, 0.25),
        Opening(LEFT_EYE, left, _inside_edited(edit, landmarks, LEFT_EYE), LEAST, 0.25),
    )


def gap_between_lips(
    places: tuple[Opening, Opening, Opening] | None, landmarks: Landmarks | None
) -> Image | None:
    """Finds the inside of an open mouth of the reference that the edit left alone.

    Args:
        places: `openings` of the edit.
        landmarks: landmarks of its reference.

    Returns:
        uint8 (H, W), 255 between the lips; None if the mouth is shut or edited inside.
    """
    if places is None or landmarks is None:
        return None
    mouth = places[0]
    if mouth.edited or mouth.openness < 2 * mouth.least:
        return None
    between = np.zeros(landmarks.image_size, np.uint8)
    corners = np.rint(take(landmarks, mouth.numbers) * 16).astype(np.int32)
    cv2.fillPoly(between, [corners], 255, shift=SUBPIXEL_BITS)
    return between


def _inside_edited(edit: Edit, landmarks: Landmarks, numbers: tuple[int, ...]) -> bool:
    """Whether the edit covers the middle of an opening in the reference, away from its rim."""
    outline = take(landmarks, numbers)
    middle = outline.mean(axis=0)
    shrunk = middle + 0.6 * (outline - middle)
    h, w = edit.mask.shape
    x0, y0 = np.clip(np.floor(shrunk.min(axis=0)).astype(int) - 1, 0, (w - 1, h - 1)).tolist()
    x1, y1 = np.clip(np.ceil(shrunk.max(axis=0)).astype(int) + 2, 1, (w, h)).tolist()
    inside = np.zeros((max(1, y1 - y0), max(1, x1 - x0)), np.uint8)
    corners = np.rint((shrunk - (x0, y0)) * 16).astype(np.int32)
    cv2.fillPoly(inside, [corners], 1, shift=SUBPIXEL_BITS)
    area = int(inside.sum())
    there = np.s_[y0 : y0 + inside.shape[0], x0 : x0 + inside.shape[1]]
    changed = edit.visible[there] & (edit.mask[there] > 0)  # without the mask's rim
    return area > 0 and int((changed & (inside > 0)).sum()) / area >= TOUCHED


def live_share(opening: Opening, openness: float) -> float:
    """Share of the live picture that stays inside an opening, [0, 1].

    It is 0 for a shut opening and 1 for an open one that was not edited inside. For an opening that was
    edited inside, it rises with the difference between its openness and that of the reference.

    Args:
        opening: the opening in the reference.
        openness: its openness in the frame.
    """
    there = _ramp(openness, opening.least, 2 * opening.least)
    if not opening.edited:
        return there
    differs = abs(openness - opening.openness) / max(opening.openness, opening.least)
    return there * _ramp(differs, opening.tolerance, 2 * opening.tolerance)


def live_areas(
    places: tuple[Opening, Opening, Opening] | None, landmarks: Landmarks | None, size: tuple[int, int]
) -> Areas:
    """Finds where a frame stays live.

    Args:
        places: `openings` of the edit.
        landmarks: landmarks of the frame.
        size: (H, W) of the frame.

    Returns:
        Boxes (x0, y0, x1, y1), each with its live share, float32 (h, w) in [0, 1].
    """
    if places is None or landmarks is None:
        return []
    opened = (lip_gap(landmarks), *eye_openings(landmarks))
    areas = []
    for place, openness in zip(places, opened, strict=True):
        share = live_share(place, openness)
        if share > 0.01:
            area = _area(take(landmarks, place.numbers), share, size)
            if area is not None:
                areas.append(area)
    return areas


def keep_live(image: Image, frame: Image, box: Box, areas: Areas, edit: Edit) -> None:
    """Restores a frame's mouth interior and eyeballs, in place.

    Args:
        image: the composed frame, uint8 (H, W, 3).
        frame: uint8 (H, W, 3).
        box: the part of the frame that was composed, (x0, y0, x1, y1), pixels.
        areas: the result of `live_areas`.
        edit: the edit; a look of the whole picture gives the restored pixels its colours and lines.
    """
    for (x0, y0, x1, y1), share in areas:
        if x1 <= box[0] or x0 >= box[2] or y1 <= box[1] or y0 >= box[3]:
            continue
        live = np.ascontiguousarray(frame[y0:y1, x0:x1])
        if edit.stand_in is not None:
            live = in_look(edit, live, large=False)
        part = np.ascontiguousarray(image[y0:y1, x0:x1])
        image[y0:y1, x0:x1] = cv2.blendLinear(live, part, share, 1 - share)


def _area(
    outline: Float, share: float, size: tuple[int, int]
) -> tuple[tuple[int, int, int, int], Float] | None:
    low = np.floor(outline.min(axis=0)).astype(int) - 2
    high = np.ceil(outline.max(axis=0)).astype(int) + 3
    x0, y0 = max(0, int(low[0])), max(0, int(low[1]))
    x1, y1 = min(size[1], int(high[0])), min(size[0], int(high[1]))
    if x0 >= x1 or y0 >= y1:
        return None
    drawn = np.zeros((y1 - y0, x1 - x0), np.uint8)
    corners = np.rint((outline - (x0, y0)) * 16).astype(np.int32)
    cv2.fillPoly(drawn, [corners], round(255 * share), cv2.LINE_AA, SUBPIXEL_BITS)
    soft = cv2.blur(drawn, (3, 3)) if min(drawn.shape) > 12 else drawn
    return (x0, y0, x1, y1), soft.astype(np.float32) / np.float32(255)


def _ramp(x: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (x - low) / (high - low)))
