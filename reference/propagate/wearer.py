"""One person of a stream: their last match, and the fade of the edit while their face is not found."""

from __future__ import annotations

from correspondence import Landmarks, Match, Matcher, Prepared
from correspondence.matchers.coarse import Begun
from reference.face.spot import Spot
from reference.keyframes.sights import ReadyKeyframe
from reference.propagate.result import Step


class Wearer:
    """Matches one person's face from frame to frame.

    Args:
        matcher: matches the frames.
        fade_frames: frames over which the edit fades out when the face is not found, and in again.
        fade: share of the edit that shows at first, [0, 1].

    Attributes:
        previous: the last frame's match; None if there is none.
        fade: share of the edit that shows, [0, 1].
    """

    def __init__(self, matcher: Matcher, fade_frames: int, fade: float = 1.0) -> None:
        self._matcher, self._fade_frames = matcher, fade_frames
        self._seen: Spot | None = None  # the face's place in the last frame that showed the face
        self._served: Prepared | None = None  # the reference of the last match
        self.previous: Match | None = None
        self.fade = fade

    def match(
        self, step: Step, worn: ReadyKeyframe, landmarks: Landmarks | None, begun: Begun, stage: str = "match"
    ) -> Match | None:
        """Matches the frame, and updates the fade.

        When the face is lost but its place still shows the same, the last match is returned while the edit
        fades out. Otherwise, and after the fade, None is returned.

        Args:
            step: the running step, with the frame.
            worn: the keyframe that serves.
            landmarks: landmarks of the person's face; None if it is not found.
            begun: what `Matcher.begin` started for the frame and this keyframe.
            stage: name under which the match is timed.

        Raises:
            StageError: the matcher failed.
        """
        previous = self.previous if self._served is worn.keyframe.prepared else None
        self._served = worn.keyframe.prepared
        if previous is not None and previous.frame_size != step.frame.shape[:2]:
            previous = None
        bound_to_face = worn.keyframe.prepared.landmarks is not None
        bound_to_face &= not (worn.edit.is_global or worn.edit.is_empty)
        if landmarks is None and bound_to_face:
            stays = previous is not None and self._seen is not None and self._seen.shown_in(step.frame)
            self.fade = max(0.0, self.fade - 1 / self._fade_frames) if stays else 0.0
            if self.fade < 1e-6:
                self.previous = None
                self.fade = 0.0
                return None
            return previous
        if landmarks is not None:
            self._seen = Spot.of(step.frame, landmarks)
            self.fade = min(1.0, self.fade + 1 / self._fade_frames)
        self.previous = None  # stays None if the match fails
        with step.stage(stage):
            match = self._matcher.match(step.frame, worn.keyframe.prepared, previous, landmarks, begun)
        self.previous = match
        return match
