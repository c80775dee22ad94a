"""Carries an edit from frame to frame of one stream: landmarks, match, composite, keyframes."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import Protocol

from correspondence import (
    Image,
    Landmarks,
    LandmarkTracker,
    Matcher,
    Prepared,
    check_image,
)
from correspondence.face.crowd import SCAN_S, CrowdTracker, FurtherFace
from correspondence.face.landmarks import MOST_FACES
from correspondence.matchers.reuse import SHARED as MOST_THIN
from reference.compose.composite import CompositeConfig
from reference.edits.edit import Edit
from reference.events import CameraFound, CameraLost, EditChanged, FaceFound, FaceLost
from reference.keyframes.drawn import KeyframeFill
from reference.keyframes.keeper_config import KeeperConfig
from reference.keyframes.keyframe import KeyframeInfo
from reference.keyframes.policy import Decision
from reference.propagate.fits import Fits
from reference.propagate.others import Others
from reference.propagate.outfit import Outfit, UserKeyframe, Workshop
from reference.propagate.result import Result, Step, StepSettings
from reference.propagate.wearer import Wearer
from reference.side_work import make_worker

LOST_CAMERA = "the camera's motion could not be followed, which carries what was edited behind the person"


@dataclass(frozen=True, slots=True, kw_only=True)
class PropagatorConfig:
    """Settings of a `Propagator`.

    Raises:
        ValueError: `fade_frames` is below 1, `confidence_radius` is not above 0, or `faces` is not 1 to 4.
    """

    fade_frames: int = 6  # frames over which the edit fades out when the face is not found, and in again
    confidence_radius: float = 0.02  # radius of `Result.confidence`, share of the frame's shorter side
    composite: CompositeConfig = field(default_factory=CompositeConfig)
    references: KeeperConfig | None = field(default_factory=KeeperConfig)  # None: a single reference serves
    split: bool = True  # moves the edit behind the person with the camera, see `person`
    faces: int = 1  # largest number of people in a frame who wear the edit, 1 to 4

    def __post_init__(self) -> None:
        if self.fade_frames < 1 or self.confidence_radius <= 0:
            raise ValueError(
                f"fade_frames must be >= 1 and confidence_radius > 0, "
                f"got {self.fade_frames} and {self.confidence_radius}"
            )
        if not 1 <= self.faces <= MOST_FACES:
            raise ValueError(f"faces must be 1 to {MOST_FACES} people who wear the edit, got {self.faces}")


class Tracker(Protocol):
    """Finds the landmarks of a stream's face in each frame, as `LandmarkTracker` does."""

    def __call__(self, image: Image, now_s: float) -> Landmarks | None:
        """Returns the landmarks of the frame's face, None if there is none.

        Args:
            image: the frame, RGB uint8 (H, W, 3).
            now_s: time of the frame, seconds.
        """
        ...


class Propagator:
    """Carries an edit from a reference onto the frames of one stream.

    `workshop` makes outfits and `put_on` wears them. An edit that is bound to a face gets further references
    as the view changes, see `ReferenceKeeper`. Call `step` from one thread only; the other methods may be
    called from any thread.

    With `PropagatorConfig.faces` above 1, further people in the frame wear what was edited on a head, too. If
    several faces of the reference were edited, each person wears the edit of the face that they look like
    most. Only the person whose face holds most of the edit gets further references, and carries what was
    edited off the heads; a look of the whole picture is put onto the frame once.

    Args:
        edit: the edit to wear; None for no edit until `put_on`.
        matcher: may be shared by any number of propagators; the best shipped one when None.
        tracker: landmark tracker for this stream alone; a `LandmarkTracker` when None.
        config: settings of fading, composition and references; the defaults when None.
        fill: invents the parts of the edit that no reference shows, in new keyframes; None leaves them live.

    Raises:
        TypeError: `edit` is something else.
    """

    def __init__(
        self,
        edit: Edit | None = None,
        matcher: Matcher | None = None,
        tracker: Tracker | None = None,
        config: PropagatorConfig | None = None,
        fill: KeyframeFill | None = None,
    ) -> None:
        if edit is not None and not isinstance(edit, Edit):
            raise TypeError(f"edit must be an Edit or None, got {type(edit).__name__}")
        self.config = config or PropagatorConfig()
        self._matcher = matcher or Matcher.load()
        self._tracker: Tracker = tracker or LandmarkTracker()
        references = self.config.references
        beside = references is None or references.background
        self.workshop = Workshop(
            matcher=self._matcher, worker=make_worker(beside),
            composite=self.config.composite, references=references, fill=fill, split=self.config.split,
            faces=self.config.faces,
        )  # fmt: skip
        scan_s = SCAN_S if beside else 0.0
        self._crowd = None
        if self.config.faces > 1:
            self._crowd = CrowdTracker(self._tracker, self.config.faces, scan_s=scan_s)
        fits = Fits(self._matcher, self.config.composite, make_worker(beside))
        self._faces, self._thin = self.config.faces, 0
        self._others = Others(self._matcher, self.config.fade_frames, fits)
        first = None if edit is None else self.workshop.outfit([UserKeyframe(edit=edit)])
        self._wearing = (first, StepSettings())  # replaced as a whole, from any thread
        self._last = first  # the outfit of the last step
        self._wearer = Wearer(self._matcher, self.config.fade_frames)
        self._had_face: bool | None = None
        self._told: Prepared | None = None  # the reference whose face the tracker follows
        self._lost_camera = False
        self._follow_person(first)

    @property
    def worn(self) -> Outfit | None:
        """The outfit of the next step; None for no edit."""
        return self._wearing[0]

    def put_on(self, outfit: Outfit | None, *, enabled: bool = True, strength: float = 1.0) -> None:
        """Wears an outfit from the next step on. This is fast, because only pointers are exchanged.

        Outfits may be put on and off any number of times. They keep their keyframes, and a keyframe that is
        being made when its outfit is taken off is finished. Call `Outfit.retire` for an outfit that is not
        worn again.

        Args:
            outfit: an outfit that `workshop` made; None for no edit.
            enabled: False shows the live frame.
            strength: multiplies the edit's own strength, [0, 1].

        Raises:
            ValueError: a strength outside [0, 1]; nothing changes then.
        """
        self._wearing = (outfit, StepSettings(enabled=enabled, strength=strength))

    def limit_faces(self, faces: int) -> None:
        """Lets fewer people wear the edit than `PropagatorConfig.faces`, from the next step on. This is fast.

        Args:
            faces: largest number of people, 1 to `PropagatorConfig.faces`.

        Raises:
            ValueError: `faces` is outside its range; nothing changes then.
        """
        if not 1 <= faces <= self.config.faces:
            raise ValueError(f"faces must be 1 to {self.config.faces}, got {faces}")
        self._faces = faces

    def give_way(self, thin: int) -> None:
        """Makes matches cheaper from the next step on, where the machine is too slow. This is fast.

        Args:
            thin: how far they give way, 0 (not at all) to MOST_THIN, see `Matcher.match`.

        Raises:
            ValueError: `thin` is outside its range; nothing changes then.
        """
        if not 0 <= thin <= MOST_THIN:
            raise ValueError(f"thin must be 0 to {MOST_THIN}, got {thin}")
        self._thin = thin

    def keyframes(self) -> list[KeyframeInfo]:
        """Returns the descriptions of the edit's keyframes, oldest first; empty without an edit."""
        return [] if self.worn is None else self.worn.keyframes()

    @property
    def decision(self) -> Decision | None:
        """The decision on the last frame's coverage; None without an edit or if a single reference serves."""
        worn = self.worn
        return None if worn is None or worn.keeper is None else worn.keeper.decision

    def step(self, frame: Image, now_s: float) -> Result:
        """Composes the edit on the next frame of the stream.

        Args:
            frame: RGB uint8 (H, W, 3), any size; never written to.
            now_s: time of the frame, seconds. One before the last means that the source started over.

        Returns:
            The edited frame, or the frame itself with the reason.

        Raises:
            ValueError: a frame of another dtype or shape, or a time that is not a finite number.
            StageError: a stage failed; the frame should go out as it is. The next step starts afresh.
        """
        size = check_image(frame, "frame")
        if not isfinite(now_s):
            raise ValueError(f"now_s must be a time in seconds, got {now_s}")
        ready, settings = self._wearing
        step = Step(frame, now_s, {}, [], self._thin)
        if ready is not self._last:
            step.events.append(EditChanged(now_s, ready is not None))
            self._begin_wearing(ready)
        if ready is None or not settings.enabled or ready.edit.is_empty:
            self._wearer.previous = None
            self._others.forget()
            return step.passed(_why_idle(ready, settings))
        if ready.keeper is not None:
            step.events.extend(ready.keeper.begin(now_s, self._wearer.previous))
        result, further = self._step_first(step, ready, settings)
        result.radius_px = self.config.confidence_radius * min(size)
        if further is None:
            return result
        return self._others.dress(step, ready, result, further, settings.strength)

    def _step_first(
        self, step: Step, ready: Outfit, settings: StepSettings
    ) -> tuple[Result, list[FurtherFace] | None]:
        """Composes the edit for the person whose face was edited, and finds the further faces."""
        frame, now_s, wearer = step.frame, step.now_s, self._wearer
        worn = ready.worn
        with step.stage("landmarks"):
            begun = wearer.begin(frame, worn, step.thin)
            if ready.backdrop is not None:
                ready.backdrop.look_ahead(frame)
            landmarks, further = self._find(frame, now_s, ready)
        self._note_face(landmarks is not None, step)
        behind = None
        if ready.backdrop is not None:
            with step.stage("background"):
                behind = ready.backdrop.begin(frame, now_s, landmarks, settings.strength * wearer.fade)
        match = wearer.match(step, worn, landmarks, begun)
        if match is None:
            return step.passed("no face found"), further
        strength = settings.strength * wearer.fade
        only = coloured = None
        if behind is not None:
            with step.stage("background"):
                only, coloured = behind.result().outlined.person, behind.result().coloured
        with step.stage("composite"):
            composition = worn.compositor.compose(frame, match, strength, only=only, coloured=coloured)
        if ready.keeper is not None:
            with step.stage("references"):
                ready.keeper.watch(frame, landmarks, match, composition, step.seconds.get("match", 0.0))
                composition = ready.keeper.blend(frame, match, composition, landmarks, strength)
        if ready.backdrop is not None and behind is not None:
            with step.stage("background"):
                composition = ready.backdrop.blend(frame, behind.result(), composition, strength)
            self._note_camera(ready.backdrop.lost, step)
        with step.stage("composite"):
            composition = worn.with_stickers(frame, match, composition, strength)
        reason = None
        if composition.box is None:
            reason = _why_nothing(strength * ready.edit.strength, self._lost_camera)
        result = Result(
            composition.image, landmarks, match, composition.box, composition.coverage,
            reason, step.events, step.seconds,
        )  # fmt: skip
        return result, further

    def _find(
        self, frame: Image, now_s: float, ready: Outfit
    ) -> tuple[Landmarks | None, list[FurtherFace] | None]:
        """Finds the first face and the further ones; None for these if nobody else may wear the edit."""
        crowd, faces = self._crowd, self._faces
        if crowd is None:
            return self._tracker(frame, now_s), None
        if faces == 1 or not ready.further:
            crowd.rest()
            return self._tracker(frame, now_s), None
        crowd.most = faces
        return crowd(frame, now_s)

    def _begin_wearing(self, ready: Outfit | None) -> None:
        """Changes to another outfit from this frame on. Its keeper restarts unless it is the same one."""
        last, self._last = self._last, ready
        self._lost_camera = False
        self._follow_person(ready)
        keeper = None if ready is None else ready.keeper
        if keeper is not None and (last is None or last.keeper is not keeper):
            keeper.resume()
        if last is not None and last.backdrop is not None:
            last.backdrop.close()  # it searches for the person anew once it is worn again

    def _follow_person(self, ready: Outfit | None) -> None:
        """Makes the tracker follow the person whose face was edited, once for each reference."""
        if ready is None or ready.edit.is_global or ready.own.keyframe.prepared is self._told:
            return
        self._told = ready.own.keyframe.prepared
        follow = getattr(self._tracker, "follow", None)
        if follow is not None and self._told.landmarks is not None:
            follow(self._told.image, self._told.landmarks)

    def _note_camera(self, lost: bool, step: Step) -> None:
        if lost != self._lost_camera:
            step.events.append(CameraLost(step.now_s) if lost else CameraFound(step.now_s))
        self._lost_camera = lost

    def _note_face(self, seen: bool, step: Step) -> None:
        if self._had_face is None:
            self._wearer.fade = 1.0  # at the start of a stream the edit does not fade in
        if seen and self._had_face is not True:
            step.events.append(FaceFound(step.now_s))
        elif not seen and self._had_face is True:
            step.events.append(FaceLost(step.now_s))
        self._had_face = seen

    def close(self) -> None:
        """Stops the work beside the frame's path, and closes the tracker if it can be closed."""
        ready = self.worn
        if ready is not None:
            ready.retire()
        if ready is not None and ready.backdrop is not None:
            ready.backdrop.close()
        self.workshop.worker.close()
        if self._crowd is not None:
            self._crowd.close()
        self._others.close()
        close = getattr(self._tracker, "close", None)
        if close is not None:
            close()


def _why_idle(ready: Outfit | None, settings: StepSettings) -> str:
    if ready is None:
        return "no edit yet"
    return "the edit changes nothing" if settings.enabled else "the edit is switched off"


def _why_nothing(strength: float, lost_camera: bool) -> str:
    if strength <= 0:
        return "strength is 0"
    return LOST_CAMERA if lost_camera else "the edited part is out of the frame"
