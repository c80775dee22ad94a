"""The newest events of a session's references, in words, for the page."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable

from reference import (
    CameraFound,
    CameraLost,
    Decision,
    Event,
    FaceFound,
    FaceLost,
    KeyframeMade,
    KeyframeRefused,
    ReferenceSwitched,
)
from stream.events import Message

KEPT = 40
MAX_TEXT = 200  # characters
COVERED = "covered"  # the policy's reason when nothing is to be done
CHANGING = "changing over to another keyframe"  # the keeper's reason during a change


class Journal:
    """Holds the newest `KEPT` entries.

    Each entry is {"at_ms", "kind", "text"}; `at_ms` counts from 1970.
    """

    def __init__(self) -> None:
        self._entries: deque[Message] = deque(maxlen=KEPT)
        self._covered = True

    @property
    def entries(self) -> list[Message]:
        """The entries, oldest first."""
        return list(self._entries)

    def note(self, events: Iterable[Event]) -> list[Message]:
        """Add entries for the events that are worth telling. Returns the new entries."""
        return self._enter([told for event in events if (told := _tell(event)) is not None])

    def tell(self, kind: str, text: str) -> list[Message]:
        """Add one sentence. Returns the new entry."""
        return self._enter([(kind, text)])

    def follow(self, decision: Decision | None) -> list[Message]:
        """Add an entry when the reference stops covering the view or covers it again.

        Args:
            decision: the policy's newest decision. None if one reference serves alone.

            Returns:
                The new entry, if there is one.
        """
        if decision is None or decision.coverage is None or decision.reason == CHANGING:
            return []  # nothing was judged
        covered = decision.reason == COVERED
        if covered == self._covered:
            return []
        self._covered = covered
        reason = "it covers the view again" if covered else decision.reason
        return self._enter([(decision.action.value, f"{reason[:1].upper()}{reason[1:]}.")])

    def _enter(self, told: list[tuple[str, str]]) -> list[Message]:
        fresh: list[Message] = [
            {"at_ms": round(time.time() * 1000), "kind": kind, "text": text[:MAX_TEXT]} for kind, text in told
        ]
        self._entries.extend(fresh)
        return fresh


def changes_strip(events: Iterable[Event]) -> bool:
    """Whether the events change the film strip."""
    return any(isinstance(event, (KeyframeMade, ReferenceSwitched)) for event in events)


def _tell(event: Event) -> tuple[str, str] | None:
    match event:
        case KeyframeMade(index=index, known=known, passed=passed):
            of = " of a view passed on the way" if passed else ""
            return "make", f"Keyframe {index + 1} was made{of}; {known:.0%} of its edit was known."
        case ReferenceSwitched(index=index, reason=reason):
            return "switch", f"Keyframe {index + 1} serves: {reason}."
        case KeyframeRefused(reason=reason):
            return "refuse", f"No new keyframe: {reason}."
        case CameraLost():
            return "camera", "The camera's motion could not be followed: what was edited behind you goes."
        case CameraFound():
            return "camera", "The camera's motion is known again: what was edited behind you is back."
        case FaceLost():
            return "face", "The face is out of sight."
        case FaceFound():
            return "face", "A face is in sight."
    return None
