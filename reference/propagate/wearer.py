"""One person of a stream: their last match, and the fade of the edit while their face is not found."""

from __future__ import annotations

from typing import Any

import numpy as np

from correspondence import Image, Landmarks, Match, Matcher, Prepared
from correspondence.matchers.coarse import Begun
from correspondence.types import Patch
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
        self._seen: tuple[Image, Landmarks] | None = None  # the last frame that showed the face
        self._served: Prepared | None = None  # the reference of the last match
        self.previous: Match | None = None
        self.fade = fade

    def begin(self, frame: Image, worn: ReadyKeyframe, thin: int = 0) -> Begun | None:
        """Starts a match before the face is found. None if a window or nothing will be matched.

        Args:
            frame: uint8 (H, W, 3).
            worn: the keyframe that serves.
            thin: how far the match gives way, see `Matcher.match`.
        """
        if worn.edit.is_tone:
            return None
        prepared = worn.keyframe.prepared
        wants = getattr(self._matcher, "wants_begin", None)
        previous = self._previous_with(worn, frame)
        if wants is None or wants(prepared, previous, thin, whole=not worn.is_local):
            return self._matcher.begin(frame, prepared)
        return None

    def _previous_with(self, worn: ReadyKeyframe, frame: Image) -> Match | None:
        """The last frame's match, if it is with the same reference and of the same size."""
        previous = self.previous if self._served is worn.keyframe.prepared else None
        return None if previous is None or previous.frame_size != frame.shape[:2] else previous

    def match(
        self,
        step: Step,
        worn: ReadyKeyframe,
        landmarks: Landmarks | None,
        begun: Begun | None,
        stage: str = "match",
    ) -> Match | None:
        """Matches the frame, and updates the fade.

        A pure change of tone is not matched, since its place does not matter: each pixel stays where it is.
        When the face is lost but its place still shows the same, the last match is returned while the edit
        fades out. Otherwise, and after the fade, None is returned.

        Args:
            step: the running step, with the frame.
            worn: the keyframe that serves.
            landmarks: landmarks of the person's face; None if it is not found.
            begun: the result of `begin`, or what `Matcher.begin` started for the frame and this keyframe.
            stage: name under which the match is timed.

        Raises:
            StageError: the matcher failed.
        """
        previous = self._previous_with(worn, step.frame)
        self._served = worn.keyframe.prepared
        bound_to_face = worn.keyframe.prepared.landmarks is not None
        bound_to_face &= not (worn.edit.is_global or worn.edit.is_empty)
        if landmarks is None and bound_to_face:
            spot = None if previous is None or self._seen is None else Spot.of(*self._seen)
            stays = spot is not None and spot.shown_in(step.frame)
            self.fade = max(0.0, self.fade - 1 / self._fade_frames) if stays else 0.0
            if self.fade < 1e-6:
                self.previous = None
                self.fade = 0.0
                return None
            return previous
        if landmarks is not None:
            self._seen = step.frame, landmarks
            self.fade = min(1.0, self.fade + 1 / self._fade_frames)
        self.previous = None  # stays None if the match fails
        if worn.edit.is_tone:
            self.previous = _anywhere(step.frame, worn, landmarks)
            return self.previous
        with step.stage(stage):
            more = self._more(step, worn, landmarks)
            match = self._matcher.match(
                step.frame, worn.keyframe.prepared, previous, landmarks, begun, **more
            )
        self.previous = match
        return match

    def _more(self, step: Step, worn: ReadyKeyframe, landmarks: Landmarks | None) -> dict[str, Any]:
        """What a matcher of the package is told beside: the box where the edit lands, how far to give way."""
        if not hasattr(self._matcher, "wants_begin"):
            return {}
        box = None
        if landmarks is not None and worn.is_local:
            box = worn.landing(landmarks, (step.frame.shape[0], step.frame.shape[1]))
        return {"window": box, "thin": step.thin}


def _anywhere(frame: Image, worn: ReadyKeyframe, landmarks: Landmarks | None) -> Match:
    """The match of an edit whose place does not matter: the frame shows what the reference shows there."""
    height, width = frame.shape[:2]
    image = worn.keyframe.prepared.image
    patch = Patch(np.zeros((1, 1, 3), np.float32), (0, 0, width, height))
    return Match((patch,), landmarks, (height, width), (image.shape[0], image.shape[1]))
