"""A stream of one head at known turns, and a matcher that is sure of what is turned little."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from correspondence import DETECT, Float, Image, Landmarks, Match, MaybeLandmarks
from reference import Edit, FillHint, KeeperConfig, Mode, Propagator, PropagatorConfig, UserKeyframe
from reference.keyframes.keyframe import Keyframe
from reference.keyframes.refusal import RefusalConfig
from tests.reference.helpers import FakePrepared, paint_square, scaled_face

PAINT = (98, 22, 158, 36)  # a band above the face, where no mesh helps; the face is in the middle
UNSURE = (128, 2, 182, 56)  # about the right half of the paint
REACH_DEG = 15.0


class Scene:
    """Frames by the head's turn; the turn is written into a corner pixel, where nothing is edited.

    Args:
        photo: uint8 (256, 256, 3); face: landmarks of some head.
    """

    def __init__(self, photo: Image, face: Landmarks) -> None:
        self._photo, self._face = photo, face
        self.size = (photo.shape[0], photo.shape[1])

    def frame(self, yaw_deg: int) -> Image:
        out = self._photo.copy()
        out[0, 0] = (100 + yaw_deg, 0, 0)
        return out

    def yaw(self, image: Image) -> int:
        return int(image[0, 0, 0]) - 100

    def landmarks(self, image: Image) -> Landmarks:
        return scaled_face(self._face, 1.0, self.size, self.yaw(image))

    def edit(self) -> Edit:
        frame = self.frame(0)
        return Edit(frame, paint_square(frame, PAINT, (20, 200, 40)))


class TurnMatcher:
    """Sure everywhere up to `REACH_DEG`; beyond it not of `UNSURE`."""

    kind = "classical"

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.matched = 0

    def prepare(self, image: Image, landmarks: MaybeLandmarks = DETECT) -> FakePrepared:
        image = image.copy()
        return FakePrepared(image, self.scene.landmarks(image))

    def begin(self, frame: Image, prepared: FakePrepared) -> None:
        pass

    def match(
        self,
        frame: Image,
        prepared: FakePrepared,
        previous: Match | None = None,
        landmarks: Any = DETECT,
        begun: None = None,
    ) -> Match:
        self.matched += 1
        log_b = np.full(self.scene.size, -2.0, np.float32)
        if abs(self.scene.yaw(frame) - self.scene.yaw(prepared.image)) > REACH_DEG:
            x0, y0, x1, y1 = UNSURE
            log_b[y0:y1, x0:x1] = 6.0
        field = np.zeros((*self.scene.size, 2), np.float32)
        return Match.from_field(field, log_b, landmarks if isinstance(landmarks, Landmarks) else None)


class TurnTracker:
    """Knows each frame's face."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def __call__(self, image: Image, now_s: float) -> Landmarks | None:
        return self.scene.landmarks(image)


class SlowFill:
    """Keeps what it is asked for until told to answer."""

    def __init__(self) -> None:
        self.asked: list[tuple[Image, Float, Callable[[Image], None], Callable[[], bool]]] = []

    def __call__(self, image: Image, mask: Float, hint: FillHint) -> Image:
        raise AssertionError("a fill that can answer later must not be waited for")

    def later(
        self,
        image: Image,
        mask: Float,
        hint: FillHint,
        then: Callable[[Image], None],
        wanted: Callable[[], bool],
    ) -> None:
        self.asked.append((image, mask, then, wanted))

    def answer(self) -> None:
        image, mask, then, _ = self.asked.pop()
        out = image.copy()
        out[mask > 0] = (20, 200, 40)
        then(out)


def turning(scene: Scene, *, fill: Any = None, matcher: Any = None, **config: Any) -> Propagator:
    """A propagator on the scene, its side jobs done inside `step` unless said otherwise."""
    usual = {"background": False, "max_match_s": 10.0, "refusal": RefusalConfig(hidden=1.0)}
    references = KeeperConfig(**{**usual, **config})
    matcher = matcher or TurnMatcher(scene)
    return Propagator(
        scene.edit(), matcher, TurnTracker(scene), PropagatorConfig(references=references), fill
    )


def edit_by_hand(propagator: Propagator, index: int, edited: Image, mode: Mode | None = None) -> None:
    """Edit one of the keyframes, as a look does it: the user's keyframes are made into an outfit anew."""
    worn = propagator.worn
    assert worn is not None
    held = worn.held()
    user = {k.id: user_keyframe(k, k.edited) for k in held if k.pinned}
    user[held[index].id] = user_keyframe(held[index], edited)
    propagator.put_on(propagator.workshop.outfit(list(user.values()), mode, before=worn))


def compose_in(propagator: Propagator, mode: Mode) -> None:
    """Compose in another mode."""
    worn = propagator.worn
    assert worn is not None
    edit_by_hand(propagator, 0, worn.held()[0].edited, mode)


def remove(propagator: Propagator, index: int) -> None:
    """Take out one of the keyframes that were made."""
    worn = propagator.worn
    assert worn is not None
    worn.remove(worn.held()[index].id)


def user_keyframe(keyframe: Keyframe, edited: Image) -> UserKeyframe:
    kept = keyframe.edit if keyframe.edit is not None and edited is keyframe.edited else None
    edit = kept or Edit(keyframe.image, edited)
    return UserKeyframe(edit=edit, prepared=keyframe.prepared, id=keyframe.id, made_s=keyframe.made_s)
