"""A frame seen from one keyframe: where the edit lies in it, how sure that is, and what it looks like."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from correspondence import Matcher
from correspondence.grid import pixel_grid
from correspondence.mesh import face_reference, landmark_field
from correspondence.region import ideal_region
from correspondence.topology import OVAL
from correspondence.types import Float, Image, Landmarks, Match, Patch
from reference.bank import Keyframe
from reference.composite import CompositeConfig, Compositor
from reference.edits import Edit, Mode
from reference.live import live_areas, openings
from reference.parts import face_size
from reference.policy import coverage
from reference.sampling import coarse_values, places

RIM = 0.05  # what lies this near to the mesh in the keyframe belongs to it, face sizes
CELL_PX = 8  # grid on which confidence is read
ALL_TRUST = 1e-6  # confidence at which all of the edit shows: the place is taken as given and weighed later


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """How the edits of all keyframes are worn.

    Attributes:
        mode, strength: of their `Edit`s.
        composite: how they meet a frame.
    """

    mode: Mode
    strength: float
    composite: CompositeConfig

    def edit(self, keyframe: Keyframe) -> Edit:
        """The keyframe's edit."""
        if keyframe.edit is not None:
            return keyframe.edit.with_mode(self.mode)
        return Edit(keyframe.image, keyframe.edited, self.mode, self.strength)

    def worn(self, keyframe: Keyframe) -> Worn:
        """The keyframe made ready to serve frames; slow."""
        edit = self.edit(keyframe)
        return Worn(keyframe, edit, Compositor(edit, keyframe.prepared.landmarks, self.composite))


@dataclass(frozen=True, slots=True, eq=False)
class Worn:
    """A keyframe with all that a step needs of it."""

    keyframe: Keyframe
    edit: Edit
    compositor: Compositor


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """A frame matched with a keyframe.

    Attributes:
        keyframe, edit, match: whose and how.
        confidence: P(error < radius) on a grid of about `CELL_PX` over the frame, float32 (rows, columns).
        mask: the edit's mask where it should lie in the frame, float32 (H, W), [0, 1]; 0 where a mouth or an
            eye stays live inside.
        places: where in the keyframe each pixel should be seen, float32 (H, W, 2), pixels.
        shown: how well the keyframe's mesh shows what the frame's does there, float32 (H, W), [0, 1]; 0 off
            the mesh, where it is turned away and where it is foreshortened.
        covered: share of the edited area that is seen with confidence, [0, 1].
    """

    keyframe: Keyframe
    edit: Edit
    match: Match
    confidence: Float
    mask: Float
    places: Float
    shown: Float
    covered: float

    def composed(self, frame: Image, look: Look, *, by_mesh: bool = False) -> Image:
        """The whole edit on the frame at full strength, wherever the match, or the mesh, puts it."""
        if self.edit.strength <= 0:
            return frame
        match = self.match
        if by_mesh:
            height, width = match.frame_size
            field = self.places - _pixels(match.frame_size)
            sure = np.zeros((height, width), np.float32)
            match = Match.from_field(field, sure, match.landmarks, match.reference_size)
        config = replace(look.composite, trust_low=0.0, trust_high=ALL_TRUST)
        compositor = Compositor(self.edit, self.keyframe.prepared.landmarks, config)
        return compositor.compose(frame, match, 1 / self.edit.strength).image


def sight_of(
    frame: Image,
    landmarks: Landmarks | None,
    keyframe: Keyframe,
    matcher: Matcher,
    look: Look,
    radius: float,
    threshold: float,
) -> Sight:
    """Match a frame with a keyframe.

    Args:
        frame: uint8 (H, W, 3); landmarks: of its face.
        radius: of the confidence, share of the face, or of the frame's shorter side without one.
        threshold: confidence at which a place counts as covered.
    """
    size = (frame.shape[0], frame.shape[1])
    match = matcher.match(frame, keyframe.prepared, landmarks=landmarks)
    edit = look.edit(keyframe)
    whole = (0, 0, size[1], size[0])
    pixels = _pixels(size)
    mask, at, shown = _lie(edit, keyframe.prepared.landmarks, landmarks, places(match, whole, pixels), pixels)
    for (x0, y0, x1, y1), share in live_areas(openings(edit, keyframe.prepared.landmarks), landmarks, size):
        mask[y0:y1, x0:x1] *= 1 - share
    rows, columns = (max(1, round(side / CELL_PX)) for side in size)
    sure = confident(coarse_values(match, whole, (rows, columns))[..., 2], radius_px(radius, landmarks, size))
    weight = cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_AREA)
    return Sight(keyframe, edit, match, sure, mask, at, shown, coverage(sure, weight, threshold))


def _lie(
    edit: Edit, own: Landmarks | None, now: Landmarks | None, matched: Float, pixels: Float
) -> tuple[Float, Float, Float]:
    """Where an edit should lie in a frame, however unsure the match is: `Sight`'s mask, places and shown.

    What lies on the face's mesh goes where the frame's mesh carries it and nowhere else; the match, which
    may send an ear to a cheek it cannot see, places the rest.

    Args:
        own, now: landmarks of the keyframe and of the frame.
        matched: where in the keyframe each pixel is seen by the match, float32 (H, W, 2), pixels.
        pixels: x and y of each pixel, float32 (H, W, 2).
    """

    def warped(mask: Float, at: Float) -> Float:
        out = cv2.remap(mask, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return np.asarray(out, np.float32)

    if own is None or now is None:
        return warped(edit.mask, matched), matched, np.zeros(pixels.shape[:2], np.float32)
    height, width = pixels.shape[:2]
    here, there = ideal_region(now, (height, width)), ideal_region(own, own.image_size)
    carried = landmark_field(now, face_reference(own, there), here)
    size = carried.field.shape[0]
    at = pixel_grid(size, size)
    moved = there.to_pixels(at + carried.field, size) - here.to_pixels(at, size)
    values = np.dstack([moved, carried.inside.astype(np.float32)]).astype(np.float32)
    whole = (0, 0, width, height)
    by_mesh = Patch(values, here.box).sample(whole)
    shown = Patch(np.dstack([carried.validity] * 3), here.box).sample(whole)[..., 0]
    inside = by_mesh[..., 2] > 0.5
    inside &= (pixels >= here.box[:2]).all(axis=2) & (pixels < here.box[2:]).all(axis=2)
    face = np.zeros(edit.mask.shape, np.uint8)
    cv2.fillPoly(face, [np.rint(own.points[list(OVAL), :2] * 16).astype(np.int32)], 1, shift=4)
    rim = 2 * max(1, round(RIM * face_size(own))) + 1
    off_face = edit.mask * (1 - cv2.dilate(face, np.ones((rim, rim), np.uint8)))
    places_ = np.where(inside[..., None], pixels + by_mesh[..., :2], matched).astype(np.float32)
    mask = np.where(inside, warped(edit.mask, places_), warped(off_face.astype(np.float32), matched))
    return mask.astype(np.float32), places_, np.where(inside, shown, np.float32(0))


def _pixels(size: tuple[int, int]) -> Float:
    """x and y of each pixel, float32 (H, W, 2)."""
    x, y = np.arange(size[1], dtype=np.float32), np.arange(size[0], dtype=np.float32)
    return np.stack(np.meshgrid(x, y), axis=-1)


def radius_px(share: float, landmarks: Landmarks | None, size: tuple[int, int]) -> float:
    """A radius in pixels: a share of the face, or of the frame's shorter side where there is none."""
    return share * (min(size) if landmarks is None else face_size(landmarks))


def confident(log_b: Float, radius_px: float) -> Float:
    """P(both components err by less than `radius_px`), see `correspondence.confidence`; any shape."""
    one = -np.expm1(-np.float32(radius_px) * np.exp(-log_b))
    return np.asarray(one * one, np.float32)
