from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from correspondence import Image, Landmarks, Matcher
from reference import CompositeConfig, presets
from reference.keyframes.keyframe import Keyframe
from reference.keyframes.sights import MOST_KEPT, EditStyle, glance_at, sight_of
from tests.reference.helpers import FakePrepared, paint_square, scaled_face, translated
from tests.reference.props import glasses


@pytest.mark.parametrize("preset", ["tiger", "lipstick"])
def test_a_glance_finds_what_a_sight_finds(astronaut: Image, face: Landmarks, preset: str) -> None:
    matcher = Matcher.load("classical", cover=False)
    style = EditStyle("auto", 1.0, CompositeConfig())
    edited = presets.apply(preset, astronaut, face)
    keyframe = Keyframe(astronaut, edited, matcher.prepare(astronaut, face))
    frame = translated(astronaut, 7, -4)
    frame[:, : int(face.points[4, 0])] = 128  # half of the face is hidden
    landmarks = Landmarks(face.points + np.array([7, -4, 0], np.float32), face.image_size)
    whole = sight_of(frame, landmarks, keyframe, matcher, style, radius=0.04, threshold=0.4)
    _, covered = glance_at(frame, landmarks, style.ready(keyframe), matcher, radius=0.04, threshold=0.4)
    assert covered == pytest.approx(whole.covered, abs=0.05)
    assert 0.2 < covered < 0.9
    knows = Matcher.load("classical")  # that half of the face is hidden, not turned away
    assert glance_at(frame, landmarks, style.ready(keyframe), knows, radius=0.04, threshold=0.4)[1] > 0.9


def test_mostly_glasses_are_rigid_and_mostly_paint_is_not(astronaut: Image, face: Landmarks) -> None:
    prepared: Any = FakePrepared(astronaut, face)
    lips, tiger = (presets.apply(name, astronaut, face) for name in ("lipstick", "tiger"))
    edits = [(glasses(before, face), most) for before, most in ((astronaut, 1), (lips, 1), (tiger, 0))]
    for edited, most in (*edits, (lips, 0), (tiger, 0)):
        keyframe = Keyframe(astronaut, edited, prepared)
        assert EditStyle("auto", 1.0, CompositeConfig()).ready(keyframe).is_rigid == bool(most)


def test_a_look_keeps_few_keyframes_ready(astronaut: Image, face: Landmarks) -> None:
    style = EditStyle("delta", 1.0, CompositeConfig())
    small = np.ascontiguousarray(astronaut[:64, :64])
    prepared: Any = FakePrepared(small, scaled_face(face, 0.1, (64, 64)))
    keyframes = [
        Keyframe(small, paint_square(small, (20, 20, 40, 40), (9 * k, 0, 0)), prepared) for k in range(6)
    ]
    first = style.ready(keyframes[0])
    assert style.ready(keyframes[0]) is first
    made = [style.ready(k) for k in keyframes[1 : MOST_KEPT + 1]]
    assert style.ready(keyframes[MOST_KEPT]) is made[-1]
    assert style.ready(keyframes[0]) is not first  # it had to go
    assert len(style._kept) == MOST_KEPT
