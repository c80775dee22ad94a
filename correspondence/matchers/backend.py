"""What stands behind a `Matcher`: the form that every kind of matcher has."""

from __future__ import annotations

from typing import Any, Protocol

from correspondence.matchers.coarse import Begun
from correspondence.types import DETECT, Image, Match, MaybeLandmarks


class Backend(Protocol):
    """What a kind of matcher implements; thread-safe, without session state."""

    @property
    def kind(self) -> str:
        """One of KINDS."""
        ...

    def prepare(self, image: Image, landmarks: MaybeLandmarks = DETECT) -> Any:
        """Make a reference ready."""
        ...

    def begin(self, frame: Image, prepared: Any) -> Begun:
        """Start on a match before the frame's landmarks are known."""
        ...

    def match(
        self,
        frame: Image,
        prepared: Any,
        previous: Match | None = None,
        landmarks: MaybeLandmarks = DETECT,
        begun: Begun | None = None,
    ) -> Match:
        """Match a frame."""
        ...
