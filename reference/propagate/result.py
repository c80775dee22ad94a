"""The result of a step, the settings that the user may change, and the record of a running step."""

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
    """Settings that the user may change while the stream runs.

    Raises:
        ValueError: a strength outside [0, 1].
    """

    enabled: bool = True  # False shows the live frame
    strength: float = 1.0  # multiplies the edit's own strength, [0, 1]

    def __post_init__(self) -> None:
        if not 0.0 <= self.strength <= 1.0:
            raise ValueError(f"strength must be in [0, 1], got {self.strength}")


@dataclass(frozen=True, slots=True, eq=False)
class OtherFace:
    """A further person of a frame who wears the edit.

    Attributes:
        number: the same for one person in all frames, also when they return after they left.
        landmarks: landmarks of their face; None if it is not found and the edit fades out.
        match: the match of the frame with the reference, by this face.
        box: the part (x0, y0, x1, y1) where their edit may differ from the frame; None if nothing differs.
        coverage: share of their edited area that is trusted, [0, 1].
    """

    number: int
    landmarks: Landmarks | None
    match: Match
    box: Box | None
    coverage: float


@dataclass(eq=False)
class Result:
    """The result of one step.

    Attributes:
        image: RGB uint8 (H, W, 3); the frame's own array if `reason` is set.
        landmarks: landmarks of the frame's face, or of the person whose face was edited if there are several.
            None if there is no face or none was searched.
        match: the match of the frame with the reference by that face; None if none was made.
        box: the part (x0, y0, x1, y1) that may differ from the frame; None if nothing differs.
        coverage: share of the edited area that is trusted, [0, 1].
        reason: why the frame passes through unedited; None if it is edited.
        events: what happened at this frame.
        stages: duration of each stage by name, seconds.
        radius_px: radius of `confidence`, pixels.
        others: the further people who wear the edit, see `PropagatorConfig.faces`.
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
    others: tuple[OtherFace, ...] = ()
    _confidence: Float | None = field(default=None, repr=False)

    @property
    def confidence(self) -> Float:
        """Probability that the match errs by less than `radius_px`, float32 (H, W); 0 without a match.

        It is computed on first use, because the live path does not need it.
        """
        if self._confidence is None:
            if self.match is None:
                sure = np.zeros(self.image.shape[:2], np.float32)
            else:
                sure = confidence(self.match, self.radius_px)
            for other in self.others:
                if other.box is not None:
                    x0, y0, x1, y1 = other.box
                    sure[y0:y1, x0:x1] = confidence(other.match, self.radius_px, other.box)
            self._confidence = sure
        return self._confidence


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """The record of one running step.

    Attributes:
        frame: RGB uint8 (H, W, 3).
        now_s: time of the frame, seconds.
        seconds: duration of each stage so far by name, seconds.
        events: what happened so far.
        thin: how far matches give way, see `Matcher.match`.
    """

    frame: Image
    now_s: float
    seconds: dict[str, float]
    events: list[Event]
    thin: int = 0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures the duration of a stage; parts of one name add up.

        Raises:
            StageError: the stage raised an exception.
        """
        start = time.perf_counter()
        try:
            yield
        except Exception as error:
            raise StageError(name) from error
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def passed(self, reason: str) -> Result:
        """Returns a result that passes the frame through unedited, for a reason."""
        return Result(self.frame, None, None, None, 0.0, reason, self.events, self.seconds)
