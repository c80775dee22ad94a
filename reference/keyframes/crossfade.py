"""The cross-fade from one keyframe's edit to another's. Pixels change sooner where the new one is surer."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from correspondence import Box, Float, Image, Landmarks, Match, Matcher
from correspondence.certainty.uncertainty import confidence_of
from correspondence.face.mesh import similarity
from correspondence.types import Patch
from reference.compose.blend_weights import union
from reference.compose.composite import Composition
from reference.compose.sampling import coarse_values
from reference.face.view import RIGID
from reference.keyframes.pair import cells_of, mix
from reference.keyframes.sights import ReadyKeyframe, radius_px

STEP_PX = 4  # cell of the grid on which the two matches are compared, pixels
LAG = 0.5  # delay, as a share of the fade, of pixels where only the old keyframe is sure


class CrossFade:
    """One change of keyframe. It is made when the fade begins and dropped when it is `done`.

    Args:
        old: the keyframe that served until now.
        match: the last frame's match with `old`; None if there is none.
        frames: number of frames that show both keyframes.
        radius: radius of the confidence, share of the face size, see `sights.radius_px`.
        apart: how the matches with the two keyframes differ; if None, the old one is matched once.
    """

    def __init__(
        self, old: ReadyKeyframe, match: Match | None, frames: int, radius: float, apart: Apart | None = None
    ) -> None:
        self._old = old
        self._match = match
        self._frames = frames
        self._radius = radius
        self._shown = 0
        self._apart = apart

    @property
    def done(self) -> bool:
        """Whether only the new keyframe shows from the next frame on."""
        return self._shown >= self._frames

    def blend(
        self,
        frame: Image,
        match: Match,
        new: Composition,
        worn: ReadyKeyframe,
        landmarks: Landmarks | None,
        strength: float,
        matcher: Matcher,
    ) -> Composition:
        """Composes the next frame of the fade. Pixels that neither edit changes stay the frame's.

        Args:
            frame: uint8 (H, W, 3).
            match: the match of the frame with the new keyframe.
            new: the composition made with that match.
            worn: the new keyframe.
            landmarks: landmarks of the frame; None if the face is lost.
            strength: strength of both edits, [0, 1].
            matcher: matches the frame with the old keyframe if that is another picture and its match is not
                known otherwise.
        """
        self._shown += 1
        before = self._match_old(frame, match, worn, landmarks, matcher)
        if before is None:
            self._shown = self._frames
            return new
        old = self._old.compositor.compose(frame, before, strength)
        box = union(old.box, new.box)
        if box is None:
            return new
        image = mix(frame, old.image, new.image, box, self._weight(before, match, box))
        return Composition(image, box, new.coverage, new.seen)

    def _match_old(
        self, frame: Image, match: Match, worn: ReadyKeyframe, landmarks: Landmarks | None, matcher: Matcher
    ) -> Match | None:
        """The frame's match with the old keyframe; None if there is none."""
        if self._old.keyframe.prepared is worn.keyframe.prepared:
            return match
        size = (frame.shape[0], frame.shape[1])
        last = self._match if self._match is not None and self._match.frame_size == size else None
        if landmarks is None:
            return last
        if self._apart is None or self._apart.frame_size != size:
            before = matcher.match(frame, self._old.keyframe.prepared, last, landmarks=landmarks)
            self._apart = Apart.between(before, match, landmarks)
            return before
        return self._apart.carried(match, landmarks)

    def _weight(self, old: Match, new: Match, box: Box) -> Float:
        """Share of the new edit, see `pair.mix`. It rises by at most (1 + LAG) / (frames + 1) per frame."""
        size = cells_of(box)
        reach = radius_px(self._radius, new.landmarks, new.frame_size)
        a, b = (confidence_of(coarse_values(m, box, size)[..., 2], reach) for m in (old, new))
        late = np.float32(LAG) * (a + 1e-3) / (a + b + 2e-3)
        time = np.float32((1 + LAG) * self._shown / (self._frames + 1))
        return np.clip(time - late, 0, 1).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Apart:
    """The difference between a frame's matches with an old and a new reference.

    With it, later frames need not be matched with the old reference.

    Attributes:
        values: float32 (rows, columns, 3): (dx, dy) of the old match minus those of the new one, and the old
            match's log_b.
        landmarks: landmarks of the frame.
        frame_size: (H, W) of the frame.
        reference_size: (H, W) of the old reference.
    """

    values: Float
    landmarks: Landmarks
    frame_size: tuple[int, int]
    reference_size: tuple[int, int]

    @classmethod
    def between(cls, old: Match, new: Match | None, landmarks: Landmarks) -> Apart:
        """Computes the difference of two matches of one frame.

        Args:
            old: match with the old reference.
            new: match with the new reference; None if the frame itself is the new reference.
            landmarks: landmarks of the frame.
        """
        values = _grid(old)
        if new is not None:
            values[..., :2] -= _grid(new)[..., :2]
        return cls(values, landmarks, old.frame_size, old.reference_size)

    def carried(self, new: Match, landmarks: Landmarks) -> Match:
        """Returns a later frame's match with the old reference.

        It is the match with the new reference plus the difference, which is moved with the head.

        Args:
            new: the later frame's match with the new reference.
            landmarks: landmarks of the later frame.
        """
        rows, columns = self.values.shape[:2]
        cells = np.array([columns / self.frame_size[1], rows / self.frame_size[0]], np.float32)
        then, now = ((lm.points[list(RIGID), :2] + 0.5) * cells - 0.5 for lm in (self.landmarks, landmarks))
        values = cv2.warpAffine(
            self.values, similarity(then, now), (columns, rows), borderMode=cv2.BORDER_REPLICATE
        )
        values[..., :2] += _grid(new)[..., :2]
        patch = Patch(np.asarray(values, np.float32), (0, 0, self.frame_size[1], self.frame_size[0]))
        return Match((patch,), landmarks, self.frame_size, self.reference_size, hidden=new.hidden)


def _grid(match: Match) -> Float:
    """(dx, dy, log_b) on an even grid over the frame, float32 (rows, columns, 3); a new array."""
    height, width = match.frame_size
    size = (max(1, round(height / STEP_PX)), max(1, round(width / STEP_PX)))
    return np.array(coarse_values(match, (0, 0, width, height), size))
