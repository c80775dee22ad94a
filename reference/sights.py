"""A frame seen from one keyframe: where the edit lies in it, how sure that is, and what it looks like."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from correspondence import Matcher
from correspondence.types import Float, Image, Landmarks, Match
from reference.bank import Keyframe
from reference.composite import CompositeConfig, Compositor
from reference.edits import Edit, Mode
from reference.policy import coverage
from reference.sampling import coarse_values, places

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
        mask: the edit's mask where it lies in the frame, float32 (H, W), [0, 1].
        places: where in the keyframe each pixel is seen, float32 (H, W, 2), pixels.
        covered: share of the edited area that is seen with confidence, [0, 1].
    """

    keyframe: Keyframe
    edit: Edit
    match: Match
    confidence: Float
    mask: Float
    places: Float
    covered: float

    def composed(self, frame: Image, look: Look) -> Image:
        """The whole edit on the frame at full strength, wherever it is thought to lie."""
        if self.edit.strength <= 0:
            return frame
        config = replace(look.composite, trust_low=0.0, trust_high=ALL_TRUST)
        compositor = Compositor(self.edit, self.keyframe.prepared.landmarks, config)
        return compositor.compose(frame, self.match, 1 / self.edit.strength).image


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
        radius: of the confidence, share of the frame's shorter side.
        threshold: confidence at which a place counts as covered.
    """
    size = (frame.shape[0], frame.shape[1])
    match = matcher.match(frame, keyframe.prepared, landmarks=landmarks)
    edit = look.edit(keyframe)
    whole = (0, 0, size[1], size[0])
    pixels = np.stack(
        np.meshgrid(np.arange(size[1], dtype=np.float32), np.arange(size[0], dtype=np.float32)), axis=-1
    )
    at = places(match, whole, pixels)
    mask = cv2.remap(edit.mask, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    rows, columns = (max(1, round(side / CELL_PX)) for side in size)
    sure = confident(coarse_values(match, whole, (rows, columns))[..., 2], radius * min(size))
    weight = cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_AREA)
    return Sight(keyframe, edit, match, sure, mask, at, coverage(sure, weight, threshold))


def confident(log_b: Float, radius_px: float) -> Float:
    """P(both components err by less than `radius_px`), see `correspondence.confidence`; any shape."""
    one = -np.expm1(-np.float32(radius_px) * np.exp(-log_b))
    return np.asarray(one * one, np.float32)
