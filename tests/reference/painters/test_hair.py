"""The hair is tinted where it can be told from skin and backdrop, else refused with a reason."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Float, Image, Landmarks
from reference import EditError, Look, presets
from reference.compose.person import person_share
from reference.face.parts import FACE_OVAL, face_size, take
from reference.painters.hair import hair_share


@pytest.fixture(scope="module")
def person(astronaut: Image) -> Float:
    return person_share(astronaut)


def at(face: Landmarks, number: int, up: float) -> tuple[int, int]:
    """Row and column that lie `up` face sizes above a landmark."""
    x, y = face.points[number, :2] - (0, up * face_size(face))
    return round(float(y)), round(float(x))


def test_the_hair_is_found_and_neither_face_nor_backdrop(
    astronaut: Image, face: Landmarks, person: Float
) -> None:
    share = hair_share(astronaut, person, face)
    assert share[at(face, 10, 0.25)] > 0.8
    oval = np.zeros(share.shape, np.uint8)
    cv2.fillPoly(oval, [np.rint(take(face, FACE_OVAL)).astype(np.int32)], 1)
    lower = (oval > 0) & (np.arange(512)[:, None] > face.points[9, 1])
    assert share[lower].mean() < 0.02
    assert share[person < 0.05].max() < 0.1
    assert share[at(face, 152, -0.5)] < 0.05, "the suit stays"


def test_a_tint_keeps_the_strands_and_what_lies_below_it(astronaut: Image, face: Landmarks) -> None:
    tinted = presets.apply("hair", astronaut, face, "#2040c0", 1.0)
    row, column = at(face, 10, 0.25)
    part = np.s_[row - 8 : row + 8, column - 12 : column + 12]
    blue = tinted[part].astype(int)
    assert (blue[..., 2] - blue[..., 0]).mean() > 20
    grey = [cv2.cvtColor(image[part], cv2.COLOR_RGB2GRAY).ravel() for image in (astronaut, tinted)]
    assert np.corrcoef(grey[0], grey[1])[0, 1] > 0.9
    both = Look(astronaut, face).preset("mono").preset("hair", "#2040c0", 1.0).image[part].astype(int)
    assert (both[..., 2] - both[..., 0]).mean() > 20, "it is found on the still, not on the grey picture"


def painted_over(image: Image, face: Landmarks, person: Float, colour: Image) -> Image:
    """The picture with all above the brows, on the person, in one colour."""
    head = (person > 0.3) & (np.arange(512)[:, None] < face.points[105, 1])
    out = image.copy()
    out[head] = colour
    return out


def test_hair_of_several_colours_is_refused(astronaut: Image, face: Landmarks, person: Float) -> None:
    """Black headphones over red hair once tinted the chair, too."""
    head = (person > 0.3) & (np.arange(512)[:, None] < face.points[105, 1])
    left = head & (np.arange(512) < face.points[10, 0])
    image = astronaut.copy()
    image[head], image[left] = (25, 25, 30), (200, 90, 20)
    with pytest.raises(EditError, match="several colours"):
        hair_share(image, person, face)


def test_a_bald_head_a_pale_hat_and_a_cut_off_head_are_refused(
    astronaut: Image, face: Landmarks, person: Float
) -> None:
    x, y = np.rint(face.points[50, :2]).astype(int)
    bald = painted_over(astronaut, face, person, astronaut[y, x])
    hat = painted_over(astronaut, face, person, np.array([250, 250, 250], np.uint8))
    for image, why in ((bald, "little but skin"), (hat, "darker than the skin, or a hat")):
        with pytest.raises(EditError, match=why):
            hair_share(image, person, face)
    top = int(face.points[105, 1])
    points = face.points - np.array([0, top, 0], np.float32)
    cut = Landmarks(points.astype(np.float32), (512 - top, 512))
    with pytest.raises(EditError, match="none is seen above the forehead"):
        hair_share(np.ascontiguousarray(astronaut[top:]), np.ascontiguousarray(person[top:]), cut)
