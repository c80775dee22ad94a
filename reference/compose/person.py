"""Separates person and background of a picture, splits an edit along the outline and joins it again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Bool, Box, Float, Image, Landmarks, check_image
from correspondence.face.body import Body
from correspondence.face.mediapipe_graphs import Segmenter
from reference.compose.blend import CELL, lay_over, tiles
from reference.compose.guided import guided_levels, guided_mask
from reference.compose.landing import leaves_head
from reference.compose.whole.lines import look_of
from reference.edits.edit import Edit
from reference.edits.mask import smoothstep

SEEN_SIDE = 256  # longer side to which pictures are shrunk for the model, pixels
LEAST_BEHIND = 0.1  # share of an edit on the background from which the edit is split
EDGE = (0.3, 0.7)  # output of the model that maps to 0 (background) and to 1 (person)
SHARP = (0.2, 0.8)  # the same for the filtered mask, which is never quite 0 or 1 where there is no edge
_LEVELS = np.arange(256, dtype=np.float32) * np.float32(1 / 255)
_SHARPENED = np.rint(255 * smoothstep(_LEVELS, *SHARP)).astype(np.uint8)
CLEAR_LEVEL = 5  # share of the person, of 255, up to which a pixel shows the background
LARGE_PX = 400_000  # larger pictures are outlined at half their size
CLEAR = 0.012  # margin around the person that is filled as well, share of the shorter side


class PersonDetector:
    """Finds the person by MediaPipe's selfie segmentation. `BodyWatcher` can run it. Not thread-safe."""

    def __init__(self) -> None:
        self._segmenter = Segmenter()

    def __call__(self, image: Image, now_s: float) -> Body:
        """Finds the person's mask in a frame; the shoulders are not searched.

        Args:
            image: uint8 (H, W, 3).
            now_s: time of the frame, seconds.
        """
        height, width = check_image(image)
        ratio = min(1.0, SEEN_SIDE / max(height, width))
        size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
        seen = np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        return Body(None, smoothstep(self._segmenter(seen), *EDGE), (height, width), now_s)

    def close(self) -> None:
        """Frees MediaPipe's task."""
        self._segmenter.close()


def person_share(picture: Image) -> Float:
    """Share of the person in each pixel of a still, float32 (H, W), [0, 1]. This is slow."""
    detector = PersonDetector()
    try:
        return outline(detector(picture, 0.0).mask, picture)
    finally:
        detector.close()


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """An edit split into person and background.

    Attributes:
        front: the edit on the person.
        back: the edit behind the person. Its pictures show no person: the area is filled from around it.
        person: share of the person in the reference, float32 (H, W), [0, 1].
    """

    front: Edit
    back: Edit
    person: Float


def may_reach_behind(edit: Edit, landmarks: Landmarks | None) -> bool:
    """Whether an edit may have a part behind the person: it reaches beyond the head and is no pure tone."""
    if edit.box is None or edit.is_tone:
        return False
    return landmarks is None or leaves_head(edit.box, landmarks)


def split_edit(edit: Edit, person: Float) -> Split | None:
    """Splits an edit into person and background.

    Returns None if too little of the edit lies on the background, or if there is no person or no background.

    Args:
        edit: the edit of any mode.
        person: share of the person in the reference on a coarse grid over it, float32 (h, w), [0, 1].
    """
    total = float(edit.mask.sum())
    full = outline(person, edit.reference)
    behind = float((edit.mask * (1 - full)).sum())
    if total <= 0 or behind < LEAST_BEHIND * total or float(full.mean()) < 0.01:
        return None
    front = replace(edit, part=edit.is_global, known=full)
    if edit.stand_in is not None:
        look_of(edit)  # learned on the whole picture, for both halves
    if edit.stand_in is None:
        kept = edit.reference + edit.delta * full[..., None]
        front = replace(front, edited=np.clip(np.rint(kept), 0, 255).astype(np.uint8))
    side = 2 * max(1, round(CLEAR * min(full.shape))) + 1
    clear = 1 - cv2.dilate((full > 0.02).astype(np.float32), np.ones((side, side), np.uint8))
    if not clear.any():
        return None
    before, after = (_filled(image, clear) for image in (edit.reference, edit.edited))
    back = replace(edit, reference=before, edited=after, part=True)
    for half in (front, back):
        half.__dict__["tone"], half.__dict__["stand_in"] = edit.tone, edit.stand_in
    return Split(front, back, full)


def outline(person: Float, image: Image) -> Float:
    """Refines a coarse mask of the person along the picture's edges.

    Args:
        person: share of the person on a coarse grid over the picture, float32 (h, w), [0, 1].
        image: uint8 (H, W, 3).

    Returns:
        Share of the person in each pixel, float32 (H, W), [0, 1].
    """
    height, width = image.shape[:2]
    if height * width <= LARGE_PX:
        return smoothstep(guided_mask(person, image), *SHARP)
    half = halved(image)
    assert half is not None
    share = smoothstep(guided_mask(person, half), *SHARP)
    return np.asarray(cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _filled(image: Image, known: Float) -> Image:
    """Fills unknown pixels from their surroundings, more coarsely the farther inside they are (push-pull).

    Args:
        image: uint8 (H, W, 3).
        known: float32 (H, W), 1 for known pixels, 0 for unknown ones.
    """
    levels = [(image.astype(np.float32) * known[..., None], known)]
    while min(levels[-1][1].shape) > 2:
        colour, weight = (cv2.pyrDown(x) for x in levels[-1])
        scale = 1 / np.maximum(weight, 1e-3) * np.minimum(1, 2 * weight)
        levels.append((np.asarray(colour * scale[..., None], np.float32), np.minimum(1, 2 * weight)))
    colour, weight = levels.pop()
    below = colour / np.maximum(weight, 1e-3)[..., None]
    for colour, weight in reversed(levels):
        size = (weight.shape[1], weight.shape[0])
        up = cv2.resize(below, size, interpolation=cv2.INTER_LINEAR)
        below = colour + (1 - weight)[..., None] * up
    out = np.clip(np.rint(below), 0, 255).astype(np.uint8)
    return np.where(known[..., None] > 0, image, out)


@dataclass(frozen=True, eq=False)
class Outlined:
    """The person's outline in a frame.

    Attributes:
        share: share of the person in each pixel, uint8 (H, W), with 1 as 255.
    """

    share: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, person: Float, frame: Image, half: Image | None = None) -> Outlined:
        """Refines a coarse mask of the person along the frame's edges, as `outline` does.

        Args:
            person: share of the person on a coarse grid over the frame, float32 (h, w), [0, 1].
            frame: uint8 (H, W, 3).
            half: the frame at half its size, for a frame of more than LARGE_PX pixels.
        """
        levels = guided_levels(person, frame if half is None else half)
        share = cv2.LUT(levels, _SHARPENED)
        if half is not None:
            size = (frame.shape[1], frame.shape[0])
            share = cv2.resize(share, size, interpolation=cv2.INTER_LINEAR)
        return cls(np.asarray(share, np.uint8))

    @cached_property
    def person(self) -> Bool:
        """Cells of CELL pixels that may show some of the person, bool (rows, columns)."""
        return _cells(cv2.compare(self.share, 0, cv2.CMP_GT))

    @cached_property
    def behind(self) -> Bool:
        """Cells of CELL pixels that may show some of the background, bool (rows, columns)."""
        return _cells(cv2.compare(self.share, 255, cv2.CMP_LT))

    @property
    def clear(self) -> Bool:
        """Pixels that show none of the person, or next to nothing, bool (H, W)."""
        return cv2.compare(self.share, CLEAR_LEVEL, cv2.CMP_LE).view(np.bool_)


def halved(frame: Image) -> Image | None:
    """A frame at half its size; None if it has at most LARGE_PX pixels."""
    height, width = frame.shape[:2]
    if height * width <= LARGE_PX:
        return None
    return np.asarray(cv2.resize(frame, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.uint8)


def _cells(marked: npt.NDArray[np.uint8]) -> Bool:
    """The cells of CELL pixels that hold a pixel marked with 255, and their neighbours."""
    rows, columns = -(-marked.shape[0] // CELL), -(-marked.shape[1] // CELL)
    cells = cv2.resize(marked, (columns, rows), interpolation=cv2.INTER_AREA)
    return cv2.dilate((cells > 0).view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_)


def cells_box(cells: Bool, size: tuple[int, int]) -> Box | None:
    """The box (x0, y0, x1, y1) around marked cells of a frame of (H, W) `size`, pixels; None without any."""
    x, y, w, h = cv2.boundingRect(cells.view(np.uint8))
    if not w or not h:
        return None
    return x * CELL, y * CELL, min(size[1], (x + w) * CELL), min(size[0], (y + h) * CELL)


def cells_in(cells: Bool, box: Box) -> Bool:
    """Marks the cells of a window's own grid that touch marked cells of the frame.

    Args:
        cells: bool (rows, columns), cells of CELL pixels of the frame, with their neighbours marked.
        box: the window, (x0, y0, x1, y1), pixels of the frame.

    Returns:
        bool (h, w), cells of CELL pixels that count from the window's first pixel.
    """
    rows = np.arange(box[1], box[3], CELL) // CELL
    columns = np.arange(box[0], box[2], CELL) // CELL
    return cells[np.ix_(rows, columns)]


def lay_behind(image: Image, back: Image, outlined: Outlined) -> None:
    """Lays a background behind a composed person, in place.

    Args:
        image: the frame with the edit on the person, uint8 (H, W, 3).
        back: the frame with the edit behind the person, uint8 (H, W, 3).
        outlined: the person's outline.
    """
    share = outlined.share
    cv2.copyTo(back, cv2.compare(share, 0, cv2.CMP_EQ), image)
    for tile in tiles(outlined.behind & outlined.person, share.shape):  # along the outline
        made = back[tile].copy()
        lay_over(made, image[tile], share[tile])
        image[tile] = made
