"""One stream's edit from frame to frame: landmarks, match, composite; the frame itself where that fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from correspondence import LandmarkTracker, Matcher, confidence
from correspondence.types import (
    DETECT,
    Box,
    Float,
    Image,
    Landmarks,
    Match,
    MaybeLandmarks,
    Prepared,
    check_image,
)
from reference.composite import CompositeConfig, Compositor
from reference.edits import MODES, Edit, Mode
from reference.errors import StageError


@dataclass(frozen=True, slots=True, kw_only=True)
class PropagatorConfig:
    """How an edit is carried along; `__post_init__` checks the ranges."""

    fade_frames: int = 6  # frames an edit takes to go when the face is lost and to come back
    confidence_radius: float = 0.02  # radius of `Result.confidence`, share of the frame's shorter side
    composite: CompositeConfig = field(default_factory=CompositeConfig)

    def __post_init__(self) -> None:
        if self.fade_frames < 1 or self.confidence_radius <= 0:
            raise ValueError(
                f"fade_frames must be >= 1 and confidence_radius > 0, "
                f"got {self.fade_frames} and {self.confidence_radius}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user may change while it runs."""

    enabled: bool = True
    strength: float = 1.0  # times the edit's own, [0, 1]
    mode: Mode | None = None  # None: the edit's own

    def __post_init__(self) -> None:
        if not 0.0 <= self.strength <= 1.0:
            raise ValueError(f"strength must be in [0, 1], got {self.strength}")
        if self.mode is not None and self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)} or None, got {self.mode!r}")


@dataclass(frozen=True, slots=True)
class FaceFound:
    """A face is seen after none was."""

    now_s: float


@dataclass(frozen=True, slots=True)
class FaceLost:
    """No face is seen after one was."""

    now_s: float


@dataclass(frozen=True, slots=True)
class EditChanged:
    """This frame is the first with another edit; `present` is False where it was removed."""

    now_s: float
    present: bool


Event = FaceFound | FaceLost | EditChanged


class Tracker(Protocol):
    """Finds the landmarks of a stream's face in each frame; `LandmarkTracker` is one."""

    def __call__(self, image: Image, now_s: float) -> Landmarks | None:
        """Landmarks of the frame's face, None where there is none."""
        ...


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
class _Ready:
    """An edit with all that a step needs of it; replaced as a whole."""

    edit: Edit
    prepared: Prepared
    compositor: Compositor


class Propagator:
    """Carries an edit from a reference onto the frames of one stream.

    `step` belongs to one thread; `set_edit`, `settings` and `change` may be called from any other.

    Args:
        edit: what to wear; None until `set_edit`.
        matcher: shared by any number of propagators; the best shipped one when None.
        tracker: of this stream alone; a `LandmarkTracker` when None.
        config: fading, composition.
    """

    def __init__(
        self,
        edit: Edit | None = None,
        matcher: Matcher | None = None,
        tracker: Tracker | None = None,
        config: PropagatorConfig | None = None,
    ) -> None:
        self.config = config or PropagatorConfig()
        self._matcher = matcher or Matcher.load()
        self._tracker: Tracker = tracker or LandmarkTracker()
        self._settings = Settings()
        self._lock = threading.Lock()  # guards _ready, _wanted, _ticket and _settings
        self._ticket = 0
        self._wanted: tuple[Edit | None, MaybeLandmarks] = (None, None)  # what the last set_edit asked for
        self._ready: _Ready | None = None
        self._worn: _Ready | None = None  # what the last step used
        self._previous: Match | None = None
        self._had_face: bool | None = None
        self._fade = 1.0
        self.set_edit(edit)
        self._worn = self._ready

    @property
    def edit(self) -> Edit | None:
        """The edit that the next step uses."""
        ready = self._ready
        return ready.edit if ready else None

    @property
    def settings(self) -> Settings:
        """What the next step uses."""
        return self._settings

    def change(self, **settings: Any) -> Settings:
        """Replace some of the settings, from the next step on; returns all of them.

        Args:
            settings: fields of `Settings`.

        Raises:
            ValueError: a value out of range. TypeError: no such setting. Nothing changes then.
        """
        with self._lock:
            new = replace(self._settings, **settings)
            mode_changed = new.mode != self._settings.mode
            self._settings = new
        if mode_changed:
            self._install()
        return new

    def set_edit(self, edit: Edit | None, landmarks: MaybeLandmarks = DETECT) -> None:
        """Wear another edit, or none, from the next step on.

        Prepares on the caller's thread, while steps go on with the old edit; of several calls at once the
        last one made wins.

        Args:
            edit: None removes the edit.
            landmarks: of the edit's reference; None for no face; DETECT to look for one.
        """
        with self._lock:
            self._wanted = (edit, landmarks)
        self._install()

    def _install(self) -> None:
        """Make ready what is wanted, in the mode that is set, unless a later call overtakes this one."""
        with self._lock:
            self._ticket += 1
            ticket, old, mode = self._ticket, self._ready, self._settings.mode
            edit, landmarks = self._wanted
        ready = None
        if edit is not None:
            if old is not None and old.edit.reference is edit.reference:
                prepared = old.prepared
            else:
                prepared = self._matcher.prepare(edit.reference, landmarks=landmarks)
            worn = edit if mode is None else edit.with_mode(mode)
            ready = _Ready(edit, prepared, Compositor(worn, prepared.landmarks, self.config.composite))
        with self._lock:
            if ticket == self._ticket:
                self._ready = ready

    def step(self, frame: Image, now_s: float) -> Result:
        """The edit on the next frame of the stream.

        Args:
            frame: RGB uint8 (H, W, 3), any size; never written to.
            now_s: its time, seconds, growing from call to call.

        Raises:
            ValueError: a frame of another dtype or shape.
            StageError: a stage failed; the frame should go out as it is. The next step starts afresh.
        """
        size = check_image(frame, "frame")
        with self._lock:
            ready, settings = self._ready, self._settings
        step = _Step(frame, now_s, {}, [])
        if ready is not self._worn:
            step.events.append(EditChanged(now_s, ready is not None))
            if ready is None or self._worn is None or ready.prepared is not self._worn.prepared:
                self._previous = None
            self._worn = ready
        if ready is None or not settings.enabled or ready.edit.is_empty:
            self._previous = None
            return step.passed(_why_idle(ready, settings))
        with step.stage("landmarks"):
            landmarks = self._tracker(frame, now_s)
        self._note_face(landmarks is not None, step)
        match = self._match(step, ready, landmarks, size)
        if match is None:
            return step.passed("no face found")
        with step.stage("composite"):
            composition = ready.compositor.compose(frame, match, settings.strength * self._fade)
        radius = self.config.confidence_radius * min(size)
        reason = None if composition.box is not None else _why_nothing(settings, self._fade)
        return Result(
            composition.image, landmarks, match, composition.box, composition.coverage,
            reason, step.events, step.seconds, radius,
        )  # fmt: skip

    def _match(
        self, step: _Step, ready: _Ready, landmarks: Landmarks | None, size: tuple[int, int]
    ) -> Match | None:
        """The frame's match; the last one while a lost face's edit fades; None where no edit is due."""
        previous = self._previous
        if previous is not None and previous.frame_size != size:
            previous = None
        bound_to_face = ready.prepared.landmarks is not None and not ready.edit.is_global
        if landmarks is None and bound_to_face:
            self._fade = 0.0 if previous is None else max(0.0, self._fade - 1 / self.config.fade_frames)
            if self._fade < 1e-6:
                self._previous = None
                self._fade = 0.0
                return None
            return previous
        if landmarks is not None:
            self._fade = min(1.0, self._fade + 1 / self.config.fade_frames)
        self._previous = None  # stays so where the match fails
        with step.stage("match"):
            match = self._matcher.match(step.frame, ready.prepared, previous, landmarks=landmarks)
        self._previous = match
        return match

    def _note_face(self, seen: bool, step: _Step) -> None:
        if self._had_face is None:
            self._fade = 1.0  # a stream begins with the edit worn
        if seen and self._had_face is not True:
            step.events.append(FaceFound(step.now_s))
        elif not seen and self._had_face is True:
            step.events.append(FaceLost(step.now_s))
        self._had_face = seen

    def close(self) -> None:
        """Free the tracker, if it has anything to free."""
        close = getattr(self._tracker, "close", None)
        if close is not None:
            close()


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """One step's times and events."""

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


def _why_idle(ready: _Ready | None, settings: Settings) -> str:
    if ready is None:
        return "no edit yet"
    return "the edit changes nothing" if settings.enabled else "the edit is switched off"


def _why_nothing(settings: Settings, fade: float) -> str:
    if settings.strength * fade <= 0:
        return "strength is 0"
    return "the edited part is out of the frame"
