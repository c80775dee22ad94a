"""Which face wears an edit, and an edit divided among the people of its reference."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Image, Landmarks
from correspondence.face.landmarks import detect_faces
from reference import Edit, presets
from reference.edits.worn import divide, edited_face
from reference.face.parts import face_size
from tests.reference.helpers import paint_square

RED, BLUE = "#e01010", "#2020e0"


@pytest.fixture(scope="module")
def pair(astronaut: Image) -> Image:
    """The demo's face twice, side by side."""
    head = astronaut[:300, 60:400]
    return np.ascontiguousarray(np.hstack([head, head[:, ::-1]]))


@pytest.fixture(scope="module")
def faces(pair: Image) -> tuple[Landmarks, Landmarks]:
    """The left and the right face."""
    left, right = sorted(detect_faces(pair), key=lambda face: face.box[0])
    return left, right


def lipstick(pair: Image, *worn: tuple[Landmarks, str]) -> Image:
    for face, colour in worn:
        pair = presets.apply("lipstick", pair, face, colour, 1.0)
    return pair


def test_an_edit_of_one_face_is_worn_whole(pair: Image, faces: tuple[Landmarks, Landmarks]) -> None:
    edit = Edit(pair, lipstick(pair, (faces[1], RED)))
    assert edited_face(edit, faces[0]) is not faces[0]
    division = divide(edit, faces[1])
    assert division.first is None
    assert division.heads == ((None, faces[1]),)


def test_the_smaller_face_wears_what_was_painted_on_it(astronaut: Image) -> None:
    head = astronaut[:300, 60:400]
    pair = np.zeros((300, 540, 3), np.uint8)
    pair[:, :340] = head
    pair[100:277, 340:] = cv2.resize(head, (200, 177), interpolation=cv2.INTER_AREA)
    large, small = sorted(detect_faces(pair), key=face_size, reverse=True)
    for painted, other in ((small, large), (large, small)):
        worn = edited_face(Edit(pair, lipstick(pair, (painted, RED))), large)
        assert worn is not None
        assert abs(worn.points[1, 0] - painted.points[1, 0]) < abs(worn.points[1, 0] - other.points[1, 0])


def test_an_edit_that_is_on_no_face_belongs_to_the_largest(
    pair: Image, faces: tuple[Landmarks, Landmarks]
) -> None:
    beside = Edit(pair, paint_square(pair, (0, 270, 60, 300), (20, 200, 40)))
    nothing = Edit(pair, pair.copy())
    everywhere = Edit(pair, 255 - pair)
    for edit in (beside, nothing, everywhere):
        assert edited_face(edit, faces[1]) is faces[1]
    assert edited_face(beside, None) is None


def test_each_edited_face_has_its_own_part(pair: Image, faces: tuple[Landmarks, Landmarks]) -> None:
    edit = Edit(pair, lipstick(pair, (faces[0], RED), (faces[1], BLUE)))
    division = divide(edit, faces[0])
    middle = pair.shape[1] // 2
    assert division.first is not None
    np.testing.assert_array_equal(division.first.edited[:, :middle], edit.edited[:, :middle])
    np.testing.assert_array_equal(division.first.edited[:, middle:], pair[:, middle:])
    (own, _), (others, _) = division.heads
    assert own is None
    assert others is not None
    np.testing.assert_array_equal(others.edited[:, :middle], pair[:, :middle])
    np.testing.assert_array_equal(others.edited[:, middle:], edit.edited[:, middle:])
    assert others.mask[:, :middle].max() == 0
    np.testing.assert_array_equal(others.mask[:, middle:], edit.mask[:, middle:])


def test_what_lies_off_the_heads_stays_with_the_first(
    pair: Image, faces: tuple[Landmarks, Landmarks]
) -> None:
    both = lipstick(pair, (faces[0], RED), (faces[1], BLUE))
    edit = Edit(pair, paint_square(both, (0, 270, 60, 300), (20, 200, 40)))
    division = divide(edit, faces[0])
    assert division.first is not None
    assert division.first.mask[285, 30] == 1
    (own, _), (others, _) = division.heads
    assert own is not None
    assert own.mask[285, 30] == others.mask[285, 30] == 0  # type: ignore[union-attr]
    assert own.mask.sum() > 0
