"""A still moved by landmarks: it follows, keeps who it is, and says where it guesses."""

from __future__ import annotations

import numpy as np
import pytest

from correspondence import Landmarks, detect_landmarks
from correspondence.types import Image
from inpaint.still import Still, mouth_opening, transferred, unlike


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
