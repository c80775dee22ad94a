"""A still moved by landmarks: it follows, keeps who it is, and says where it guesses."""

from __future__ import annotations

import numpy as np
import pytest

from correspondence import Image, Landmarks, detect_landmarks
from inpaint.classical.landmark_warp import LEAST_UNSURE, LandmarkWarp
from inpaint.classical.still import Still, mouth_opening, transferred, unlike


@pytest.fixture(scope="module")
def portrait(astronaut: Image) -> tuple[Image, Landmarks]:
    image = np.ascontiguousarray(astronaut[:256, 96:352])
    found = detect_landmarks(image)
    assert found is not None
    return image, found


def shifted(landmarks: Landmarks, dx: float, dy: float) -> Landmarks:
    return Landmarks(landmarks.points + np.array([dx, dy, 0], np.float32), landmarks.image_size)


def opened(landmarks: Landmarks, by_px: float) -> Landmarks:
    points = landmarks.points.copy()
    lower = [95, 88, 178, 87, 14, 317, 402, 318, 324, 146, 91, 181, 84, 17, 314, 405, 321, 375]
    points[lower, 1] += by_px
    return Landmarks(points, landmarks.image_size)


def test_its_own_landmarks_leave_it_alone(portrait: tuple[Image, Landmarks]) -> None:
    image, landmarks = portrait
    moved = Still(image, landmarks).moved(landmarks)
    assert np.abs(moved.image.astype(int) - image).mean() < 0.5


def test_the_face_goes_where_it_is_told(portrait: tuple[Image, Landmarks]) -> None:
    image, landmarks = portrait
    target = shifted(landmarks, 6, 4)
    moved = Still(image, landmarks).moved(target)
    found = detect_landmarks(moved.image)
    assert found is not None
    error = np.linalg.norm(found.points[:468, :2] - target.points[:468, :2], axis=1).mean()
    assert error < 1.5
    np.testing.assert_array_equal(moved.image[-10:, :10], image[-10:, :10])  # far from the face


def test_motion_is_carried_over_in_the_stills_own_size(portrait: tuple[Image, Landmarks]) -> None:
    _, landmarks = portrait
    large = Landmarks(landmarks.points * 2, (512, 512))
    target = transferred(landmarks, large, shifted(large, 10, 0))
    np.testing.assert_allclose(target.points, shifted(landmarks, 5, 0).points, atol=1e-3)
    assert unlike(landmarks, large) == pytest.approx(0, abs=1e-5)
    assert unlike(landmarks, opened(landmarks, 10)) > 0.01


def test_a_mouth_opened_wider_shows_dark_and_says_it_guesses(portrait: tuple[Image, Landmarks]) -> None:
    image, landmarks = portrait
    target = opened(landmarks, 14)
    assert mouth_opening(target) > 2 * mouth_opening(landmarks)
    moved = Still(image, landmarks).moved(target)
    x, y = target.points[14, :2].astype(int) - np.array([0, 4])
    assert moved.image[y, x].mean() < 80
    assert moved.unsure[y, x] == 1
    assert moved.unsure.mean() < 0.2


def test_two_pictures_meet_at_the_landmarks_between_them(portrait: tuple[Image, Landmarks]) -> None:
    image, landmarks = portrait
    target = shifted(landmarks, 4, 0)
    truth = np.roll(image, 4, axis=1)
    ends = [(image, landmarks), (np.roll(image, 8, axis=1), shifted(landmarks, 8, 0))]
    made, unsure = LandmarkWarp(ends).at(target, 0.5)
    x0, y0, x1, y1 = (round(v) for v in target.box)
    face = np.s_[y0:y1, x0:x1]
    error, still = (np.abs(p[face].astype(int) - truth[face]).mean() for p in (made, image))
    assert error < 0.35 * still
    assert unsure.min() >= LEAST_UNSURE
    assert unsure.max() <= 1
    for share, end in ((0.0, ends[0]), (1.0, ends[1])):
        there, _ = LandmarkWarp(ends).at(end[1], share)
        assert np.abs(there.astype(int) - end[0]).mean() < 1.0


def test_without_a_face_pictures_stand_and_nothing_is_sure(portrait: tuple[Image, Landmarks]) -> None:
    image, landmarks = portrait
    for ends, target in (([(image, None)], landmarks), ([(image, landmarks)], None)):
        made, unsure = LandmarkWarp(ends).at(target, 0.0)
        np.testing.assert_array_equal(made, image)
        assert (unsure == 1).all()
    with pytest.raises(ValueError, match="from one picture or two, got 3"):
        LandmarkWarp([(image, landmarks)] * 3)
