"""What an edit does while its wearer blinks, talks, leaves, and someone else comes into the picture."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest

from correspondence import Image, Landmarks, LandmarkTracker, Matcher
from reference import Edit, KeeperConfig, Propagator, PropagatorConfig, presets
from reference.face.parts import LEFT_EYE, RIGHT_EYE, RIGHT_UPPER_LID, eye_openings, lip_gap, take
from tests.reference.acting import LOWER_LIP, UPPER_LIP, acted, blinked, enlarged, mouthed


@dataclass(frozen=True, eq=False)
class Head:
    """The demo's head, large, and its landmarks."""

    image: Image
    face: Landmarks


@pytest.fixture(scope="module")
def head(astronaut: Image, face: Landmarks) -> Head:
    return Head(*enlarged(astronaut, face))


class Actor:
    """A tracker that knows the landmarks of the frame to come."""

    def __init__(self) -> None:
        self.landmarks: Landmarks | None = None

    def __call__(self, image: Image, now_s: float) -> Landmarks | None:
        return self.landmarks


def played(head: Head, edit: Edit, poses: list[Landmarks]) -> list[tuple[Image, Image]]:
    """Each pose's frame and what a stream makes of it, with the classical matcher."""
    actor = Actor()
    config = PropagatorConfig(references=KeeperConfig(background=False))
    propagator = Propagator(edit, Matcher.load("classical"), actor, config)
    out = []
    for k, pose in enumerate(poses):
        frame, actor.landmarks = acted(head.image, head.face, pose), pose
        out.append((frame, propagator.step(frame, k / 25).image))
    propagator.close()
    return out


def test_a_blink_wears_its_eye_shadow_on_the_lids(head: Head) -> None:
    edited = presets.apply("eyeshadow", head.image, head.face)
    openness = [*np.linspace(1, 0, 9), *np.linspace(0, 1, 9)[1:]]
    poses = [blinked(head.face, o) for o in openness]
    assert max(eye_openings(poses[8])) < 0.02 < 0.3 < min(eye_openings(poses[0]))
    shown = played(head, Edit(head.image, edited), poses)
    eyes = np.concatenate([take(head.face, RIGHT_EYE), take(head.face, LEFT_EYE)])
    x0, y0 = eyes.min(axis=0).astype(int) - 20
    x1, y1 = eyes.max(axis=0).astype(int) + 10
    carried = [(image.astype(int) - frame)[y0:y1, x0:x1] for frame, image in shown]

    steps = [float(np.abs(b - a).mean()) for a, b in pairwise(carried)]
    total = float(np.abs(carried[8] - carried[0]).mean())
    assert total > 3  # the lids take their shadow along
    assert max(steps) < 0.25 * total  # in even steps: an eighth is the least a step can be
    np.testing.assert_allclose(carried[-1], carried[0], atol=12)  # and back

    for pose, (frame, image) in zip(poses, shown, strict=True):
        lid = take(pose, RIGHT_UPPER_LID)[2:7].mean(axis=0).round().astype(int)
        above = np.s_[lid[1] - 7 : lid[1] - 3, lid[0] - 3 : lid[0] + 4]
        assert np.abs(image[above].astype(int) - frame[above]).max(axis=2).mean() > 25
        if min(eye_openings(pose)) > 0.15:
            x, y = take(pose, RIGHT_EYE).mean(axis=0).round().astype(int)
            np.testing.assert_array_equal(
                image[y - 1 : y + 2, x - 3 : x + 4], frame[y - 1 : y + 2, x - 3 : x + 4]
            )


def seam(pose: Landmarks, frame: Image, image: Image) -> Any:
    """How far green goes down between the lips, at places along them."""
    change = image.astype(np.float32) - frame
    between = (pose.points[list(UPPER_LIP), :2] + pose.points[list(LOWER_LIP), :2]) / 2
    return -cv2.remap(change, between[None, 2:-2], None, cv2.INTER_LINEAR)[0, :, 1]


def test_lips_that_meet_are_painted_where_they_do(head: Head) -> None:
    """The reference shows teeth; no line of bare lip may stay once the mouth is shut."""
    edit = Edit(head.image, presets.apply("lipstick", head.image, head.face, colour="#d01030"))
    assert lip_gap(head.face) > 0.15
    poses = [mouthed(head.face, o) for o in (1.0, 0.5, 0.3, 0.05)]
    whole, half, slight, shut = played(head, edit, poses)
    lip = take(head.face, (14, 17)).mean(axis=0).round().astype(int)
    painted = int(whole[0][lip[1], lip[0], 1]) - int(whole[1][lip[1], lip[0], 1])
    assert painted > 100
    assert seam(poses[3], *shut).mean() > 0.5 * painted
    assert seam(poses[3], *shut).min() > 0.3 * painted
    for pose, (frame, image) in zip(poses[:3], (whole, half, slight), strict=True):  # teeth stay as they are
        assert np.abs(seam(pose, frame, image)).max() < 2


def test_an_edit_of_the_forehead_does_not_reach_into_the_mouth(head: Head) -> None:
    edited = head.image.copy()
    forehead = take(head.face, (151,))[0].round().astype(int)
    cv2.circle(edited, forehead.tolist(), 12, (200, 30, 40), -1)
    frame, image = played(head, Edit(head.image, edited), [mouthed(head.face, 0.05)])[0]
    mouth = np.s_[take(head.face, UPPER_LIP)[:, 1].min().astype(int) - 10 :]
    np.testing.assert_array_equal(image[mouth], frame[mouth])
    assert (image != frame).any()


def test_paint_inside_an_open_mouth_is_the_users(head: Head) -> None:
    """Where the edit covers the teeth too nothing is continued, and it stays at the same opening."""
    edited = head.image.copy()
    cv2.fillPoly(
        edited, [np.rint(take(head.face, UPPER_LIP + LOWER_LIP[::-1])).astype(np.int32)], (30, 60, 200)
    )
    _, image = played(head, Edit(head.image, edited), [head.face])[0]
    x, y = take(head.face, (13, 14)).mean(axis=0).round().astype(int)
    np.testing.assert_allclose(image[y, x], (30, 60, 200), atol=6)


@pytest.fixture
def stage(astronaut: Image) -> Image:
    """A wide picture with the astronaut on its left."""
    return np.concatenate([astronaut, np.full((512, 400, 3), 60, np.uint8)], axis=1)


def lipstick_stream(reference: Image, face: Landmarks) -> Propagator:
    edited = presets.apply("lipstick", reference, face, colour="#1030ff")
    config = PropagatorConfig(references=KeeperConfig(background=False))
    return Propagator(Edit(reference, edited), Matcher.load("classical"), LandmarkTracker(), config)


def test_an_edit_goes_with_its_face_and_comes_back_as_it_was(stage: Image, face: Landmarks) -> None:
    propagator = lipstick_stream(np.ascontiguousarray(stage[:, :512]), face)
    empty = np.full_like(stage, 60)
    frames = [stage] * 8 + [empty] * 9 + [stage] * 10
    changes, results = [], []
    for k, frame in enumerate(frames):
        results.append(propagator.step(frame, k / 25))
        changes.append(float(np.abs(results[-1].image.astype(int) - frame).sum()))
    propagator.close()
    assert min(changes[:8]) > 0
    assert results[16].reason == "no face found"
    assert results[16].image is frames[16]  # passed through
    assert all(b <= a for a, b in pairwise(changes[8:17]))  # it only fades
    returning = np.array(changes[17:]) / changes[7]
    assert returning[0] < 0.6
    assert np.all(np.diff(returning) > -0.05)
    assert returning[-1] == pytest.approx(1, abs=0.05)


def test_another_face_stays_bare(stage: Image, astronaut: Image, face: Landmarks) -> None:
    """A second face comes in, becomes the larger one and goes: the edit stays on the first throughout."""
    propagator = lipstick_stream(astronaut, face)
    x0, y0, x1, y1 = (int(v) for v in face.box)
    other = astronaut[max(0, y0 - 40) : y1 + 40, x0 - 30 : x1 + 30, ::-1]
    scales = [0.0] * 3 + [0.8] * 3 + [1.4] * 4 + [0.0] * 2
    for k, scale in enumerate(scales):
        frame = stage.copy()
        if scale:
            size = (round(other.shape[1] * scale), round(other.shape[0] * scale))
            frame[200 : 200 + size[1], 580 : 580 + size[0]] = cv2.resize(other, size)
        result = propagator.step(frame, k / 25)
        np.testing.assert_array_equal(result.image[:, 512:], frame[:, 512:])
        assert result.reason is None
        x, y = take(face, (14, 17)).mean(axis=0).round().astype(int)
        assert int(result.image[y, x, 2]) > int(frame[y, x, 2]) + 40, f"frame {k}"
    propagator.close()
