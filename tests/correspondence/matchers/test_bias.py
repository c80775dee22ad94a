"""The correction of the landmarks' error: it follows the skin, smoothly, where that explains more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from correspondence import Float, Image, Landmarks, Matcher, detect_landmarks
from correspondence.face.mesh import landmark_field
from correspondence.face.topology import LEFT_EYE, LIPS, RIGHT_EYE
from correspondence.matchers.bias import LIMIT, NEW, Seen, added, correction
from correspondence.matchers.choice import parts_of
from correspondence.matchers.classical import prepare
from correspondence.matchers.windows import WindowMatch

OFF = np.array([2.0, -1.5], np.float32)  # error of the landmarks, pixels
CHEEKS = (50, 280, 101, 330, 205, 425)


@pytest.fixture(scope="module")
def portrait(astronaut: Image) -> tuple[Image, Landmarks]:
    face = detect_landmarks(astronaut)
    assert face is not None
    return astronaut, face


def shifted(face: Landmarks) -> Landmarks:
    """Landmarks that are off by `OFF` all over the face."""
    points = face.points.copy()
    points[:, :2] += OFF
    return Landmarks(points, face.image_size)


def face_box(face: Landmarks) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (int(v) for v in face.box)
    return x0, y0, x1, y1


def errors(field: Float, face: Landmarks, points: tuple[int, ...]) -> Float:
    """Length of the field at landmarks of a frame that is its own reference, where the truth is 0."""
    x, y = np.rint(face.points[list(points), :2]).astype(int).T
    return np.asarray(np.linalg.norm(field[y, x], axis=1), np.float32)


@pytest.mark.parametrize("kind", ["classical", "compact"])
def test_a_whole_match_takes_an_error_back(portrait: tuple[Image, Landmarks], kind: str) -> None:
    image, face = portrait
    matcher = Matcher.load(kind, cover=False)
    match = matcher.match(image, matcher.prepare(image, face), None, shifted(face))
    assert errors(match.field, face, CHEEKS).mean() < 0.4 * float(np.linalg.norm(OFF))


def test_a_window_takes_an_error_back_in_each_frame(portrait: tuple[Image, Landmarks]) -> None:
    image, face = portrait
    matcher = Matcher.load("classical", cover=False)
    prepared = matcher.prepare(image, face)
    match = matcher.match(image, prepared, None, shifted(face), window=face_box(face))
    assert isinstance(match, WindowMatch)
    wrong = float(np.linalg.norm(OFF))
    assert errors(match.field, face, CHEEKS).mean() < 0.4 * wrong
    again = matcher.match(image, prepared, match, shifted(face), window=face_box(face))
    assert errors(again.field, face, CHEEKS).mean() < 0.4 * wrong


def test_right_landmarks_are_left_alone(portrait: tuple[Image, Landmarks]) -> None:
    image, face = portrait
    matcher = Matcher.load("classical", cover=False)
    match = matcher.match(image, matcher.prepare(image, face), None, face, window=face_box(face))
    assert errors(match.field, face, CHEEKS).max() < 0.15


def seen_of(portrait: tuple[Image, Landmarks], move: Float) -> tuple[Float, Seen]:
    """A still face whose guided flow is `move`, float32 (2,), cells, everywhere; and its field, 0."""
    image, face = portrait
    own = prepare(image, face)
    assert own.face is not None
    field = landmark_field(face, own.face, own.region)
    n = own.look.shape[0]
    flow = np.broadcast_to(move, (n, n, 2)).astype(np.float32)
    seen = Seen(flow, field, parts_of(face, own.region, n), own.look, own.look)
    return np.zeros((2 * n, 2 * n, 2), np.float32), seen


def moved_look(look: Any, cells: Float) -> Image:
    matrix = np.array([[1, 0, cells[0] / 2], [0, 1, cells[1] / 2]], np.float32)
    moved = cv2.warpAffine(look, matrix, look.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def test_flow_that_explains_no_more_changes_nothing(portrait: tuple[Image, Landmarks]) -> None:
    field, seen = seen_of(portrait, np.array([3.0, 0.0], np.float32))
    assert np.abs(correction(field, seen)).max() < 0.1, "the face stands still, flow says 3 cells"


def test_skin_is_corrected_and_lips_and_eyes_half_as_much(portrait: tuple[Image, Landmarks]) -> None:
    move = np.array([1.6, 0.0], np.float32)
    field, seen = seen_of(portrait, move)
    seen = replace(seen, reference=moved_look(seen.reference, move))
    shift = correction(field, seen)[..., 0]
    image, face = portrait
    region = prepare(image, face).region

    def at(points: tuple[int, ...]) -> Float:
        x, y = np.rint(region.to_grid(face.points[list(points), :2], 128)).astype(int).T
        return np.asarray(shift[y, x], np.float32)

    assert 1.3 < at(CHEEKS).mean() < 1.7
    assert 0.5 < at((*LIPS, *RIGHT_EYE, *LEFT_EYE)).mean() < 1.2
    off_face = cv2.dilate(seen.face.inside.astype(np.uint8), np.ones((5, 5), np.uint8))[::2, ::2] == 0
    assert np.abs(shift[off_face]).max() == 0


def test_a_correction_is_never_long(portrait: tuple[Image, Landmarks]) -> None:
    move = np.array([6.0, 0.0], np.float32)
    field, seen = seen_of(portrait, move)
    seen = replace(seen, reference=moved_look(seen.reference, move))
    assert LIMIT - 0.2 < np.linalg.norm(correction(field, seen), axis=2).max() <= LIMIT + 1e-3


def test_a_correction_follows_that_of_the_frame_before(portrait: tuple[Image, Landmarks]) -> None:
    field, seen = seen_of(portrait, np.zeros(2, np.float32))
    last = np.full((*seen.parts.shape, 2), 1.5, np.float32)
    np.testing.assert_allclose(correction(field, seen, last), (1 - NEW) * last, atol=0.05)


def test_a_small_field_is_added_to_a_large_one() -> None:
    field = np.zeros((8, 12, 2), np.float32)
    total = added(field, np.full((4, 6, 2), (1.0, -2.0), np.float32))
    np.testing.assert_allclose(total, np.broadcast_to((1.0, -2.0), (8, 12, 2)))
