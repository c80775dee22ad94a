"""What a step makes of a frame, what the user may change, and a step's bookkeeping."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from correspondence import Box, Float, Image, Landmarks, Match, confidence
from reference.errors import StageError
from reference.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSettings:
    """What the user may change while it runs."""

    enabled: bool = True
    strength: float = 1.0  # times the edit's own, [0, 1]

    def __post_init__(self) -> None:
        if not 0.0 <= self.strength <= 1.0:
            raise ValueError(f"strength must be in [0, 1], got {self.strength}")


@dataclass(eq=False)
class Result:
    """What a step made of a frame.

    Attributes:
        image: RGB uint8 (H, W, 3); the frame's own array where `reason` is set.
        landmarks: of the frame's face, None without one or where it was not looked for.
        match: of the frame with the reference, None where none was made.
        box: the part (x0, y0, x1, y1) that may differ from the frame, None where nothing does.
        coverage: share of the edited area that is trusted, [0, 1].
        reason: why the frame passes through unedited, None where it is edited.
        events: what happened at this frame.
        stages: seconds each stage took, by name.
    """

    image: Image
    landmarks: Landmarks | None
    match: Match | None
    box: Box | None
    coverage: float
    reason: str | None
    events: list[Event]
    stages: dict[str, float]
    radius_px: float = 1.0
    _confidence: Float | None = field(default=None, repr=False)

    @property
    def confidence(self) -> Float:
        """Probability that the match errs by less than `radius_px`, float32 (H, W); 0 without a match.

        Computed on first use: the live path does not need it.
        """
        if self._confidence is None:
            if self.match is None:
                self._confidence = np.zeros(self.image.shape[:2], np.float32)
            else:
                self._confidence = confidence(self.match, self.radius_px)
        return self._confidence


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One step's frame, times and events."""

    frame: Image
    now_s: float
    seconds: dict[str, float]
    events: list[Event]

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage, and name it where it fails."""
        start = time.perf_counter()
        try:
            yield
        except Exception as error:
            raise StageError(name) from error
        finally:
            self.seconds[name] = time.perf_counter() - start

    def passed(self, reason: str) -> Result:
        """The frame as it came."""
        return Result(self.frame, None, None, None, 0.0, reason, self.events, self.seconds)
