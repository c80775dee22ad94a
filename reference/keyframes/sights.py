"""A frame matched with one keyframe: where the edit lies, how sure that is, and how it looks on the frame."""

from __future__ import annotations

import threading
from collections import OrderedDict
from copy import copy
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from correspondence import Box, Float, Image, Landmarks, Match, Matcher
from correspondence.certainty.uncertainty import confidence_of
from correspondence.face.mesh import face_reference, landmark_field
from correspondence.face.topology import OVAL
from correspondence.geometry.grid import pixel_grid
from correspondence.geometry.region import ideal_region
from reference.compose.blend_weights import centres, less_live, union
from reference.compose.composite import CompositeConfig, Composition, Compositor
from reference.compose.landing import near_head
from reference.compose.live import live_areas, openings
from reference.compose.sampling import coarse_values, places, read_grid, seen_share
from reference.edits.edit import Edit, Mode
from reference.face.parts import face_size
from reference.face.sticker import HeadSticker
from reference.keyframes.keyframe import Keyframe
from reference.keyframes.policy import coverage
from reference.stickers.carried import CarriedStickers

RIM = 0.05  # an edit this near to the mesh in the keyframe counts as on it, face sizes
HIDDEN = 0.5  # validity of the mesh below which the keyframe increasingly hides a place
BROAD = 0.06  # an edit that reaches this far around a hidden place is assumed to go on there, face sizes
SLIVER = 0.015  # parts narrower than twice this beside a hidden place are not counted as edit, face sizes
CELL_PX = 8  # cell of the grid on which confidence is read, pixels
RIGID_SHARE = 0.5  # share of an edit's mask from which rigid objects decide
MOST_KEPT = 4  # number of keyframes of a look that stay ready to serve
ALL_TRUST = 1e-6  # confidence from which all of the edit shows; its place is weighed later


@dataclass(frozen=True, slots=True, eq=False)
class EditStyle:
    """How the edits of all keyframes are worn.

    Attributes:
        mode, strength: mode and strength of the `Edit`s, see there.
        composite: settings of their composition on a frame.
        stickers: the stickers that made keyframes wear: those of the user's first keyframe.
    """

    mode: Mode
    strength: float
    composite: CompositeConfig
    stickers: tuple[HeadSticker, ...] = ()

    _kept: OrderedDict[Keyframe, ReadyKeyframe] = field(default_factory=OrderedDict, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def ready(self, keyframe: Keyframe) -> ReadyKeyframe:
        """Makes a keyframe ready to serve frames. Slow unless it is one of the last `MOST_KEPT` keyframes."""
        with self._lock:
            kept = self._kept.get(keyframe)
            if kept is not None:
                self._kept.move_to_end(keyframe)
                return kept
        made = self.fresh(keyframe)
        with self._lock:
            self._kept[keyframe] = made
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return made

    def fresh(self, keyframe: Keyframe) -> ReadyKeyframe:
        """Makes a keyframe ready to serve frames without keeping it. Slow."""
        if keyframe.edit is not None:
            edit = keyframe.edit.with_mode(self.mode)
        else:
            edit = Edit(keyframe.image, keyframe.edited, self.mode, self.strength, stickers=self.stickers)
        carried = CarriedStickers(edit.stickers, self.composite) if edit.stickers else None
        compositor = Compositor(edit, keyframe.prepared.landmarks, self.composite)
        return ReadyKeyframe(keyframe, edit, compositor, carried)


@dataclass(frozen=True, slots=True, eq=False)
class ReadyKeyframe:
    """A keyframe with its edit, ready to serve frames.

    Attributes:
        keyframe, edit: the keyframe and its edit.
        compositor: the compositor of the edit.
        stickers: what the head carries; None for nothing.
    """

    keyframe: Keyframe
    edit: Edit
    compositor: Compositor
    stickers: CarriedStickers | None = None

    @property
    def is_rigid(self) -> bool:
        """Whether most of the edit is rigid objects. The head's pose carries them and needs no other view."""
        rigid = self.compositor.rigid
        return rigid is not None and rigid.share_of(self.edit.mask) >= RIGID_SHARE

    @property
    def is_local(self) -> bool:
        """Whether the edit and its stickers land on a part of the frame that the landmarks of a face tell."""
        if self.edit.box is None:
            return self.stickers is not None
        return self.compositor.is_local

    def landing(self, landmarks: Landmarks, size: tuple[int, int]) -> Box | None:
        """Finds the box of a frame, (x0, y0, x1, y1), where the edit and its stickers can land, else None."""
        box = self.compositor.landing(landmarks, size)
        return box if self.stickers is None else union(box, self.stickers.landing(landmarks, size))

    def with_stickers(
        self, frame: Image, match: Match, composition: Composition, strength: float
    ) -> Composition:
        """Lays the stickers over a composed frame, see `CarriedStickers.lay`; strength as for the edit."""
        if self.stickers is None:
            return composition
        alone = self.edit.box is None
        return self.stickers.lay(frame, match, composition, strength * self.edit.strength, alone=alone)


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """A frame matched with a keyframe.

    Attributes:
        worn: the keyframe, made ready.
        match: the match of the frame with the keyframe.
        confidence: P(error < radius) on a grid of about `CELL_PX` over the frame, float32 (rows, columns).
        mask: the edit's mask where it should lie in the frame, float32 (H, W), [0, 1]; 0 inside a mouth or an
            eye that stays live.
        places: expected place of each pixel in the keyframe, float32 (H, W, 2), pixels.
        shown: how well the keyframe's mesh shows the skin that the frame shows there, float32 (H, W), [0, 1];
            0 off the mesh, where the mesh is turned away and where it is foreshortened.
        covered: share of the edited area that is seen with confidence, [0, 1]; parts that
            something hides are left out.
    """

    worn: ReadyKeyframe
    match: Match
    confidence: Float
    mask: Float
    places: Float
    shown: Float
    covered: float

    @property
    def keyframe(self) -> Keyframe:
        """The keyframe that the frame was matched with."""
        return self.worn.keyframe

    @property
    def edit(self) -> Edit:
        """The keyframe's edit."""
        return self.worn.edit

    def composed(self, frame: Image, style: EditStyle, *, by_mesh: bool = False) -> Image:
        """Composes the whole edit on the frame at full strength, whatever the confidence.

        Args:
            frame: uint8 (H, W, 3), the frame of this sight.
            style: how the edit is worn.
            by_mesh: takes the places from `places` instead of the match.

        Returns:
            uint8 (H, W, 3).
        """
        if self.edit.strength <= 0:
            return frame
        match = self.match
        if by_mesh:
            height, width = match.frame_size
            field = self.places - pixel_grid(*match.frame_size)
            sure = np.zeros((height, width), np.float32)
            by_mesh_only = Match.from_field(field, sure, match.landmarks, match.reference_size)
            match = replace(by_mesh_only, hidden=match.hidden)
        compositor = copy(self.worn.compositor)
        compositor.config = replace(style.composite, trust_low=0.0, trust_high=ALL_TRUST)
        return compositor.compose(frame, match, 1 / self.edit.strength).image


def sight_of(
    frame: Image,
    landmarks: Landmarks | None,
    keyframe: Keyframe,
    matcher: Matcher,
    style: EditStyle,
    radius: float,
    threshold: float,
) -> Sight:
    """Matches a frame with a keyframe and finds where the edit lies.

    Args:
        frame: uint8 (H, W, 3).
        landmarks: landmarks of the frame's face; None without one.
        keyframe: the keyframe.
        matcher: finds the match.
        style: how the edit is worn.
        radius: radius of the confidence, share of the face size; without a face, of the frame's shorter side.
        threshold: confidence from which a place counts as covered, [0, 1].
    """
    size = (frame.shape[0], frame.shape[1])
    match = matcher.match(frame, keyframe.prepared, landmarks=landmarks)
    worn = style.ready(keyframe)
    whole = (0, 0, size[1], size[0])
    pixels = pixel_grid(*size)
    own = keyframe.prepared.landmarks
    mask, at, shown = _lie(worn.edit.mask, own, landmarks, places(match, whole, pixels), pixels)
    for (x0, y0, x1, y1), share in live_areas(openings(worn.edit, own), landmarks, size):
        mask[y0:y1, x0:x1] *= 1 - share
    cells = _cells(size)
    sure = confidence_of(coarse_values(match, whole, cells)[..., 2], radius_px(radius, landmarks, size))
    weight = cv2.resize(mask, cells[::-1], interpolation=cv2.INTER_AREA) * seen_share(match, whole, cells)
    weight = _judged(weight, worn.edit, landmarks)
    return Sight(worn, match, sure, mask, at, shown, coverage(sure, weight, threshold))


def glance_at(
    frame: Image,
    landmarks: Landmarks | None,
    worn: ReadyKeyframe,
    matcher: Matcher,
    radius: float,
    threshold: float,
) -> tuple[Match, float]:
    """Matches a frame with a keyframe and measures coverage on a coarse grid, faster than `sight_of`.

    Args:
        frame, landmarks, matcher, radius, threshold: as for `sight_of`.
        worn: the keyframe, made ready.

    Returns:
        The match, and the share of the edit that it covers, [0, 1].
    """
    size = (frame.shape[0], frame.shape[1])
    match = matcher.match(frame, worn.keyframe.prepared, landmarks=landmarks)
    whole, cells = (0, 0, size[1], size[0]), _cells(size)
    values = coarse_values(match, whole, cells)
    pixels = centres(whole, cells)
    small = _cells((worn.edit.mask.shape[0], worn.edit.mask.shape[1]))
    mask = cv2.resize(worn.edit.mask, small[::-1], interpolation=cv2.INTER_AREA)
    own = worn.keyframe.prepared.landmarks
    lies, _, _ = _lie(mask, own, landmarks, pixels + values[..., :2], pixels)
    lies = less_live(lies, live_areas(openings(worn.edit, own), landmarks, size), whole)
    lies = _judged(lies * seen_share(match, whole, cells), worn.edit, landmarks)
    sure = confidence_of(values[..., 2], radius_px(radius, landmarks, size))
    return match, coverage(sure, lies, threshold)


def _judged(weight: Float, edit: Edit, landmarks: Landmarks | None) -> Float:
    """The weights of cells of a frame by which coverage is measured."""
    if landmarks is None or edit.stand_in is None:
        return weight
    height, width = landmarks.image_size
    return weight * near_head(landmarks, (0, 0, width, height), (weight.shape[0], weight.shape[1]))


def _cells(size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of a grid of about `CELL_PX` over a picture."""
    return max(1, round(size[0] / CELL_PX)), max(1, round(size[1] / CELL_PX))


def _lie(
    mask: Float, own: Landmarks | None, now: Landmarks | None, matched: Float, pixels: Float
) -> tuple[Float, Float, Float]:
    """Finds where an edit should lie in a frame, whatever the match's confidence.

    An edit on the face's mesh goes where the frame's mesh carries it and nowhere else. The match places the
    rest; it is not used on the mesh, because it may wrongly map an ear to a painted cheek. Where the keyframe
    hides skin that the frame shows, such as under a lip that was pulled in, it shows something else. Only a
    broad edit goes on at such places.

    Args:
        mask: mask of the edit, float32, of the keyframe's size or smaller.
        own, now: landmarks of the keyframe and of the frame.
        matched: place of each grid point in the keyframe by the match, float32 (h, w, 2), pixels.
        pixels: x and y of each grid point, an even grid over the frame, float32 (h, w, 2).

    Returns:
        `Sight.mask`, `Sight.places` and `Sight.shown` on the grid.
    """
    if own is None or now is None:
        return _warped(mask, matched, None), matched, np.zeros(pixels.shape[:2], np.float32)
    height, width = now.image_size
    rows, columns = pixels.shape[:2]
    here, there = ideal_region(now, (height, width)), ideal_region(own, own.image_size)
    carried = landmark_field(now, face_reference(own, there), here)
    size = carried.field.shape[0]
    at = pixel_grid(size, size)
    moved = there.to_pixels(at + carried.field, size) - here.to_pixels(at, size)
    seen = cv2.erode(np.clip(carried.validity * np.float32(1 / HIDDEN), 0, 1), np.ones((3, 3), np.uint8))
    known = np.dstack([moved, carried.inside.astype(np.float32), carried.validity, seen]).astype(np.float32)
    by_mesh = read_grid(known, here.box, (0, 0, width, height), (rows, columns))
    inside = by_mesh[..., 2] > 0.5
    inside &= (pixels >= here.box[:2]).all(axis=2) & (pixels < here.box[2:]).all(axis=2)
    places_ = np.where(inside[..., None], pixels + by_mesh[..., :2], matched).astype(np.float32)
    off_face = _warped(mask * (1 - _face(mask, own, RIM)), matched, own)
    on_face = _warped(mask, places_, own)
    seen = by_mesh[..., 4]
    if float(seen[inside].min(initial=1)) < 1:
        on_face = seen * on_face + (1 - seen) * _warped(_broad(mask, own), places_, own)
        sliver = _square(SLIVER, mask, own)  # removes slivers of paint on partly hidden triangles
        beside = cv2.dilate(1 - seen, sliver) > 0
        on_face = np.where(beside, cv2.morphologyEx(on_face, cv2.MORPH_OPEN, sliver), on_face)
    lies = np.where(inside, on_face, off_face)
    return lies.astype(np.float32), places_, np.where(inside, by_mesh[..., 3], np.float32(0))


def _face(mask: Float, own: Landmarks, rim: float) -> Image:
    """The face and a rim of `rim` face sizes around it, on the grid of `mask`: uint8, 1: face."""
    scale = mask.shape[1] / own.image_size[1]
    face = np.zeros(mask.shape, np.uint8)
    oval = (own.points[list(OVAL), :2] + 0.5) * scale - 0.5
    cv2.fillPoly(face, [np.rint(oval * 16).astype(np.int32)], 1, shift=4)
    return np.asarray(cv2.dilate(face, _square(rim, mask, own)), np.uint8)


def _broad(mask: Float, own: Landmarks) -> Float:
    """A mask without its narrow parts. Off the face all counts as edited, so that the face's rim stays."""
    surely = np.where(_face(mask, own, 0) > 0, mask, np.float32(1))
    return np.asarray(cv2.erode(surely, _square(BROAD, mask, own)), np.float32)


def _square(reach: float, mask: Float, own: Landmarks) -> Image:
    """A square kernel that reaches `reach` face sizes from its centre, on the grid of `mask`."""
    side = 2 * max(0, round(reach * face_size(own) * mask.shape[1] / own.image_size[1])) + 1
    return np.ones((side, side), np.uint8)


def _warped(mask: Float, at: Float, own: Landmarks | None) -> Float:
    """Reads a mask of the keyframe's size or smaller at places of the keyframe, pixels."""
    if own is not None and mask.shape != own.image_size:
        scale = np.array([mask.shape[1] / own.image_size[1], mask.shape[0] / own.image_size[0]], np.float32)
        at = (at + np.float32(0.5)) * scale - np.float32(0.5)
    out = cv2.remap(mask, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(out, np.float32)


def radius_px(share: float, landmarks: Landmarks | None, size: tuple[int, int]) -> float:
    """A radius in pixels: `share` of the face size, or of the frame's shorter side without a face."""
    return share * (min(size) if landmarks is None else face_size(landmarks))
