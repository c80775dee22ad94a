from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Image, Landmarks, Match, detect_landmarks
from reference import Compositor
from reference.compose.gate import FaceGate
from reference.edits.edit import Edit
from reference.face.parts import face_size

CHEEK = 205


@pytest.fixture(scope="module")
def face(astronaut: Image) -> Landmarks:
    found = detect_landmarks(astronaut)
    assert found is not None
    return found


def spot(landmarks: Landmarks, radius: int = 8) -> np.ndarray:
    mask = np.zeros(landmarks.image_size, np.uint8)
    x, y = landmarks.points[CHEEK, :2]
    cv2.circle(mask, (round(float(x)), round(float(y))), radius, 1, -1)
    return mask


def moved(landmarks: Landmarks, dx: float, dy: float) -> Landmarks:
    return Landmarks(landmarks.points + np.array([dx, dy, 0], np.float32), landmarks.image_size)


def test_the_allowed_area_moves_with_the_face_and_stays_close(face: Landmarks) -> None:
    gate = FaceGate(spot(face).astype(bool), face)
    allowed = gate.allowed(moved(face, 30, -20), (0, 0, 512, 512)) == 255
    expected = np.roll(spot(face), (-20, 30), axis=(0, 1)).astype(bool)
    assert not (expected & ~allowed).any()
    distance = cv2.distanceTransform((~expected).astype(np.uint8), cv2.DIST_L2, 5)
    assert distance[allowed].max() < 0.06 * face_size(face)


def test_a_box_is_a_cut_of_the_whole(face: Landmarks) -> None:
    gate = FaceGate(spot(face).astype(bool), face)
    whole = gate.allowed(face, (0, 0, 512, 512))
    x0, y0, x1, y1 = 150, 60, 271, 201  # a multiple of the canvas cell from 0, odd size
    np.testing.assert_array_equal(gate.allowed(face, (x0, y0, x1, y1)), whole[y0:y1, x0:x1])


def test_a_mirrored_face_shows_only_backs_and_allows_nothing(face: Landmarks) -> None:
    points = face.points.copy()
    points[:, 0] = 511 - points[:, 0]
    gate = FaceGate(spot(face).astype(bool), face)
    assert not gate.allowed(Landmarks(points, face.image_size), (0, 0, 512, 512)).any()


@pytest.mark.parametrize(("width", "shown"), [(0.5, True), (0.1, False)])
def test_paint_on_skin_seen_edge_on_goes_nowhere_else(face: Landmarks, width: float, shown: bool) -> None:
    narrow = Landmarks(face.points * np.array([width, 1, 1], np.float32), face.image_size)
    gate = FaceGate(spot(narrow, 4).astype(bool), narrow)
    assert gate.allowed(narrow, (0, 0, 512, 512)).any()
    assert gate.allowed(face, (0, 0, 512, 512)).any() == shown


def test_what_lies_off_the_mesh_is_free(face: Landmarks) -> None:
    mask = spot(face).astype(bool)
    assert FaceGate(mask, face).free is None
    mask[480:490, 20:30] = 1
    free = FaceGate(mask, face).free
    assert free is not None
    assert np.count_nonzero(free == 255) == 100


def test_a_field_that_doubles_the_cheek_paints_it_once(astronaut: Image, face: Landmarks) -> None:
    edited = astronaut.copy()
    edited[spot(face).astype(bool)] = (0, 0, 255)
    edit = Edit(astronaut, edited)
    field = np.zeros((512, 512, 2), np.float32)
    field[:, :120, 0] = face.points[CHEEK, 0] - 60  # the left border, too, says it shows the cheek
    match = Match.from_field(field, np.full((512, 512), -2, np.float32), face)
    image = Compositor(edit, face).compose(astronaut, match).image
    changed = (image != astronaut).any(axis=2)
    assert changed[spot(face).astype(bool)].mean() > 0.95
    assert not changed[:, :120].any()


@pytest.mark.parametrize(("levels", "shown"), [(1, False), (40, True)])
def test_the_rim_of_a_soft_brush_does_not_open_the_gate(
    astronaut: Image, face: Landmarks, levels: int, shown: bool
) -> None:
    x, y = (round(float(v)) for v in face.points[CHEEK, :2])
    edited = astronaut.copy()
    edited[y - 8 : y + 8, x - 8 : x + 8] = (0, 0, 255)
    beside = np.s_[y - 8 : y + 8, x + 14 : x + 30]
    edited[beside] += np.uint8(levels) * (edited[beside] < 200)
    field = np.zeros((512, 512, 2), np.float32)
    field[beside] = (-22, 0)  # sends the skin beside the paint into it
    match = Match.from_field(field, np.full((512, 512), -2, np.float32), face)
    image = Compositor(Edit(astronaut, edited), face).compose(astronaut, match).image
    middle = np.s_[y - 3 : y + 3, x + 21 : x + 25]
    assert (image[middle] != astronaut[middle]).any() == shown
