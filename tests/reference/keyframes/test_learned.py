"""Keyframes of a look of the whole picture: learned first, then painted where the match is not very sure."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from correspondence import Image, Landmarks
from reference import Edit, KeyframeMade, Propagator, ReferenceSwitched, UserKeyframe
from reference.compose.landing import near_head
from reference.keyframes.learned import is_learnable
from tests.reference import views
from tests.reference.views import Scene, SlowFill, edit_by_hand, turning

FPS = 25
LEFT = (0, 0, 128, 256)  # of the frame: where a turned head is not known


def drawn(image: Image) -> Image:
    """A look: warm paper with dark lines."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    lines = np.clip((cv2.GaussianBlur(gray, (0, 0), 3) - gray) / 10, 0, 1)[..., None]
    paper = (160 + 0.3 * gray)[..., None] * np.array([1.0, 0.9, 0.7], np.float32)
    return np.clip(paper * (1 - 0.8 * lines), 0, 255).astype(np.uint8)


class LookScene(Scene):
    """Wears a look of the whole picture."""

    def edit(self) -> Edit:
        frame = self.frame(0)
        return Edit(frame, drawn(frame))


class Learner(SlowFill):
    """Learns as many looks as it is asked to; it is ready when told so."""

    def __init__(self) -> None:
        super().__init__()
        self.ready = False
        self.learning: list[tuple[Edit, Callable[[], bool]]] = []

    def learn(self, edit: Edit, wanted: Callable[[], bool]) -> Learner:
        self.learning.append((edit, wanted))
        return self

    def paint(self, scene: Scene) -> None:
        """Answers with the true look where it was asked for."""
        image, mask, then, _ = self.asked.pop()
        share = mask[..., None]
        then(np.rint(image * (1 - share) + drawn(scene.frame(25)) * share).astype(np.uint8))


@pytest.fixture
def scene(astronaut: Image, face: Landmarks, monkeypatch: pytest.MonkeyPatch) -> LookScene:
    monkeypatch.setattr(views, "UNSURE", LEFT)
    return LookScene(np.ascontiguousarray(astronaut[:256, 96:352]), face)


def worn(scene: Scene, fill: SlowFill | None) -> Propagator:
    propagator = turning(scene, fill=fill, fade_frames=1)
    object.__setattr__(propagator.workshop, "split", False)  # a backdrop is no part of this
    propagator.put_on(propagator.workshop.outfit([UserKeyframe(edit=scene.edit())]))
    return propagator


def test_a_keyframe_is_painted_once_the_look_is_learned(scene: LookScene) -> None:
    learner = Learner()
    propagator = worn(scene, learner)
    times = iter(range(10_000))

    def play(yaw: int, count: int) -> list[object]:
        results = [propagator.step(scene.frame(yaw), next(times) / FPS) for _ in range(count)]
        events.append([type(e) for r in results for e in r.events])
        return [results[-1].image]

    events: list[list[type]] = []
    play(0, 5)
    (before,) = play(25, 40)
    assert [edit for edit, _ in learner.learning], "it is learned from the first frame on"
    assert not learner.asked
    assert len(propagator.keyframes()) == 1, "the colours stand in meanwhile"
    learner.ready = True
    play(25, 20)
    assert learner.asked
    hole = learner.asked[0][1]
    assert hole[128, 30] == 1
    assert hole[128, 230] == 0, "the match is very sure there"
    learner.paint(scene)
    learner.asked.clear()
    (after,) = play(25, 30)
    made, switched = ([kind in found for found in events[2:]] for kind in (KeyframeMade, ReferenceSwitched))
    assert any(made)
    assert any(switched)
    truth = drawn(scene.frame(25)).astype(int)
    left = np.s_[40:200, 10:110]
    assert isinstance(before, np.ndarray)
    assert isinstance(after, np.ndarray)
    errors = [np.abs(image.astype(int) - truth)[left].mean() for image in (before, after)]
    assert errors[1] < 0.5 * errors[0], "lines have come where there were the colours alone"


def test_what_the_user_changes_is_learned_anew(scene: LookScene) -> None:
    learner = Learner()
    propagator = worn(scene, learner)
    propagator.step(scene.frame(0), 0.0)
    ((_, wanted),) = learner.learning
    assert wanted()
    edited = drawn(scene.frame(0)) // 2
    edit_by_hand(propagator, 0, edited)
    assert not wanted()
    propagator.step(scene.frame(0), 0.04)
    assert len(learner.learning) == 2
    np.testing.assert_array_equal(learner.learning[1][0].edited, edited)
    propagator.close()
    assert not learner.learning[1][1]()


def test_a_fill_that_cannot_learn_makes_no_keyframes_of_looks(scene: LookScene) -> None:
    propagator = worn(scene, SlowFill())
    assert propagator.worn is not None
    assert propagator.worn.keeper is None
    assert is_learnable(scene.edit())
    tone = Edit(scene.frame(0), np.asarray(255 - scene.frame(0) // 2, np.uint8))
    assert not is_learnable(tone), "a table of colours leaves nothing to learn"


def test_a_look_is_judged_on_the_head(face: Landmarks) -> None:
    near = near_head(face, (0, 0, 512, 512), (64, 64))
    x, y = (int(v // 8) for v in face.points[4, :2])
    assert near[y, x] == 1
    assert 0.02 < near.mean() < 0.5
