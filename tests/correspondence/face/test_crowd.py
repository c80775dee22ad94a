"""Several faces of one stream: kept apart, lost, known again, and no more of them than asked for."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from correspondence import Image, Landmarks, LandmarkTracker
from correspondence.face.crowd import LARGER_S, CrowdTracker, FurtherFace
from correspondence.face.landmarks import detect_faces
from tests.correspondence.faces import on_canvas

LEFT, RIGHT = (0, 0, 420), (490, 10, 400)
STEP_S = 0.1


@pytest.fixture(scope="module")
def face(astronaut: Image) -> Image:
    """The demo's face, cut out of its picture."""
    return np.ascontiguousarray(astronaut[10:250, 110:350])


@pytest.fixture(scope="module")
def other(face: Image) -> Image:
    """Another person: the demo's face mirrored and in another light."""
    return np.ascontiguousarray((face[:, ::-1] * np.array([0.5, 0.6, 0.7])).astype(np.uint8))


def scene(*faces: tuple[Image, tuple[int, int, int]]) -> Image:
    """A wide picture with each face at its place."""
    canvas = on_canvas(np.zeros((8, 8, 3), np.uint8), [])
    for face, (x, y, side) in faces:
        canvas[y : y + side, x : x + side] = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    return canvas


class Crowd:
    """A crowd tracker with its first tracker and a clock."""

    def __init__(self, most: int, **config: float) -> None:
        self.first = LandmarkTracker()
        self.tracker = CrowdTracker(self.first, most, **config)  # type: ignore[arg-type]
        self.now_s = 0.0

    def __call__(self, image: Image, frames: int = 1) -> tuple[Landmarks | None, list[FurtherFace]]:
        for _ in range(frames):
            self.now_s += STEP_S
            out = self.tracker(image, self.now_s)
        return out

    def close(self) -> None:
        self.tracker.close()
        self.first.close()


@pytest.fixture
def two() -> Iterator[Crowd]:
    crowd = Crowd(2)
    yield crowd
    crowd.close()


def is_left(landmarks: Landmarks | None) -> bool:
    assert landmarks is not None
    return landmarks.box[2] < 480


def seen(faces: list[FurtherFace]) -> list[FurtherFace]:
    return [face for face in faces if face.landmarks is not None]


def test_a_further_face_is_found_in_the_first_frame_and_stays(two: Crowd, face: Image, other: Image) -> None:
    both = scene((face, LEFT), (other, RIGHT))
    for _ in range(6):
        first, further = two(both)
        assert is_left(first)
        assert [each.number for each in further] == [0]
        assert not is_left(further[0].landmarks)


def test_who_leaves_frees_a_place_and_is_known_on_return(two: Crowd, face: Image, other: Image) -> None:
    both, alone = scene((face, LEFT), (other, RIGHT)), scene((face, LEFT))
    stays = two(both)[0]
    assert stays is not None
    first, further = two(alone)
    assert [each.landmarks for each in further] == [None]  # waited for
    first, further = two(alone, 20)
    assert further == []
    assert first is not None
    np.testing.assert_allclose(first.points[:, :2], stays.points[:, :2], atol=2)
    further = two(both, 4)[1]
    assert [each.number for each in further] == [0]
    assert not is_left(further[0].landmarks)


def test_the_first_one_has_a_place_whoever_came_meanwhile(two: Crowd, face: Image, other: Image) -> None:
    left, right = scene((face, LEFT)), scene((other, RIGHT))
    both = scene((face, LEFT), (other, RIGHT))
    found = detect_faces(left)[0]
    two.first.follow(left, found)
    two(both, 3)
    first, further = two(right, 20)
    assert first is None
    assert len(seen(further)) == 1
    first, further = two(both, 4)
    assert is_left(first)
    assert len(seen(further)) == 1


def test_of_more_faces_the_largest_stay(two: Crowd, face: Image, other: Image) -> None:
    three = scene((face, (0, 0, 420)), (other, (430, 0, 300)), (face, (740, 0, 210)))
    for _ in range(8):
        further = two(three)[1]
        assert [each.number for each in further] == [0]
        landmarks = further[0].landmarks
        assert landmarks is not None
        assert 430 < landmarks.box[0] < 730


def test_a_much_larger_face_takes_a_place_after_a_while(two: Crowd, face: Image, other: Image) -> None:
    small = scene((face, LEFT), (other, (430, 0, 200)))
    assert len(seen(two(small, 2)[1])) == 1
    larger = scene((face, LEFT), (other, (430, 0, 200)), (face, (610, 100, 350)))
    brief = two(larger, round(0.5 * LARGER_S / STEP_S))[1]
    assert [each.number for each in brief] == [0]
    further = two(larger, round(LARGER_S / STEP_S) + 4)[1]
    assert [each.number for each in further] == [1]
    landmarks = further[0].landmarks
    assert landmarks is not None
    assert landmarks.box[0] > 610


def test_no_face_is_followed_twice(two: Crowd, face: Image, other: Image) -> None:
    two(scene((face, LEFT), (other, RIGHT)), 3)
    moved = scene((other, (20, 10, 400)))  # the other one now sits where the first one sat
    for _ in range(15):
        first, further = two(moved)
        assert (first is not None) + len(seen(further)) <= 1


@pytest.mark.parametrize(("scan_s", "frames"), [(0.0, 1), (0.35, 4)])
def test_who_comes_is_found_at_the_next_scan(face: Image, other: Image, scan_s: float, frames: int) -> None:
    crowd = Crowd(2, scan_s=scan_s)
    assert crowd(scene((face, LEFT)))[1] == []
    both = scene((face, LEFT), (other, RIGHT))
    assert [len(crowd(both)[1]) for _ in range(4)] == [int(n >= frames) for n in range(1, 5)]
    crowd.close()


def test_four_are_followed_at_once(face: Image, other: Image) -> None:
    crowd = Crowd(4)
    faces = [
        (face, (0, 0, 240)),
        (other, (240, 0, 235)),
        (face, (480, 0, 230)),
        (other, (715, 0, 225)),
    ]
    first, further = crowd(scene(*faces), 3)
    crowd.close()
    boxes = sorted(f.box[0] for f in [first, *(each.landmarks for each in further)] if f is not None)
    assert [int(x // 240) for x in boxes] == [0, 1, 2, 3]


@pytest.mark.parametrize("most", [1, 5])
def test_other_numbers_are_refused(most: int) -> None:
    with pytest.raises(ValueError, match="most must be 2 to 4 faces"):
        CrowdTracker(lambda image, now_s: None, most)
