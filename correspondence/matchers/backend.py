"""The interface that every kind of matcher implements behind `Matcher`."""

from __future__ import annotations

from typing import Any, Protocol

from correspondence.matchers.coarse import Begun
from correspondence.types import DETECT, Image, Match, MaybeLandmarks


class Backend(Protocol):
    """A kind of matcher. It is thread-safe and holds no session state; see `Matcher` for the arguments."""

    @property
    def kind(self) -> str:
        """The kind, one of `matcher.KINDS`."""
        ...

    def prepare(self, image: Image, landmarks: MaybeLandmarks = DETECT) -> Any:
        """Prepare a reference for matching."""
        ...

    def begin(self, frame: Image, prepared: Any) -> Begun:
        """Start a match before the frame's landmarks are known."""
        ...

    def match(
        self,
        frame: Image,
        prepared: Any,
        previous: Match | None = None,
        landmarks: MaybeLandmarks = DETECT,
        begun: Begun | None = None,
    ) -> Match:
        """Match a frame with a prepared reference."""
        ...
