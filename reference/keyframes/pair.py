"""Two keyframes on one frame: each pixel comes from the keyframe that is sure of its place."""

from __future__ import annotations

import cv2
import numpy as np

from correspondence import Box, Float, Image, Landmarks, Match, Matcher
from correspondence.certainty.uncertainty import confidence_of
from reference.compose.blend_weights import union
from reference.compose.composite import CompositeConfig, Composition
from reference.compose.sampling import coarse_values
from reference.edits.edit import Edit
from reference.edits.mask import smoothstep
from reference.keyframes.sights import CELL_PX, ReadyKeyframe

SEAM_CELLS = 1.5  # sigma over which one keyframe hands over to the other in space, cells


def cells_of(box: Box) -> tuple[int, int]:
    """Rows and columns of the grid over a box on which two keyframes are mixed."""
    x0, y0, x1, y1 = box
    return max(1, round((y1 - y0) / CELL_PX)), max(1, round((x1 - x0) / CELL_PX))


def sureness(edit: Edit, match: Match | None, box: Box, config: CompositeConfig) -> Float:
    """Computes how sure the places of an edit are on a frame.

    Args:
        edit: the keyframe's edit; an edit whose place does not matter is sure everywhere.
        match: the match of the frame with the keyframe; None is sure of nothing.
        box: a box of the frame, (x0, y0, x1, y1).
        config: how the edit is composed; gives the radius and the limits of trust.

    Returns:
        float32 (rows, columns) on the grid of `cells_of(box)`, [0, 1], smooth.
    """
    size = cells_of(box)
    if edit.is_empty or edit.is_tone:
        return np.ones(size, np.float32)
    if match is None:
        return np.zeros(size, np.float32)
    log_b = coarse_values(match, box, size)[..., 2]
    sure = smoothstep(
        confidence_of(log_b, config.radius * min(match.frame_size)), config.trust_low, config.trust_high
    )
    soft = cv2.GaussianBlur(sure, (0, 0), SEAM_CELLS, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(soft, np.float32)


def mix(frame: Image, first: Image, second: Image, box: Box, share: Float) -> Image:
    """Mixes two edited pictures of a frame inside a box.

    Args:
        frame: uint8 (H, W, 3).
        first, second: the edited pictures, uint8 (H, W, 3), equal to `frame` outside `box`.
        box: (x0, y0, x1, y1), pixels.
        share: share of `second`, float32 on the grid of `cells_of(box)`, [0, 1].

    Returns:
        uint8 (H, W, 3), equal to `frame` outside `box`.
    """
    x0, y0, x1, y1 = box
    weight = np.clip(cv2.resize(share, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR), 0, 1)
    a, b = (np.ascontiguousarray(image[y0:y1, x0:x1]) for image in (first, second))
    out = frame.copy()
    out[y0:y1, x0:x1] = cv2.blendLinear(a, b, 1 - weight, weight)
    return out


class Partner:
    """Lays the user's own keyframe over a made one wherever the user's is sure of its place.

    A made keyframe lacks the parts of the edit that its view hid. The user's own keyframe may show them on a
    later frame. This costs a match and a composition per frame while a made keyframe serves. An object
    belongs to one stream and one thread.

    Args:
        matcher: the stream's matcher.
    """

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._own: ReadyKeyframe | None = None  # the last of the user's keyframes that served
        self._last: Match | None = None

    def over(
        self,
        shown: Composition,
        frame: Image,
        worn: ReadyKeyframe,
        served: tuple[Match, Composition],
        landmarks: Landmarks | None,
        strength: float,
        *,
        paired: bool = True,
    ) -> Composition:
        """Lays the user's own keyframe over a composition.

        Args:
            shown: the composition so far: that of `worn`, or that of two keyframes during a fade.
            frame: uint8 (H, W, 3).
            worn: the keyframe that serves.
            served: the frame's match with `worn`, and the composition of `worn` alone.
            landmarks: landmarks of the frame; without them nothing is added while a made keyframe serves.
            strength: strength of the edit, [0, 1].
            paired: False adds nothing, to save time; the user's own keyframe is remembered all the same.
        """
        if worn.keyframe.pinned:
            if self._own is not worn:
                self._own, self._last = worn, None
            match, own = served
        elif not paired or self._own is None or landmarks is None:
            return shown
        else:
            size = (frame.shape[0], frame.shape[1])
            last = self._last if self._last is not None and self._last.frame_size == size else None
            prepared = self._own.keyframe.prepared
            match = self._matcher.match(frame, prepared, last, landmarks=landmarks)
            own = self._own.compositor.compose(frame, match, strength)
        self._last = match
        box = union(shown.box, own.box)
        if not paired or shown is own or box is None:
            return shown
        share = sureness(self._own.edit, match, box, self._own.compositor.config)
        image = mix(frame, shown.image, own.image, box, share)
        return Composition(image, box, max(shown.coverage, own.coverage), shown.seen)
