"""What happens to a stream's edit from frame to frame, for the log and the page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FaceFound:
    """A face is seen after none was."""

    now_s: float


@dataclass(frozen=True, slots=True)
class FaceLost:
    """No face is seen after one was."""

    now_s: float


@dataclass(frozen=True, slots=True)
class CameraFound:
    """The camera's motion is known again, and what was edited behind the person comes back."""

    now_s: float


@dataclass(frozen=True, slots=True)
class CameraLost:
    """The camera's motion is not known, and what was edited behind the person goes."""

    now_s: float


@dataclass(frozen=True, slots=True)
class EditChanged:
    """This frame is the first with another edit; `present` is False where it was removed."""

    now_s: float
    present: bool


@dataclass(frozen=True, slots=True)
class KeyframeMade:
    """A past frame joined the bank.

    Attributes:
        now_s: when.
        index: its place in `Propagator.keyframes()`.
        known: share of its edit that came from earlier keyframes, [0, 1].
        passed: it is a view on the way to a keyframe, and does not serve before that view comes back.
    """

    now_s: float
    index: int
    known: float
    passed: bool = False


@dataclass(frozen=True, slots=True)
class KeyframeRefused:
    """A frame was examined and not made a keyframe; `reason` says why, in words for the user."""

    now_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class ReferenceSwitched:
    """From this frame on another keyframe serves, cross-faded.

    Attributes:
        now_s: when.
        index: its place in `Propagator.keyframes()`.
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
