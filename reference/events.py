"""Events of a stream's edit, for the log and the page.

`now_s` is the time of the frame at which the event happened, seconds.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FaceFound:
    """A face is seen for the first time, or again after none was seen."""

    now_s: float


@dataclass(frozen=True, slots=True)
class FaceLost:
    """The face is no longer seen."""

    now_s: float


@dataclass(frozen=True, slots=True)
class CameraFound:
    """The camera's motion is known again. The edit behind the person comes back."""

    now_s: float


@dataclass(frozen=True, slots=True)
class CameraLost:
    """The camera's motion is no longer known. The edit behind the person fades out."""

    now_s: float


@dataclass(frozen=True, slots=True)
class EditChanged:
    """This frame is the first one with another edit. `present` is False if the edit was removed."""

    now_s: float
    present: bool


@dataclass(frozen=True, slots=True)
class KeyframeMade:
    """A past frame joined the bank.

    Attributes:
        now_s: time of the frame, seconds.
        index: the keyframe's index in `Propagator.keyframes()`.
        known: share of its edit that came from earlier keyframes, [0, 1].
        passed: whether it shows a view that was passed before another keyframe was made. It does not serve
            until that view comes back.
    """

    now_s: float
    index: int
    known: float
    passed: bool = False


@dataclass(frozen=True, slots=True)
class KeyframeRefused:
    """A frame was not made a keyframe. `reason` says why, in words for the user."""

    now_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class ReferenceSwitched:
    """Another keyframe serves from this frame on. The change is cross-faded.

    Attributes:
        now_s: time of the frame, seconds.
        index: the keyframe's index in `Propagator.keyframes()`.
        reason: why, in words for the user.
    """

    now_s: float
    index: int
    reason: str


Event = (
    FaceFound
    | FaceLost
    | CameraFound
    | CameraLost
    | EditChanged
    | KeyframeMade
    | KeyframeRefused
    | ReferenceSwitched
)
