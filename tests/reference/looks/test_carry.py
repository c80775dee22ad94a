"""A look carried to another face: presets drawn anew, paint where it belongs on the skin, the rest named."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Image, Landmarks, detect_landmarks
from reference import EditError, Look, carry, presets
from reference.face.parts import face_size

GREEN = (10, 160, 40)


@pytest.fixture(scope="module")
def other(astronaut: Image) -> tuple[Image, Landmarks]:
    """A wider, darker, smaller face at another place of a larger picture."""
    small = cv2.resize(astronaut, None, fx=0.95, fy=0.8, interpolation=cv2.INTER_AREA)
    picture = np.full((560, 640, 3), 70, np.uint8)
    picture[100 : 100 + small.shape[0], 60 : 60 + small.shape[1]] = (0.55 * small).astype(np.uint8)
    face = detect_landmarks(picture)
    assert face is not None
    return picture, face


def dot(face: Landmarks, number: int, radius: float = 0.05) -> np.ndarray:
    """Paint: a disc about a landmark."""
    rgba = np.zeros((*face.image_size, 4), np.uint8)
    centre = np.rint(face.points[number, :2]).astype(int).tolist()
    cv2.circle(rgba, centre, round(radius * face_size(face)), (*GREEN, 255), -1, cv2.LINE_AA)
    return rgba


def test_a_preset_is_drawn_anew(astronaut: Image, face: Landmarks, other: tuple[Image, Landmarks]) -> None:
    still, theirs = other
    look = Look(astronaut, face, strength=0.7).preset("lipstick", "#c0183a", 0.8)
    carried = carry(look, still, theirs)
    assert carried.left == ()
    assert carried.look.strength == 0.7
    assert np.array_equal(carried.look.image, presets.apply("lipstick", still, theirs, "#c0183a", 0.8))


@pytest.mark.parametrize("number", [50, 280, 151])  # both cheeks, forehead
def test_paint_lies_at_the_same_point_of_the_other_face(
    astronaut: Image, face: Landmarks, other: tuple[Image, Landmarks], number: int
) -> None:
    still, theirs = other
    carried = carry(Look(astronaut, face).paint(dot(face, number)), still, theirs)
    assert carried.left == ()
    change = np.abs(carried.look.image.astype(int) - still).sum(axis=2)
    weight = np.where(change > 30, change, 0)
    rows, columns = np.mgrid[: still.shape[0], : still.shape[1]]
    centre = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
    assert np.linalg.norm(centre - theirs.points[number, :2]) < 0.02 * face_size(theirs)
    colour = np.median(carried.look.image[change > 0.8 * change.max()], axis=0)
    assert colour[1] > colour[0] + 25, "it is green"
    assert colour[1] < GREEN[1], "and as dark as the face is"


def test_what_does_not_lie_on_the_face_is_named(
    astronaut: Image, face: Landmarks, other: tuple[Image, Landmarks]
) -> None:
    still, theirs = other
    edited = astronaut.copy()
    edited[400:440, 200:300] = (200, 0, 0)  # on the clothes
    carried = carry(Look(astronaut, face).picture(edited), still, theirs)
    assert carried.look.image is still
    assert carried.left == ("Picture was left out: it lies on hair, clothes or backdrop, not on the face.",)
    both = edited.copy()
    mark = dot(face, 50)
    both[mark[..., 3] > 0] = GREEN
    carried = carry(Look(astronaut, face).picture(both), still, theirs)
    assert len(carried.left) == 1
    assert "of it lies on hair, clothes or backdrop" in carried.left[0]
    assert not (carried.look.image[350:] != still[350:]).any(), "nothing of the clothes"
    assert (carried.look.image != still).any()


def test_without_a_face_it_is_refused(astronaut: Image, face: Landmarks) -> None:
    grey = np.full((64, 64, 3), 128, np.uint8)
    with pytest.raises(EditError, match="no face was found in the picture that is to wear"):
        carry(Look(astronaut, face).preset("lipstick"), grey)
    with pytest.raises(EditError, match="the look's own still shows no face"):
        carry(Look(grey, None).paint(np.zeros((64, 64, 4), np.uint8)), astronaut, face)
