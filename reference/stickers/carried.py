"""Lays stickers that the head carries over a composed frame.

Each is placed once, on its still, and follows the head's pose from there. It needs no match: the landmarks
of the frame say where it is. It keeps its shape and follows the light on the face. What hides the face hides
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from correspondence import Box, Image, Landmarks, Match
from reference.compose.blend_weights import union
from reference.compose.composite import CompositeConfig, Composition
from reference.compose.rigid import RigidLayer
from reference.compose.surface import flat_surface
from reference.compose.uncover import uncover
from reference.edits.mask import smoothstep
from reference.face.parts import face_size
from reference.face.sticker import HeadSticker, Rgba, face_light

MARGIN = 0.3  # margin of a sticker's canvas around face and sticker, face sizes
RIM_PX = 3  # reach over which a sticker's colour goes on beyond its outline, pixels


class CarriedStickers:
    """The stickers of one keyframe that the head carries. Immutable; may be shared by threads.

    Args:
        stickers: at least one, the lowest first.
        config: settings of composition.
    """

    def __init__(self, stickers: Sequence[HeadSticker], config: CompositeConfig) -> None:
        self._config = config
        self._layers = [(each, _layer(each)) for each in stickers if each.strength > 0]

    def landing(self, landmarks: Landmarks, size: tuple[int, int]) -> Box | None:
        """Find the box of a frame, (x0, y0, x1, y1), where they land. None if they are out of the frame."""
        box: Box | None = None
        for _, layer in self._layers:
            placed = layer.place(landmarks, size)
            box = box if placed is None else union(box, placed.box)
        return box

    def lay(
        self, frame: Image, match: Match, composition: Composition, strength: float, *, alone: bool
    ) -> Composition:
        """Lay them over a composed frame.

        Args:
            frame: the live frame, uint8 (H, W, 3).
            match: its match. Only landmarks, and what hides the face, are used.
            composition: the composed frame; its picture is not written to.
            strength: multiplies their own, [0, 1].
            alone: whether the edit has nothing else. The coverage is 1 then.
        """
        if alone:
            composition = replace(composition, coverage=1.0)
        landmarks = match.landmarks
        if landmarks is None or strength <= 0:
            return composition
        size = (frame.shape[0], frame.shape[1])
        places = [(each, layer, layer.place(landmarks, size)) for each, layer in self._layers]
        if all(placed is None for _, _, placed in places):
            return composition
        image, box = composition.image.copy(), composition.box
        light = face_light(frame, landmarks)
        for each, layer, placed in places:
            if placed is None:
                continue
            opacity = np.full(placed.places.shape[:2], strength * each.strength, np.float32)
            layer.lay(image, placed, self._gain(light / each.light), opacity)
            uncover(image, frame, match.hidden, placed.box)
            box = union(box, placed.box)
        return replace(composition, image=image, box=box)

    def _gain(self, ratio: float) -> float:
        """The light gain of a frame; small differences count as none."""
        config = self._config
        if not config.follow_light:
            return 1.0
        log = float(np.log(ratio))
        share = float(smoothstep(np.array(abs(log), np.float32), config.light_rest, 3 * config.light_rest))
        return float(np.clip(np.exp(share * log), config.gain_min, config.gain_max))


def _layer(placed: HeadSticker) -> RigidLayer:
    """Draw a sticker on a canvas of its own, which may reach beyond the still, as a rigid layer."""
    sticker, landmarks = placed.sticker, placed.landmarks
    size = face_size(landmarks)
    x0, y0, x1, y1 = landmarks.box
    for place in sticker.places(landmarks):
        reach = place.width * np.hypot(1, sticker.picture.shape[0] / sticker.picture.shape[1]) / 2
        x0, x1 = min(x0, place.x - reach), max(x1, place.x + reach)
        y0, y1 = min(y0, place.y - reach), max(y1, place.y + reach)
    corner = np.floor(np.array([x0, y0]) - MARGIN * size)
    width, height = (np.ceil(np.array([x1, y1]) + MARGIN * size) - corner).astype(int)
    points = landmarks.points - np.array([*corner, 0], np.float32)
    here = Landmarks(points.astype(np.float32), (int(height), int(width)))
    drawn = sticker.drawn(here)
    alpha = drawn[..., 3].astype(np.float32) / np.float32(255)
    surface = flat_surface(_around(drawn), here, sticker.depth(here))
    return RigidLayer(_widened(drawn), alpha, here, surface)


def _around(drawn: Rgba) -> Box:
    x, y, w, h = cv2.boundingRect(drawn[..., 3])
    return x, y, x + w, y + h


def _widened(drawn: Rgba) -> Image:
    """The colours of a sticker, continued beyond its outline against a dark rim, uint8 (H, W, 3)."""
    share = drawn[..., 3:].astype(np.float32)
    side = (2 * RIM_PX + 1, 2 * RIM_PX + 1)
    colour = cv2.blur(drawn[..., :3] * share, side) / np.maximum(cv2.blur(share, side)[..., None], 1e-3)
    near = np.clip(np.rint(colour), 0, 255).astype(np.uint8)
    return np.where(drawn[..., 3:] > 0, drawn[..., :3], near)
