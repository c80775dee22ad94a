"""Compositions of several people, joined into one picture."""

from __future__ import annotations

import numpy as np

from correspondence import Box, Image, Landmarks
from reference.compose.crowd import Painted, join
from tests.reference.helpers import moved, paint_square, scaled_face

SIZE = (400, 800)
FRAME = np.full((*SIZE, 3), 100, np.uint8)
RED, BLUE = (200, 0, 0), (0, 0, 200)


def painted(box: Box, colour: tuple[int, int, int], face: Landmarks | None) -> Painted:
    return Painted(paint_square(FRAME, box, colour), box, face)


def at(face: Landmarks, scale: float, dx: float) -> Landmarks:
    """The face, scaled, in the middle of the frame and then moved sideways."""
    return moved(scaled_face(face, scale, SIZE), dx, 0)


def colours(image: Image) -> set[tuple[int, ...]]:
    return {tuple(int(v) for v in colour) for colour in np.unique(image.reshape(-1, 3), axis=0)}


def test_one_alone_keeps_its_picture(face: Landmarks) -> None:
    one = painted((10, 10, 20, 20), RED, at(face, 1, -200))
    nobody = Painted(FRAME, None, at(face, 1, 200))
    image, box = join(FRAME, [one, nobody])
    assert image is one.image
    assert box == one.box


def test_nothing_painted_is_the_frame_itself(face: Landmarks) -> None:
    image, box = join(FRAME, [Painted(FRAME, None, None), Painted(FRAME, None, at(face, 1, 0))])
    assert image is FRAME
    assert box is None


def test_people_apart_are_all_painted(face: Landmarks) -> None:
    people = [
        painted((150, 190, 250, 210), RED, at(face, 1, -200)),
        painted((550, 190, 650, 210), BLUE, at(face, 1, 200)),
    ]
    image, box = join(FRAME, people)
    expected = paint_square(paint_square(FRAME, (150, 190, 250, 210), RED), (550, 190, 650, 210), BLUE)
    np.testing.assert_array_equal(image, expected)
    assert box == (150, 190, 650, 210)
    assert colours(FRAME) == {(100, 100, 100)}


def test_paint_behind_a_nearer_face_is_hidden(face: Landmarks) -> None:
    """The far face's paint ends where the near face begins, whichever of them is the first person."""
    near, far = at(face, 2.0, 0), at(face, 1.0, 60)
    x0, _, x1, _ = (round(v) for v in near.box)
    behind = painted((x1 - 40, 195, x1 + 60, 205), RED, far)
    front = painted((x0 + 30, 250, x0 + 60, 260), BLUE, near)
    for people in ([behind, front], [front, behind]):
        image, _ = join(FRAME, people)
        np.testing.assert_array_equal(image[250:260, x0 + 30 : x0 + 60], np.full((10, 30, 3), BLUE))
        np.testing.assert_array_equal(image[200, x0 + 70 : x1 - 40], FRAME[200, x0 + 70 : x1 - 40])
        inside = image[200, x1 - 40 : x1 - 20]
        np.testing.assert_array_equal(inside, FRAME[200, x1 - 40 : x1 - 20])
        np.testing.assert_array_equal(image[200, x1 + 10 : x1 + 60], np.full((50, 3), RED))


def test_no_pixel_is_painted_twice(face: Landmarks) -> None:
    near, far = at(face, 1.0, 150), at(face, 0.8, -150)
    people = [painted((300, 10, 500, 30), RED, far), painted((400, 10, 600, 30), BLUE, near)]
    image, _ = join(FRAME, people)
    assert colours(image) == {(100, 100, 100), RED, BLUE}
    np.testing.assert_array_equal(image[20, 400:600], np.full((200, 3), BLUE))


def test_the_first_persons_paint_off_the_heads_stays_under_a_far_face(face: Landmarks) -> None:
    """A face that is not found counts as the farthest."""
    lost = painted((0, 300, 800, 320), RED, None)
    other = painted((550, 190, 650, 210), BLUE, at(face, 1, 200))
    image, _ = join(FRAME, [lost, other])
    np.testing.assert_array_equal(image[310], np.full((800, 3), RED))
    np.testing.assert_array_equal(image[200, 550:650], np.full((100, 3), BLUE))
