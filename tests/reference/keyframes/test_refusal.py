from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from correspondence import Float, Image, Landmarks, Match
from reference import CompositeConfig
from reference.keyframes.keyframe import Keyframe
from reference.keyframes.refusal import RefusalConfig, hidden_share, why_not_by_looks, why_not_by_sights
from reference.keyframes.sights import EditStyle, Sight, sight_of
from tests.reference.helpers import FakeMatcher, FakePrepared, moved, scaled_face

CONFIG = RefusalConfig()


def looks(image: Image, landmarks: Landmarks | None, own: tuple[Image, Landmarks]) -> str | None:
    return why_not_by_looks(image, landmarks, own, CONFIG)


def test_a_good_frame_is_taken_and_each_bad_one_has_its_reason(astronaut: Image, face: Landmarks) -> None:
    own = (astronaut, face)
    assert looks(astronaut, face, own) is None
    assert looks(astronaut, None, own) == "no face found"
    assert looks(cv2.GaussianBlur(astronaut, (0, 0), 4), face, own) == "the picture is blurred"
    assert looks(astronaut, moved(face, -face.box[0] - 60, 0), own) == "the face is cut off by the frame"
    tiny = scaled_face(face, 0.05, face.image_size)
    assert looks(astronaut, tiny, own) == "the face is small"
    points = face.points.copy()
    for upper, lower in ((159, 145), (386, 374)):
        points[upper, :2] = points[lower, :2]
    assert looks(astronaut, Landmarks(points, face.image_size), own) == "the eyes are shut"


def test_what_the_users_own_lacks_is_not_asked_for(astronaut: Image, face: Landmarks) -> None:
    soft = cv2.GaussianBlur(astronaut, (0, 0), 4)
    assert looks(soft, face, (soft, face)) is None


@pytest.fixture
def keyframe(astronaut: Image, face: Landmarks) -> Keyframe:
    prepared: Any = FakePrepared(astronaut, face)
    return Keyframe(astronaut, astronaut, prepared)


def sight(keyframe: Keyframe, landmarks: Landmarks, doubt: Float | None = None) -> Sight:
    class Doubtful(FakeMatcher):
        def match(self, *args: Any, **named: Any) -> Match:
            match = super().match(*args, **named)
            if doubt is None:
                return match
            return Match.from_field(np.zeros((512, 512, 2), np.float32), doubt, landmarks)

    matcher: Any = Doubtful(landmarks)
    style = EditStyle("auto", 1.0, CompositeConfig())
    return sight_of(keyframe.image, landmarks, keyframe, matcher, style, radius=0.03, threshold=0.5)


def test_a_hand_over_the_face_is_noticed(keyframe: Keyframe, face: Landmarks) -> None:
    assert why_not_by_sights(face, [sight(keyframe, face)], CONFIG) is None
    x0, y0, x1, y1 = (int(v) for v in face.box)
    doubt = np.full((512, 512), -2, np.float32)
    doubt[(y0 + y1) // 2 : y1, x0:x1] = 5  # a hand over mouth and chin
    seen = sight(keyframe, face, doubt)
    assert 0.2 < hidden_share(face, [seen], CONFIG.unsure) < 0.7
    assert why_not_by_sights(face, [seen], CONFIG) == "something covers the face"
    doubt[:] = -2
    doubt[y0 : y0 + 8, x0 : x0 + 8] = 5  # a small doubtful place
    assert why_not_by_sights(face, [sight(keyframe, face, doubt)], CONFIG) is None


def test_a_side_that_turns_into_view_is_not_hidden(keyframe: Keyframe, face: Landmarks) -> None:
    """Half of the face is doubtful in both cases; only where the keyframe shows that half it is covered."""
    front = scaled_face(face, 1.0, (512, 512))
    turned = scaled_face(face, 1.0, (512, 512), yaw_deg=50)
    prepared: Any = FakePrepared(keyframe.image, turned)
    from_the_side = Keyframe(keyframe.image, keyframe.image, prepared)
    area = np.array([sight_half(from_the_side, front, side) for side in ("left", "right")])
    assert area.min() < 0.5 * area.max()


def sight_half(keyframe: Keyframe, landmarks: Landmarks, side: str) -> float:
    doubt = np.full((512, 512), -2, np.float32)
    doubt[:, :256] = 5
    if side == "right":
        doubt = np.ascontiguousarray(doubt[:, ::-1])
    return hidden_share(landmarks, [sight(keyframe, landmarks, doubt)], CONFIG.unsure)


def test_config_checks_its_ranges() -> None:
    with pytest.raises(ValueError, match="hidden"):
        RefusalConfig(hidden=1.5)
