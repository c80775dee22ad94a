"""Detection in stills, and a face followed among others, lost and found again."""

from __future__ import annotations

import threading

import cv2
import numpy as np
import pytest

from correspondence import Image, Landmarks, LandmarkTracker, detect_landmarks
from correspondence.face.landmarks import detect_faces
from tests.correspondence.faces import on_canvas

BIG, SMALL = (0, 0, 480), (600, 100, 300)  # x, y, side


def centre(landmarks: Landmarks | None) -> tuple[float, float]:
    assert landmarks is not None
    x0, y0, x1, y1 = landmarks.box
    return (x0 + x1) / 2, (y0 + y1) / 2


def is_big(landmarks: Landmarks | None) -> bool:
    return centre(landmarks)[0] < 480


def test_the_face_is_found_in_pixels_of_the_picture(astronaut: Image) -> None:
    found = detect_landmarks(astronaut)
    assert found is not None
    assert found.image_size == (512, 512)
    x0, y0, x1, y1 = found.box
    assert (x0, y0, x1, y1) == pytest.approx((178, 69, 271, 177), abs=15)
    assert found.points[468, 1] == pytest.approx(found.points[473, 1], abs=12), "irises lie level"


def test_pixel_centres_lie_on_integers(astronaut: Image) -> None:
    """x of a picture is (x + 0.5) * 4 - 0.5 of four times the size; another reading is off by 1.5."""
    large = cv2.resize(astronaut[:256, 96:352], (1024, 1024), interpolation=cv2.INTER_CUBIC)
    found = detect_landmarks(np.ascontiguousarray(astronaut[:256, 96:352]))
    enlarged = detect_landmarks(large)
    assert found is not None
    assert enlarged is not None
    gap = enlarged.points[:468, :2] - ((found.points[:468, :2] + 0.5) * 4 - 0.5)
    assert np.abs(gap.mean(axis=0)).max() < 0.75


def test_a_still_is_seen_as_a_tracker_sees_it(astronaut: Image) -> None:
    """FaceMesh's first look at a face differs from its later ones; reference and frames must not."""
    tracker = LandmarkTracker()
    for index in range(4):
        followed = tracker(astronaut, index / 30)
    tracker.close()
    found = detect_landmarks(astronaut)
    assert found is not None
    assert followed is not None
    gap = np.linalg.norm(found.points[:468, :2] - followed.points[:468, :2], axis=1)
    assert gap.mean() < 0.005 * (found.box[3] - found.box[1])


def test_no_face_is_none(astronaut: Image) -> None:
    assert detect_landmarks(np.full((480, 640, 3), 128, np.uint8)) is None
    assert detect_landmarks(np.ascontiguousarray(astronaut[300:])) is None


def test_the_largest_of_several_is_taken(astronaut: Image) -> None:
    assert is_big(detect_landmarks(on_canvas(astronaut, [BIG, SMALL])))
    assert not is_big(detect_landmarks(on_canvas(astronaut, [(0, 0, 300), (490, 0, 470)])))


def test_the_person_who_is_named_is_followed(astronaut: Image) -> None:
    picture = on_canvas(astronaut, [BIG, SMALL])
    small = detect_faces(picture)[-1]
    tracker = LandmarkTracker()
    tracker.follow(picture, small)
    assert not is_big(tracker(picture, 0.0))
    tracker.close()


def test_nobody_else_is_taken_for_the_person_who_left(astronaut: Image) -> None:
    picture = on_canvas(astronaut, [BIG])
    dark = (astronaut[:, ::-1] * np.array([0.4, 0.5, 0.6])).astype(np.uint8)
    stranger = on_canvas(np.ascontiguousarray(dark), [(480, 0, 480)])
    assert detect_landmarks(stranger) is not None
    tracker = LandmarkTracker()
    found = detect_landmarks(picture)
    assert found is not None
    tracker.follow(picture, found)
    assert tracker(picture, 0.0) is not None
    for step in range(1, 5):
        assert tracker(stranger, 2.0 * step) is None
    assert tracker(picture, 11.0) is not None
    tracker.close()


def test_any_size_is_answered(astronaut: Image) -> None:
    tracker = LandmarkTracker()
    for index, (height, width) in enumerate(((64, 64), (63, 65), (1, 1), (37, 501), (2160, 3840))):
        square = on_canvas(astronaut, [(0, 0, min(height, width))], (height, width))
        found, followed = detect_landmarks(square), tracker(square, float(index))
        for landmarks in (found, followed):
            assert landmarks is None or landmarks.image_size == (height, width)
        assert (found is not None) == (min(height, width) >= 60)
        assert (followed is not None) == (min(height, width) >= 60)
    tracker.close()


def test_other_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
        detect_landmarks(np.zeros((64, 64), np.uint8))


def test_stills_are_safe_to_detect_from_many_threads(astronaut: Image) -> None:
    pictures = [np.ascontiguousarray(np.roll(astronaut, 12 * k, axis=1)) for k in range(4)]
    alone = [centre(detect_landmarks(picture)) for picture in pictures]
    got: dict[int, tuple[float, float]] = {}

    def work(index: int) -> None:
        for _ in range(3):
            got[index] = centre(detect_landmarks(pictures[index]))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array([got[k] for k in range(4)]) == pytest.approx(np.array(alone), abs=0.01)


class Film:
    """Shows pictures to a tracker at 30 a second."""

    def __init__(self) -> None:
        self.tracker = LandmarkTracker()
        self.now_s = 0.0

    def show(self, picture: Image, frames: int = 1) -> list[Landmarks | None]:
        out = []
        for _ in range(frames):
            self.now_s += 1 / 30
            out.append(self.tracker(picture, self.now_s))
        return out


def test_a_second_face_does_not_take_over(astronaut: Image) -> None:
    film = Film()
    alone = on_canvas(astronaut, [(0, 0, 300)])
    assert all(is_big(found) for found in film.show(alone, 5))
    larger_joins = on_canvas(astronaut, [(0, 0, 300), (490, 0, 470)])
    assert all(is_big(found) for found in film.show(larger_joins, 20)), "kept, although no longer the largest"


def test_a_hidden_face_is_waited_for_then_left(astronaut: Image) -> None:
    film = Film()
    both, small = on_canvas(astronaut, [BIG, SMALL]), on_canvas(astronaut, [SMALL])
    assert is_big(film.show(both, 3)[-1])
    assert film.show(small, 10) == [None] * 10, "the other is not taken for a third of a second"
    assert is_big(film.show(both)[0]), "it is back the moment it shows again"
    film.show(small, 40)
    assert not is_big(film.show(small)[0]), "after a second the other is taken"
    assert not is_big(film.show(both, 5)[-1]), "and kept"


def test_leaving_and_returning(astronaut: Image) -> None:
    film = Film()
    here, empty = on_canvas(astronaut, [BIG]), np.full((480, 960, 3), 90, np.uint8)
    before = centre(film.show(here, 10)[-1])
    assert film.show(empty, 60) == [None] * 60
    back = film.show(here)[0]
    assert centre(back) == pytest.approx(before, abs=2), "found in its first frame, no smoothing from before"
    elsewhere = on_canvas(astronaut, [(480, 0, 480)])
    film.show(empty, 40)
    assert centre(film.show(elsewhere)[0])[0] == pytest.approx(before[0] + 480, abs=3)


def test_a_moving_face_is_followed_through_a_wide_picture(astronaut: Image) -> None:
    """A small face is looked at in a window, which has to come along."""
    film = Film()
    small = cv2.resize(astronaut, (420, 420), interpolation=cv2.INTER_AREA)
    seen = []
    for x in range(0, 750, 15):
        canvas = np.full((720, 1280, 3), 90, np.uint8)
        canvas[200:620, x : x + 420] = small
        seen.append((x, film.show(canvas)[0]))
    positions = np.array([(x, centre(found)[0]) for x, found in seen if found is not None])
    assert len(positions) >= 45
    offset = positions[:, 1] - positions[:, 0]
    assert np.abs(offset - np.median(offset)).max() < 5, "FaceMesh itself trails by 3 at this speed"


def test_another_picture_size_starts_anew(astronaut: Image) -> None:
    film = Film()
    film.show(on_canvas(astronaut, [BIG]), 3)
    found = film.show(astronaut)[0]
    assert found is not None
    assert found.image_size == (512, 512)
