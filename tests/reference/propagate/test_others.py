"""An edit on several people of a stream: each wears it, nobody wears it twice, who returns wears it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from correspondence import Float, Image, Landmarks, Matcher
from correspondence.face.landmarks import detect_faces
from reference import Edit, KeeperConfig, Propagator, PropagatorConfig, Result, UserKeyframe, presets
from reference.face.parts import OUTER_LIPS, face_size, take

RED, BLUE = "#d00a1c", "#1c0ad0"
SIDE = 360
STEP_S = 0.1
IN_STEP = KeeperConfig(background=False)


@dataclass(frozen=True)
class Stage:
    """Two people side by side; each may be missing."""

    left: Image
    right: Image
    reference: Image
    faces: tuple[Landmarks, Landmarks]

    def frame(self, *, left: bool = True, right: bool = True, shift: int = 0) -> Image:
        """Both people moved sideways by `shift` pixels, or a gray wall where one is missing."""
        halves = [
            np.roll(half, shift, axis=1) if there else np.full_like(half, 90)
            for half, there in ((self.left, left), (self.right, right))
        ]
        return np.hstack(halves)


@pytest.fixture(scope="module")
def stage(astronaut: Image) -> Stage:
    left = cv2.resize(astronaut[10:270, 100:360], (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    right = np.ascontiguousarray((left[:, ::-1] * np.array([0.75, 0.85, 0.95])).astype(np.uint8))
    both = np.hstack([left, right])
    first, second = sorted(detect_faces(both), key=lambda face: face.box[0])
    return Stage(left, right, both, (first, second))


def lips(face: Landmarks, grown: float = 0.0) -> Image:
    """The lips of a face, grown by a share of the face's size: uint8 (H, W), 1: lips."""
    mask = np.zeros(face.image_size, np.uint8)
    cv2.fillPoly(mask, [np.rint(take(face, OUTER_LIPS)).astype(np.int32)], 1)
    side = 2 * round(grown * face_size(face)) + 1
    return np.asarray(cv2.dilate(mask, np.ones((side, side), np.uint8)), np.uint8)


def tint(image: Image, frame: Image, face: Landmarks) -> Float:
    """How red, green and blue the lips of a face became, mean over the lips, levels."""
    change = image.astype(np.float32) - frame
    return np.asarray(change[lips(face) > 0].mean(axis=0), np.float32)


def red(image: Image, frame: Image, face: Landmarks) -> float:
    change = tint(image, frame, face)
    return float(change[0] - change[1])


def stray(image: Image, frame: Image, faces: tuple[Landmarks, ...], above: int = 0) -> int:
    """Pixels off the lips of these faces that changed by more than some levels."""
    allowed = np.max([lips(face, 0.04) for face in faces], axis=0)
    return int(((cv2.absdiff(image, frame) > above).any(axis=2) & (allowed == 0)).sum())


class Stream:
    """A propagator and its clock."""

    def __init__(self, edit: Edit, faces: int) -> None:
        config = PropagatorConfig(faces=faces, references=IN_STEP)
        self.propagator = Propagator(edit, Matcher.load("classical", cover=False), config=config)
        self.now_s = 0.0

    def __call__(self, frame: Image, frames: int = 1) -> Result:
        for _ in range(frames):
            self.now_s += STEP_S
            result = self.propagator.step(frame, self.now_s)
        return result

    def close(self) -> None:
        self.propagator.close()


@pytest.fixture
def one_edited(stage: Stage) -> Edit:
    """Lipstick on the left face alone."""
    return Edit(stage.reference, presets.apply("lipstick", stage.reference, stage.faces[0], RED, 1.0))


@pytest.fixture
def stream(one_edited: Edit) -> Iterator[Stream]:
    stream = Stream(one_edited, 2)
    yield stream
    stream.close()


def test_one_alone_wears_it_by_default(stage: Stage, one_edited: Edit) -> None:
    stream = Stream(one_edited, 1)
    result = stream(stage.frame(), 3)
    stream.close()
    assert result.others == ()
    assert "faces" not in result.stages
    assert red(result.image, stage.reference, stage.faces[0]) > 40
    assert stray(result.image, stage.reference, stage.faces[:1]) == 0


def test_both_wear_it_from_the_first_frame(stage: Stage, stream: Stream) -> None:
    for _ in range(5):
        result = stream(stage.frame())
        assert result.reason is None
        for face in stage.faces:
            assert red(result.image, stage.reference, face) > 40
        assert stray(result.image, stage.reference, stage.faces) == 0
        (other,) = result.others
        assert other.coverage > 0.9
        assert other.landmarks is not None
        assert abs(other.landmarks.box[0] - stage.faces[1].box[0]) < 5
        assert result.confidence[lips(stage.faces[1]) > 0].mean() > 0.8


def test_who_leaves_changes_nothing_for_the_other_and_wears_it_again(stage: Stage, stream: Stream) -> None:
    left, right = stage.faces
    stream(stage.frame(), 3)
    alone = stage.frame(right=False)
    stream(alone, 20)
    result = stream(alone)
    assert result.others == ()
    assert red(result.image, alone, left) > 40
    assert stray(result.image, alone, (left,)) == 0
    result = stream(stage.frame(), 8)
    assert red(result.image, stage.reference, right) > 40
    assert [other.number for other in result.others] == [0]
    alone = stage.frame(left=False)
    result = stream(alone, 20)
    assert result.reason is None
    assert result.landmarks is None
    assert red(result.image, alone, right) > 40
    assert stray(result.image, alone, (right,)) == 0
    result = stream(stage.frame(), 8)
    for face in stage.faces:
        assert red(result.image, stage.reference, face) > 40


def test_each_wears_their_own_where_both_were_edited(stage: Stage) -> None:
    edited = stage.reference
    for face, colour in zip(stage.faces, (RED, BLUE), strict=True):
        edited = presets.apply("lipstick", edited, face, colour, 1.0)
    stream = Stream(Edit(stage.reference, edited), 2)
    swapped = np.hstack([stage.right, stage.left])
    there = sorted(detect_faces(swapped), key=lambda face: face.box[0])
    for frame, wanted, faces in (
        (stage.frame(), edited, stage.faces),
        (swapped, np.hstack([edited[:, SIDE:], edited[:, :SIDE]]), there),
    ):
        result = stream(frame, 10)
        for face in faces:
            off = np.abs(result.image.astype(int) - wanted)[lips(face) > 0].mean()
            assert off < 12, f"{off:.1f} levels off"
        assert stray(result.image, frame, tuple(faces)) == 0
        stream(stage.frame(left=False, right=False), 15)  # both leave and come back elsewhere
    stream.close()


def test_a_look_of_the_whole_picture_is_applied_once(stage: Stage) -> None:
    darker = Edit(stage.reference, cv2.LUT(stage.reference, np.arange(256, dtype=np.uint8) // 2))
    streams = [Stream(darker, faces) for faces in (1, 2)]
    one, two = (stream(stage.frame(), 2) for stream in streams)
    for each in streams:
        each.close()
    np.testing.assert_array_equal(one.image, two.image)
    assert two.others == ()


def test_a_change_of_the_edit_reaches_everybody(stage: Stage, one_edited: Edit, stream: Stream) -> None:
    stream(stage.frame(), 3)
    blue = presets.apply("lipstick", stage.reference, stage.faces[0], BLUE, 1.0)
    workshop = stream.propagator.workshop
    stream.propagator.put_on(workshop.outfit([UserKeyframe(edit=Edit(stage.reference, blue))]))
    result = stream(stage.frame(), 3)
    for face in stage.faces:
        change = tint(result.image, stage.reference, face)
        assert change[2] - change[0] > 20
    stream.propagator.put_on(None)
    assert stream(stage.frame()).image is not None
    assert stream(stage.frame()).reason == "no edit yet"


def test_fewer_may_wear_it_for_a_while(stage: Stage, stream: Stream) -> None:
    frame = stage.frame()
    stream(frame, 2)
    stream.propagator.limit_faces(1)
    result = stream(frame, 2)
    assert result.others == ()
    assert stray(result.image, frame, stage.faces[:1]) == 0
    assert stream(stage.frame(left=False), 20).reason == "no face found", (
        "the other one is not taken for them"
    )
    stream.propagator.limit_faces(2)
    result = stream(frame, 8)
    for face in stage.faces:
        assert red(result.image, frame, face) > 40
    for faces in (0, 3):
        with pytest.raises(ValueError, match=f"faces must be 1 to 2, got {faces}"):
            stream.propagator.limit_faces(faces)


def test_frames_of_other_sizes_and_a_clock_that_starts_over(stage: Stage, stream: Stream) -> None:
    stream(stage.frame(), 2)
    for size in ((1, 1), (64, 64), (37, 501), (720, 1440)):
        frame = cv2.resize(stage.frame(), size[::-1], interpolation=cv2.INTER_AREA)
        result = stream(frame, 8)  # until the edit has faded in again
        assert result.image.shape == frame.shape
    for face in detect_faces(frame):
        assert red(result.image, frame, face) > 40
    stream.now_s = 0.0
    result = stream(stage.frame(), 8)
    for face in stage.faces:
        assert red(result.image, stage.reference, face) > 40


def test_strength_zero_leaves_everybody(stage: Stage, stream: Stream) -> None:
    outfit = stream.propagator.worn
    stream.propagator.put_on(outfit, strength=0.0)
    frame = stage.frame()
    result = stream(frame, 2)
    assert result.image is frame
    assert result.reason == "strength is 0"


def test_a_face_fits_by_its_own_landmarks(stage: Stage, stream: Stream) -> None:
    """Both move; the lipstick moves with them."""
    stream(stage.frame(), 2)
    for shift in (4, 8, 12, 16):
        frame = stage.frame(shift=shift)
        result = stream(frame)
        for face in sorted(detect_faces(frame), key=lambda face: face.box[0]):
            assert red(result.image, frame, face) > 35


@pytest.mark.parametrize("faces", [0, 5, -1])
def test_other_numbers_are_refused(faces: int) -> None:
    with pytest.raises(ValueError, match=f"faces must be 1 to 4 people who wear the edit, got {faces}"):
        PropagatorConfig(faces=faces)
