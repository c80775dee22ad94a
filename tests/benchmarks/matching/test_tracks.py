"""Tracked points: they find a motion that is known, and drop what is lost."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.matching.measures import TrackedClip
from benchmarks.matching.methods import find
from benchmarks.matching.tally import Sums
from benchmarks.matching.tracks import LEAST, measure_tracks, texture_tracks
from correspondence import Image, Landmarks, detect_landmarks

STEP = np.array([0.7, -0.4], np.float32)  # motion of the picture in a frame, pixels


@pytest.fixture(scope="module")
def face(astronaut: Image) -> Landmarks:
    found = detect_landmarks(astronaut)
    assert found is not None
    return found


def moved(image: Image, number: int) -> Image:
    matrix = np.array([[1, 0, number * STEP[0]], [0, 1, number * STEP[1]]], np.float32)
    return np.asarray(cv2.warpAffine(image, matrix, image.shape[1::-1], flags=cv2.INTER_CUBIC), np.uint8)


def test_points_are_tracked_to_a_tenth_of_a_pixel(astronaut: Image, face: Landmarks) -> None:
    frames = [moved(astronaut, number) for number in range(9)]
    near, far = texture_tracks(frames, face, (4, 8))
    assert min(len(near.first), len(far.first)) >= LEAST
    for tracks, number in ((near, 4), (far, 8)):
        off = np.linalg.norm(tracks.frame - tracks.first - number * STEP, axis=1)
        assert np.median(off) < 0.1


def test_what_is_covered_is_no_longer_tracked(astronaut: Image, face: Landmarks) -> None:
    frames = [moved(astronaut, number) for number in range(5)]
    x0, y0, x1, y1 = (int(v) for v in face.box)
    frames[3] = frames[3].copy()
    frames[3][y0:y1, (x0 + x1) // 2 : x1] = 128
    (tracks,) = texture_tracks(frames, face, (4,))
    assert len(tracks.first) >= LEAST
    assert (tracks.frame[:, 0] < (x0 + x1) / 2 + 8).all()


def test_a_face_without_texture_has_no_tracks(face: Landmarks) -> None:
    flat = [np.full((512, 512, 3), 90, np.uint8)] * 3
    (tracks,) = texture_tracks(flat, face, (2,))
    assert len(tracks.first) == 0


def test_landmarks_that_are_off_show_in_the_column(astronaut: Image, face: Landmarks) -> None:
    frames = [moved(astronaut, number) for number in range(5)]
    right, off = [], []
    for number in range(5):
        points = face.points.copy()
        points[:, :2] += number * STEP
        right.append(Landmarks(points.copy(), face.image_size))
        points[:, :2] += 3.0 * (number > 0)
        off.append(Landmarks(points, face.image_size))
    errors = []
    for landmarks in (right, off):
        sums = Sums()
        measure_tracks(find("landmark-only"), TrackedClip("demo", frames, list(landmarks)), 4, sums)
        errors.append(sums.mean("track"))
    assert errors[0] < 0.3
    assert errors[1] == pytest.approx(3.0 * np.sqrt(2), abs=0.3)
