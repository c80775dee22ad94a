"""From one keyframe's edit to another's over a few frames, sooner where the new one is surer."""

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

STEP_PX = 4  # grid on which the two references' places are compared
LAG = 0.5  # by how much of the fade pixels start later where only the old one is sure


class CrossFade:
    """One change of keyframe; made when it begins, dropped when `done`.

    Args:
        old: what served until now; match: the last frame's with it.
        frames: how many show both.
        radius: of the confidence, see `sights.radius_px`.
        apart: how the two keyframes' matches differ where that is known; else the old one is matched once.
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
        """Only the new one shows from the next frame on."""
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
        """The next frame of the fade.

        Pixels that neither edit changes stay the frame's.

        Args:
            frame: uint8 (H, W, 3).
            match: of it with the new keyframe; new: the composition; worn: what made it.
            landmarks: of the frame, None where the face is lost.
            strength: of both edits, [0, 1].
            matcher: finds the old keyframe in the first frame where it is another picture, if need be.
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
        """The frame's match with the old keyframe; None where there is none to go on."""
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
        """Share of the new edit, see `pair.mix`; rises by at most (1 + LAG) / (frames + 1) a frame."""
        size = cells_of(box)
        reach = radius_px(self._radius, new.landmarks, new.frame_size)
        a, b = (confidence_of(coarse_values(m, box, size)[..., 2], reach) for m in (old, new))
        late = np.float32(LAG) * (a + 1e-3) / (a + b + 2e-3)
        time = np.float32((1 + LAG) * self._shown / (self._frames + 1))
        return np.clip(time - late, 0, 1).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Apart:
    """How two references' matches of one frame differ: spares matching the old one in the frames after.

    Attributes:
        values: float32 (rows, columns, 3): (dx, dy) of the old match less the new one's, and its log_b.
        landmarks: of that frame.
        frame_size, reference_size: (H, W) of it and of the old reference.
    """

    values: Float
    landmarks: Landmarks
    frame_size: tuple[int, int]
    reference_size: tuple[int, int]

    @classmethod
    def between(cls, old: Match, new: Match | None, landmarks: Landmarks) -> Apart:
        """Of two matches of one frame; None for the frame's match with itself."""
        values = _grid(old)
        if new is not None:
            values[..., :2] -= _grid(new)[..., :2]
        return cls(values, landmarks, old.frame_size, old.reference_size)

    def carried(self, new: Match, landmarks: Landmarks) -> Match:
        """The old reference's match of a later frame: the new one's plus the difference, moved with it."""
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
    """(dx, dy, log_b) on an even grid over the frame, float32 (rows, columns, 3), to be changed freely."""
    height, width = match.frame_size
    size = (max(1, round(height / STEP_PX)), max(1, round(width / STEP_PX)))
    return np.array(coarse_values(match, (0, 0, width, height), size))
