"""What frames show while keyframes change: cross-fades, and the user's own beside a made one."""

from __future__ import annotations

from correspondence import Image, Landmarks, Match, Matcher
from reference.compose.composite import Composition
from reference.keyframes.crossfade import Apart, CrossFade
from reference.keyframes.keeper_config import KeeperConfig
from reference.keyframes.pair import Partner
from reference.keyframes.sights import ReadyKeyframe


class Showing:
    """Of one stream, used from the thread of its steps.

    Args:
        matcher: as the stream's.
        config: how long a fade is, and when two keyframes are matched.
    """

    def __init__(self, matcher: Matcher, config: KeeperConfig) -> None:
        self._matcher, self._config = matcher, config
        self._fade: CrossFade | None = None
        self._partner = Partner(matcher)
        self._paired = False  # there is time to match the user's own beside the made keyframe that serves

    @property
    def fading(self) -> bool:
        """Frames still show two keyframes of a change."""
        return self._fade is not None

    def stop(self) -> None:
        """End a fade at once."""
        self._fade = None

    def change(
        self,
        old: ReadyKeyframe,
        new: ReadyKeyframe,
        last: Match | None,
        apart: Apart | None,
        *,
        fades: bool,
        match_s: float,
    ) -> None:
        """Another keyframe serves from the next frame on.

        Args:
            old: what served; last: the last frame's match with it.
            apart: how the matches with the two differ, None where that is not known.
            fades: False: the new one shows at once.
            match_s: how long a match takes.
        """
        frames = self._config.fade_frames
        if fades and frames > 0:
            self._fade = CrossFade(old, last, frames, self._config.radius, apart)
        if not new.keyframe.pinned:
            self._paired = match_s < self._config.pair_match_s

    def blend(
        self,
        frame: Image,
        match: Match,
        new: Composition,
        worn: ReadyKeyframe,
        landmarks: Landmarks | None,
        strength: float,
    ) -> Composition:
        """The frame's composition, for a few frames after a change cross-faded with the last keyframe's.

        Args:
            frame: uint8 (H, W, 3).
            match: of it with the keyframe that serves; new: the composition; worn: what made it.
            landmarks: of the frame, None where the face is lost.
            strength: of the edit, [0, 1].
        """
        shown = new
        if self._fade is not None:
            shown = self._fade.blend(frame, match, new, worn, landmarks, strength, self._matcher)
            if self._fade.done:
                self._fade = None
        return self._partner.over(shown, frame, worn, (match, new), landmarks, strength, paired=self._paired)
