"""Composes an edit on a live frame: it warps the edit, follows the frame's light and keeps all other pixels.

out = frame + W(M (1 - t) D) g c + W(M t) c (W(E) g - frame)

D is the change, E the edited picture, M the mask, t the share of replacement, W the backward warp, g the
light gain and c confidence times strength. All is computed in 8-bit gamma space. Where the warped mask is 0,
the terms are 0 and the frame's pixels stay.

A pure change of tone needs no warp: its colour table is applied to the live pixels. A look of the whole
picture first gives the live pixels its colours (`Edit.stand_in`); D is then what these do not explain, see
`layers.above`. So no place stays bare. An edit of most of the picture has its colours where no place is
known, as the share 1 - c. Rigid objects are laid over all that, see `rigid`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from correspondence import Bool, Box, Image, Landmarks, Match, check_image
from correspondence.certainty.uncertainty import confidence_of
from correspondence.geometry.grid import rescaled
from correspondence.geometry.region import shrink
from reference.compose.blend import (
    UNIT,
    Tile,
    busy_cells,
    compose_tile,
    each_tile,
    mix_toned,
    parts,
    tiles,
    weigh_pixels,
)
from reference.compose.blend_weights import (
    LandingGrid,
    Weights,
    centres,
    less_live,
    light_gain,
    overlap,
    tight,
    union,
)
from reference.compose.gate import FaceGate
from reference.compose.landing import landing_box, leaves_head
from reference.compose.layers import Coloured, Layers, above, in_colours, make_layers, soften
from reference.compose.live import Areas, gap_between_lips, keep_live, live_areas, openings
from reference.compose.person import cells_box, cells_in
from reference.compose.rigid import Placed, RigidLayer, on_face
from reference.compose.sampling import Places, coarse_values, seen_share
from reference.compose.softness import SoftnessMeter
from reference.compose.uncover import uncover
from reference.edits.edit import Edit
from reference.edits.mask import smoothstep
from reference.edits.objects import find_objects
from reference.face.parts import face_size

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeConfig:
    """Settings of composition.

    Raises:
        ValueError: a value is out of its range.
    """

    follow_light: bool = True  # multiply the edit by the light gain of the frame
    follow_blur: bool = True  # soften an edit of the face if the frame is softer than the reference
    gain_min: float = 0.5  # limits of the light gain
    gain_max: float = 2.0
    light_reach: float = 0.2  # sigma of the neighbourhood that sets the gain, in face sizes
    light_rest: float = 0.05  # log of the gain below which light counts as unchanged; full at 3 times it
    radius: float = 0.02  # largest error of a trusted match, share of the frame's shorter side
    trust_low: float = 0.15  # confidence below which no edit shows; a hand before the face has 0.2
    trust_high: float = 0.5  # confidence above which the whole edit shows
    step_px: int = 8  # cell of the grid of gain and confidence, pixels

    def __post_init__(self) -> None:
        if not 0 < self.gain_min <= 1 <= self.gain_max <= 255 / UNIT:
            raise ValueError(
                f"gain limits must hold 0 < min <= 1 <= max <= 3.98, got {self.gain_min}, {self.gain_max}"
            )
        if not 0 <= self.trust_low < self.trust_high <= 1:
            raise ValueError(f"trust must hold 0 <= low < high <= 1, got {self.trust_low}, {self.trust_high}")
        if self.step_px < 1 or min(self.radius, self.light_reach, self.light_rest) <= 0:
            raise ValueError("step_px must be >= 1, radius, light_reach and light_rest > 0")


@dataclass(frozen=True, slots=True, eq=False)
class Composition:
    """A composed frame.

    Attributes:
        image: RGB uint8 (H, W, 3); the frame's own array if nothing was composed.
        box: the part (x0, y0, x1, y1) that may differ from the frame; None if nothing differs.
        coverage: share of the edited area in the frame that is trusted, [0, 1].
        seen: the warped mask and the match's log_b on a coarse grid; None if nothing was composed or no
            pixel's place matters.
    """

    image: Image
    box: Box | None
    coverage: float
    seen: LandingGrid | None = None


class Compositor:
    """Composes one edit on frames. It holds no state of a stream and may be shared by threads.

    Args:
        edit: the edit, composed in its mode.
        landmarks: landmarks of its reference; None without a face.
        config: settings; the defaults when None.
    """

    def __init__(
        self, edit: Edit, landmarks: Landmarks | None, config: CompositeConfig | None = None
    ) -> None:
        self.edit = edit
        self.config = config or CompositeConfig()
        self._landmarks = landmarks
        self._places = openings(edit, landmarks)
        objects = find_objects(edit, landmarks)
        self._ground = edit.stand_in if edit.tone is not None and edit.mode in ("auto", "delta") else None
        gap = gap_between_lips(self._places, landmarks)
        rest = edit if self._ground is None else above(edit)
        self._layers: Layers = make_layers(rest, objects.soft, objects.rigid, gap)
        self.rigid = None
        if objects.rigid is not None and landmarks is not None:
            self.rigid = RigidLayer(edit.edited, objects.rigid, landmarks)
        self._gate = None
        carried = self._layers.touched.any(axis=2)
        if landmarks is not None and not edit.is_global and carried.any():
            gate = FaceGate(carried & edit.visible, landmarks)
            self._gate = gate if gate.share > 0.5 else None
        h, w = edit.mask.shape
        small = (max(1, w // self.config.step_px), max(1, h // self.config.step_px))
        self._small_reference = cv2.resize(edit.reference, small, interpolation=cv2.INTER_AREA)
        # Widened by a cell on each side, so that no change is lost between the cells.
        near = np.ones((3, 3), np.uint8)
        self._own_mask = cv2.resize(edit.mask, small, interpolation=cv2.INTER_AREA)
        self._small_mask = cv2.dilate(self._own_mask, near)
        known = np.ones_like(edit.mask) if edit.known is None else edit.known
        self._known = cv2.resize(known, small, interpolation=cv2.INTER_AREA)
        gated = carried if self._gate is None or self._gate.free is None else carried & (self._gate.free == 0)
        marked = np.dstack([self._layers.touched, gated.astype(np.float32)])
        cells = cv2.resize(marked, small, interpolation=cv2.INTER_AREA)
        self._small_work = cv2.dilate(
            (cells > 0).astype(np.uint8), near
        )  # change, paint, limited by the gate
        self._shrink = np.array([small[0] / w, small[1] / h], np.float32)
        self._landed: tuple[Landmarks | None, tuple[int, int], Box | None] | None = None  # the last `landing`
        self._meter = None
        bound = landmarks is not None and edit.box is not None and not leaves_head(edit.box, landmarks)
        if self.config.follow_blur and landmarks is not None and bound:
            self._meter = SoftnessMeter(edit.reference, landmarks)

    def compose(
        self,
        frame: Image,
        match: Match,
        weight: float = 1.0,
        known: float = 1.0,
        *,
        only: Bool | None = None,
        coloured: Coloured | None = None,
    ) -> Composition:
        """Composes the edit on a frame.

        Args:
            frame: RGB uint8 (H, W, 3).
            match: the match of this frame with the edit's reference.
            weight: multiplies the edit's strength, [0, 1].
            known: multiplies the trust in the match, [0, 1].
            only: cells of CELL pixels outside which nothing is needed, bool (rows, columns), with their
                neighbours marked; None for the whole frame.
            coloured: the frame in the colours of a look of the whole picture, if they are known already.

        Raises:
            ValueError: a match of another frame size or reference size.
        """
        size = check_image(frame, "frame")
        if match.frame_size != size or match.reference_size != self.edit.mask.shape:
            raise ValueError(
                f"match is of a frame {match.frame_size} and a reference {match.reference_size}, "
                f"got a frame {size} and a reference {self.edit.mask.shape}"
            )
        strength = weight * self.edit.strength
        box = self.landing(match.landmarks, size)
        if box is None or strength <= 0:
            return Composition(frame, None, 0.0)
        if only is not None:
            box = overlap(box, cells_box(only, size))
            if box is None:
                return Composition(frame, None, 0.0)
        if self.edit.tone is not None and self.edit.is_tone:
            toned = cv2.LUT(frame, self.edit.tone[None])
            image = toned if strength == 1 else cv2.addWeighted(frame, 1 - strength, toned, strength, 0)
            return Composition(image, (0, 0, size[1], size[0]), 1.0)
        live = live_areas(self._places, match.landmarks, size)
        weights = self._weigh(frame, match, box, live)
        if known < 1:
            weights = replace(weights, trust=weights.trust * np.float32(known))
        if self.edit.stand_in is None:
            box = tight(weights.mask, box, weights.reach)
        placed = None
        if self.rigid is not None and match.landmarks is not None:
            placed = self.rigid.place(match.landmarks, size, weights.reach)
        if box is None and placed is None:
            return Composition(frame, None, 0.0)
        image = frame.copy()
        if box is not None:
            self._fill(image, frame, match, weights.cut(box), strength, only, coloured)
            keep_live(image, frame, box, live, self.edit)
        if placed is not None:
            self._lay(image, placed, match, weights, strength)
            box = union(box, placed.box)
        if self.edit.stand_in is None and box is not None:  # a look of the whole picture goes on over a hand
            uncover(image, frame, match.hidden, box)
        return Composition(image, box, weights.coverage, weights.seen)

    def _lay(self, image: Image, placed: Placed, match: Match, weights: Weights, strength: float) -> None:
        """Lays the rigid objects over a composed frame, in place. What hides the face hides them too."""
        assert self.rigid is not None
        assert match.landmarks is not None
        total = float(weights.mask.sum())
        light = (weights.gain * weights.mask[..., None]).sum(axis=(0, 1)) / max(total, 1e-6)
        gain = float(light @ LUMA) if total > 0 else 1.0
        trust = on_face(np.asarray(weights.cut(placed.box).trust, np.float32), match.landmarks, placed.box)
        self.rigid.lay(image, placed, gain, trust * np.float32(strength), weights.softness)

    def _fill(
        self,
        image: Image,
        frame: Image,
        match: Match,
        weights: Weights,
        strength: float,
        only: Bool | None,
        coloured: Coloured | None,
    ) -> None:
        """Composes those tiles of the weights' box that the edit may change, in place."""
        layers, small_work = self._layers, self._small_work
        if weights.softness is not None:
            layers = soften(layers, weights.softness)
            cells = int(np.ceil(weights.softness.most * self._shrink.max()))
            small_work = cv2.dilate(small_work, np.ones((2 * cells + 1, 2 * cells + 1), np.uint8))
        x0, y0, x1, y1 = weights.box
        size, live, out = (y1 - y0, x1 - x0), frame[y0:y1, x0:x1], image[y0:y1, x0:x1]
        places = Places(match, weights.box)
        doubt = toned = None
        unknown = 1 - weights.trust
        if self._ground is not None:
            ground = in_colours(self.edit, frame, weights.box, unknown, coloured)
            out[:] = ground if strength == 1 else cv2.addWeighted(live, 1 - strength, ground, strength, 0)
        elif self.edit.stand_in is not None and float(weights.trust.min()) < 0.98:
            doubt = unknown * np.float32(strength)
            bare = np.ceil(unknown - 0.02)  # the share is taken below
            toned = in_colours(self.edit, frame, weights.box, bare, coloured)
        work = busy_cells(small_work, self._shrink, places.cells) > 0
        planes = weigh_pixels(weights.gain, weights.trust * np.float32(strength), doubt, size, work[..., 1])
        busy: Bool = (
            work[..., 0] | work[..., 1] if planes.doubt is None else np.ones(work.shape[:2], np.bool_)
        )
        if only is not None:
            busy = busy & cells_in(only, weights.box)
        allowed = None
        if self._gate is not None and match.landmarks is not None:
            allowed = self._gate.allowed(match.landmarks, weights.box, weights.reach)

        def compose(tile: Tile) -> None:
            made = out[tile]  # still live, or in the look's colours
            compose_tile(made, layers, places.maps(tile), planes.cut(tile), work, tile)
            if toned is not None and planes.doubt is not None:
                made[:] = mix_toned(made, live[tile], toned[tile], planes.doubt[tile])
            if allowed is not None and self._gate is not None:
                at = places.on(tile)
                for part in parts(work[..., 2], tile):
                    self._gate.shut(made[part], live[tile][part], at[part], allowed[tile][part])

        threads = 1 if self._landmarks is None else 2  # what is behind a person is composed beside the match
        each_tile(compose, list(tiles(busy, size)), threads)

    def coloured(self, frame: Image) -> Coloured | None:
        """Maps a frame to the colours of a look of the whole picture, for `compose`; None for other edits."""
        return None if self._ground is None else Coloured.of(self.edit, frame)

    @property
    def is_local(self) -> bool:
        """Whether the edit lands on a part of the frame that the landmarks of a face tell."""
        return self._landmarks is not None and self.edit.box is not None and self.edit.stand_in is None

    def landing(self, landmarks: Landmarks | None, size: tuple[int, int]) -> Box | None:
        """Finds the box of a frame, (x0, y0, x1, y1), where the edit can land. None if it can land nowhere.

        Args:
            landmarks: landmarks of the frame; None without a face.
            size: (H, W) of the frame.
        """
        if self.edit.box is None:
            return None
        if self.edit.stand_in is not None:
            return 0, 0, size[1], size[0]
        known = self._landed
        if known is not None and known[0] is landmarks and known[1] == size:
            return known[2]
        reference_size = (self.edit.mask.shape[0], self.edit.mask.shape[1])
        box = landing_box(self.edit.box, self._landmarks, landmarks, reference_size, size)
        self._landed = landmarks, size, box
        return box

    def _weigh(self, frame: Image, match: Match, box: Box, live: Areas) -> Weights:
        """Computes mask, trust and light gain on a coarse grid over a box of the frame."""
        config = self.config
        size = match.frame_size
        x0, y0, x1, y1 = box
        columns, rows = (max(1, round(side / config.step_px)) for side in (x1 - x0, y1 - y0))
        values = coarse_values(match, box, (rows, columns), doubted=self.edit.stand_in is not None)
        free = seen_share(match, box, (rows, columns))
        certain = confidence_of(values[..., 2], config.radius * min(size))
        trust = smoothstep(certain, config.trust_low, config.trust_high)
        confidence = np.asarray(certain * free, np.float32)
        at = rescaled(values[..., :2] + centres(box, (rows, columns)), self._shrink)
        if self.edit.stand_in is not None:  # beyond the reference's border no place is known
            trust = trust * cv2.remap(self._known, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        mask = cv2.remap(self._small_mask, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        in_view = mask * free
        total = float(in_view.sum())
        coverage = float((in_view * trust).sum()) / total if total > 0 else 0.0
        own = cv2.remap(self._own_mask, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        seen = LandingGrid(less_live(own, live, box) * free, values[..., 2])
        gain = np.ones((rows, columns, 3), np.float32)
        if config.follow_light and self._ground is None:
            border = cv2.BORDER_REPLICATE
            before = cv2.remap(self._small_reference, at, None, cv2.INTER_LINEAR, borderMode=border)
            now = shrink(frame[y0:y1, x0:x1], rows, columns)
            side = 0.3 * min(size) if match.landmarks is None else face_size(match.landmarks)
            sigma = max(1.0, config.light_reach * side / config.step_px)
            gain = light_gain(now, before, confidence, sigma, config.light_rest)
            gain = np.clip(gain, config.gain_min, config.gain_max)
        softness = None
        if self._meter is not None:
            softness = self._meter.measure(frame, match, config.radius * min(size))
        return Weights(box, mask, gain, trust, coverage, seen, softness)
