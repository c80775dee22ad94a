"""Two keyframes on one frame: each pixel from the one whose place there is sure."""

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
    """Rows and columns of the grid over a box on which two keyframes are weighed."""
    x0, y0, x1, y1 = box
    return max(1, round((y1 - y0) / CELL_PX)), max(1, round((x1 - x0) / CELL_PX))


def sureness(edit: Edit, match: Match | None, box: Box, config: CompositeConfig) -> Float:
    """How sure an edit's place is, as it is composed, smooth: float32 (rows, columns), [0, 1].

    Args:
        edit: of the keyframe; one whose place does not matter is sure everywhere.
        match: of the frame with it; None is sure of nothing.
        box: of the frame, (x0, y0, x1, y1), on the grid of `cells_of`.
        config: how the edit is composed.
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
    """Two pictures of a frame in one, equal to the frame outside a box.

    Args:
        frame, first, second: uint8 (H, W, 3); the two equal `frame` outside `box`.
        share: of the second, float32 on the grid of `cells_of(box)`, [0, 1].
    """
    x0, y0, x1, y1 = box
    weight = np.clip(cv2.resize(share, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR), 0, 1)
    a, b = (np.ascontiguousarray(image[y0:y1, x0:x1]) for image in (first, second))
    out = frame.copy()
    out[y0:y1, x0:x1] = cv2.blendLinear(a, b, 1 - weight, weight)
    return out


class Partner:
    """The user's own keyframe beside one that was made from it: it gives every pixel it is sure of.

    What a made keyframe could not see of the edit is not in it; the user's own may show it on a later frame.
    Costs a match and a composition a frame while a made keyframe serves. One stream's, one thread's.

    Args:
        matcher: as the stream's.
    """

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._own: ReadyKeyframe | None = None  # the user's keyframe that served last
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
        """The user's own over what the frame would show.

        Args:
            shown: what it would show: `worn`'s composition, in a fade that of two keyframes.
            frame: uint8 (H, W, 3).
            worn: the keyframe that serves; served: its match and its composition alone.
            landmarks: of the frame; without them nothing is added.
            strength: of the edit, [0, 1].
            paired: False adds nothing, there being no time for it; the user's own is remembered all the same.
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
