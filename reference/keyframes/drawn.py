"""Draws an edit on a frame from earlier keyframes.

Each pixel comes from the earliest keyframe whose match is sure of it. A pixel that no match is sure of comes
by the face's mesh from the earliest keyframe whose mesh shows it. A pixel that no keyframe shows is coloured
by local affine maps of the user's own edit, which need no exact place. What the edit adds there beyond colour
stays live until a fill invents it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import cv2
import numpy as np

from correspondence import Float, Image, Landmarks
from reference.edits.affine_grid import fit_affine_grid, structure
from reference.edits.mask import scaled, smoothstep
from reference.keyframes.sights import EditStyle, Sight

SURE = (0.2, 0.6)  # confidence at which a keyframe starts to give a pixel, and at which it gives all of it
SHOWN = (0.3, 0.6)  # mesh validity at which a keyframe starts to give a pixel, and at which it gives all
BESIDE_PX = 3  # distance from its place on the mesh at which a match may still lay an edit, pixels at 512
SEAM_CELLS = 1.0  # sigma over which two keyframes are blended, cells of the confidence grid
STRUCTURAL = (0.25, 0.45)  # share of an edit's energy beyond colour: striped face paint, and glasses
LEAST_HOLE = 0.05  # a pixel less open than this needs no fill

Posed = tuple[Image, Landmarks | None]  # a picture and the landmarks of its face


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FillHint:
    """What a fill may use besides the picture with the hole.

    Attributes:
        landmarks: landmarks of the picture; None without a face.
        reference: the user's own edited picture, uint8 (h, w, 3).
        reference_landmarks: landmarks of `reference`; None without a face.
        live: the picture without the edit, uint8 (H, W, 3).
    """

    landmarks: Landmarks | None
    reference: Image
    reference_landmarks: Landmarks | None
    live: Image


class KeyframeFill(Protocol):
    """A fill: it repaints the part of a picture that a mask covers."""

    def __call__(self, image: Image, mask: Float, hint: FillHint, /) -> Image:
        """Returns the picture with its hole filled.

        Args:
            image: uint8 (H, W, 3).
            mask: float32 (H, W) in [0, 1], 1: repaint.
            hint: what else the fill may use.

        Returns:
            uint8 (H, W, 3), equal to `image` wherever `mask` is exactly 0.
        """
        ...


@runtime_checkable
class LaterFill(Protocol):
    """A fill that answers from a thread of its own, so that nobody waits for it."""

    def later(
        self,
        image: Image,
        mask: Float,
        hint: FillHint,
        then: Callable[[Image], None],
        wanted: Callable[[], bool],
    ) -> None:
        """Starts to fill a hole and returns at once, see `KeyframeFill`.

        Args:
            image, mask, hint: as a `KeyframeFill` takes them.
            then: called with the filled picture from another thread; not called if the fill fails.
            wanted: called repeatedly from another thread; False stops the fill.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeyframeGap:
    """Frames between two keyframes, with the edit drawn on them as far as it is known.

    Attributes:
        ends: the edited picture of each keyframe, uint8 (h, w, 3), and its landmarks, the earlier keyframe
            first. Their sizes may differ from the frames' and from each other.
        frames: the edited picture of each frame, uint8 (H, W, 3), and its landmarks, in order of time.
        holes: the hole of each frame, float32 (H, W) in [0, 1], 1: repaint.
    """

    ends: tuple[Posed, Posed]
    frames: tuple[Posed, ...]
    holes: tuple[Float, ...]


@runtime_checkable
class GapFill(Protocol):
    """A fill that fills the frames between two keyframes and uses both keyframes."""

    def between(
        self, gap: KeyframeGap, then: Callable[[Sequence[Image]], None], wanted: Callable[[], bool]
    ) -> None:
        """Fills the holes of a gap's frames, now or later, or not at all if it cannot improve on them.

        Args:
            gap: the frames and the keyframes around them.
            then: called with the filled pictures in the gap's order, perhaps from another thread. Each equals
                its frame wherever its hole is exactly 0. Not called if the fill fails.
            wanted: called repeatedly, perhaps from another thread; False stops the fill.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """An edit drawn on a frame.

    Attributes:
        edited: uint8 (H, W, 3), equal to the frame where nothing is edited.
        hole: how far each pixel of the edit is unknown and shown live, float32 (H, W) in [0, 1].
        known: share of the edited area that came from keyframes, [0, 1].
        live: the frame, uint8 (H, W, 3).
    """

    edited: Image
    hole: Float
    known: float
    live: Image


def draw(frame: Image, sights: Sequence[Sight], style: EditStyle) -> Drawn:
    """Draws the edit on a frame. Each pixel comes from the earliest keyframe that is sure of it.

    Args:
        frame: uint8 (H, W, 3).
        sights: sights of the frame, at least one, the earliest keyframe first; the first is the user's own.
        style: how the edits are worn.

    Raises:
        ValueError: no sights.
    """
    if not sights:
        raise ValueError("a keyframe is drawn from at least one earlier one, got none")
    height, width = frame.shape[:2]
    left = np.ones((height, width), np.float32)  # share of each pixel not given by a keyframe yet
    change = np.zeros((height, width, 3), np.float32)
    landed = np.zeros((height, width), np.float32)
    for by_mesh in (False, True):
        for sight in sights:
            given = left * (smoothstep(sight.shown, *SHOWN) if by_mesh else _sure(sight))
            left -= given
            if float((given * sight.mask).max()) < LEAST_HOLE:
                continue
            there = sight.composed(frame, style, by_mesh=by_mesh)
            near = (given * _reach(sight.mask))[..., None]
            change += near * cv2.subtract(there, frame, dtype=cv2.CV_32F)
            landed += given * sight.mask
    hole = left * sights[0].mask
    open_area, known_area = float(hole.sum()), float(landed.sum())
    hole[hole < LEAST_HOLE] = 0
    edited = np.clip(np.rint(frame + change), 0, 255).astype(np.uint8)
    edited, hole = _coloured(frame, edited, hole, sights[0])
    total = open_area + known_area
    return Drawn(edited, hole, known_area / total if total > 0 else 0.0, frame)


def _sure(sight: Sight) -> Float:
    """Share of each pixel that a keyframe may give by its match, float32 (H, W), smooth."""
    height, width = sight.mask.shape
    sure = cv2.GaussianBlur(smoothstep(sight.confidence, *SURE), (0, 0), SEAM_CELLS)
    return np.asarray(cv2.resize(sure, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _reach(mask: Float) -> Float:
    """1 on a mask and a little beyond, where a match may still lay the edit; 0 elsewhere."""
    radius = scaled((mask.shape[0], mask.shape[1]), BESIDE_PX)
    side = 2 * radius + 1
    wide = cv2.dilate((mask > 0).astype(np.float32), np.ones((side, side), np.uint8))
    return np.asarray(cv2.blur(wide, (side, side)), np.float32)


def _coloured(frame: Image, edited: Image, hole: Float, own: Sight) -> tuple[Image, Float]:
    """Colours the hole by the colour maps of the user's own edit.

    Returns the coloured picture and the remaining hole, where the edit has structure beyond colour. If the
    edit as a whole is more than a change of colour, pixels under such structure stay live.
    """
    inside = hole > 0
    grid = fit_affine_grid(own.edit.reference, own.edit.edited, own.edit.mask) if inside.any() else None
    if grid is None:
        return edited, hole
    more, whole = structure(own.edit.reference, own.edit.edited, own.edit.mask, grid)
    more = cv2.remap(more, own.places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    live = frame[inside]
    toned = grid.apply(live, own.places[inside]).astype(np.float32)
    drawn_over = float(
        smoothstep(np.array(whole, np.float32), *STRUCTURAL)
    )  # glasses hide the colour under them
    share = (hole * (1 - more * drawn_over))[inside][:, None]
    out = edited.copy()
    out[inside] = np.clip(np.rint(edited[inside] + share * (toned - live)), 0, 255).astype(np.uint8)
    rest = hole * more
    rest[rest < LEAST_HOLE] = 0
    return out, rest


def filled(drawn: Drawn, landmarks: Landmarks | None, own: Sight, fill: KeyframeFill) -> Image:
    """Fills the hole of a drawn edit at once.

    Args:
        drawn: a drawn edit with a hole.
        landmarks: landmarks of the frame.
        own: the sight of the user's own keyframe.
        fill: invents the content of the hole.

    Returns:
        The filled picture, uint8 (H, W, 3).

    Raises:
        ValueError: the fill's picture has another size, or differs where the hole is 0.
    """
    return checked(drawn, fill(drawn.edited, drawn.hole, hint_of(drawn, landmarks, own)))


def hint_of(drawn: Drawn, landmarks: Landmarks | None, own: Sight) -> FillHint:
    """Returns the hint for a fill: the frame, its landmarks and the user's own edited picture."""
    return FillHint(
        landmarks=landmarks,
        reference=own.keyframe.edited,
        reference_landmarks=own.keyframe.prepared.landmarks,
        live=drawn.live,
    )


def checked(drawn: Drawn, picture: Image) -> Image:
    """Returns a fill's picture after checking that it changed the hole only.

    Raises:
        ValueError: the picture has another size, or differs where the hole is 0.
    """
    if picture.shape != drawn.edited.shape or picture.dtype != np.uint8:
        raise ValueError(
            f"the fill must return uint8 {drawn.edited.shape}, got {picture.dtype} {picture.shape}"
        )
    if (picture != drawn.edited)[drawn.hole == 0].any():
        raise ValueError("the fill changed pixels outside its mask; it must keep them")
    return picture
