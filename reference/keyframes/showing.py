"""What frames show while keyframes change: cross-fades, and the user's keyframe beside a made one."""

from __future__ import annotations

from correspondence import Image, Landmarks, Match, Matcher
from reference.compose.composite import Composition
from reference.keyframes.crossfade import Apart, CrossFade
from reference.keyframes.keeper_config import KeeperConfig
from reference.keyframes.pair import Partner
from reference.keyframes.sights import ReadyKeyframe


class Showing:
    """Composes the frames of one stream while its keyframes change. Use it from the thread of `step` only.

    Args:
        matcher: the stream's matcher.
        config: gives the length of a fade, and when two keyframes are matched.
    """

    def __init__(self, matcher: Matcher, config: KeeperConfig) -> None:
        self._matcher, self._config = matcher, config
        self._fade: CrossFade | None = None
        self._partner = Partner(matcher)
        self._paired = False  # whether there is time to match the user's keyframe beside the made one

    @property
    def fading(self) -> bool:
        """Whether a cross-fade between two keyframes is going on."""
        return self._fade is not None

    def stop(self) -> None:
        """Ends a fade at once."""
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
        """Tells that another keyframe serves from the next frame on.

        Args:
            old: the keyframe that served.
            new: the keyframe that serves now.
            last: the last frame's match with `old`; None if there is none.
            apart: how the matches with the two differ; None if that is not known.
            fades: False shows the new one at once.
            match_s: average duration of a match, seconds.
        """
        config = self._config
        hurried = match_s > config.hurried_match_s
        frames = min(config.fade_frames, config.hurried_frames) if hurried else config.fade_frames
        if fades and frames > 0:
            self._fade = CrossFade(old, last, frames, config.radius, apart)
        if not new.keyframe.pinned:
            self._paired = match_s < config.pair_match_s

    def blend(
        self,
        frame: Image,
        match: Match,
        new: Composition,
        worn: ReadyKeyframe,
        landmarks: Landmarks | None,
        strength: float,
    ) -> Composition:
        """Returns the composition to show. After a change it is cross-faded with the old keyframe's.

        Args:
            frame: uint8 (H, W, 3).
            match: the match of the frame with the keyframe that serves.
            new: the composition made with that match.
            worn: the keyframe that serves.
            landmarks: landmarks of the frame; None if the face is lost.
            strength: strength of the edit, [0, 1].
        """
        shown = new
        if self._fade is not None:
            shown = self._fade.blend(frame, match, new, worn, landmarks, strength, self._matcher)
            if self._fade.done:
                self._fade = None
        return self._partner.over(shown, frame, worn, (match, new), landmarks, strength, paired=self._paired)
