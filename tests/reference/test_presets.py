from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Image, Landmarks
from reference import EditError, presets
from reference.face import parts
from reference.painters.drawing import parse_colour
from tests.reference.helpers import moved, scaled_face

DRAWN = [entry["name"] for entry in presets.describe() if entry["needs_face"]]
# The parts each drawn preset may touch, as landmark outlines, and how far beyond them, in face sizes.
EYES = (parts.RIGHT_EYE, parts.LEFT_EYE)
BROWS = tuple(upper + lower[::-1] for upper, lower in (parts.RIGHT_BROW, parts.LEFT_BROW))
FACES = [(0.05, (64, 64), 0), (1.0, (301, 223), 85), (4.0, (480, 640), 30)]
WHERE = {
    "lipstick": ((parts.OUTER_LIPS,), 0.03),
    "blush": ((parts.FACE_OVAL,), 0.06),
    "eyeshadow": (EYES, 0.12),
    "eyeliner": (EYES, 0.08),
    "brows": (BROWS, 0.05),
    "contour": ((parts.FACE_OVAL,), 0.06),
    "freckles": ((parts.FACE_OVAL,), 0.0),
    "tiger": ((parts.FACE_OVAL,), 0.06),
    "warpaint": ((parts.FACE_OVAL,), 0.02),
    "clown": ((parts.FACE_OVAL,), 0.06),
}  # fmt: skip


def region(face: Landmarks, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    outlines, reach = WHERE[name]
    drawn = np.zeros(face.image_size, np.uint8)
    for outline in outlines:
        cv2.fillPoly(drawn, [np.rint(parts.take(face, outline)).astype(np.int32)], 1)
    side = 2 * (2 + round(reach * parts.face_size(face))) + 1
    return np.asarray(cv2.dilate(drawn, np.ones((side, side), np.uint8)) > 0)


def test_the_menu_names_every_preset() -> None:
    entries = presets.describe()
    assert tuple(entry["name"] for entry in entries) == presets.NAMES
    assert len(entries) >= 8
    for entry in entries:
        assert len(parse_colour(entry["colour"])) == 3
        assert 0 < entry["strength"] <= 1
        assert entry["title"]


@pytest.mark.parametrize("name", DRAWN)
def test_a_preset_changes_its_region_and_no_other(astronaut: Image, face: Landmarks, name: str) -> None:
    edited = presets.apply(name, astronaut, face)
    changed = (edited != astronaut).any(axis=2)
    assert changed.sum() > 100
    assert not (changed & ~region(face, name)).any()


@pytest.mark.parametrize("name", presets.NAMES)
def test_a_preset_is_deterministic_and_leaves_its_input(astronaut: Image, face: Landmarks, name: str) -> None:
    before = astronaut.copy()
    first = presets.apply(name, astronaut, face)
    np.testing.assert_array_equal(first, presets.apply(name, astronaut, face))
    np.testing.assert_array_equal(astronaut, before)
    np.testing.assert_array_equal(presets.apply(name, astronaut, face, strength=0.0), astronaut)


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize(("scale", "size", "yaw"), FACES)
def test_profile_small_and_cut_off_faces_are_drawn(
    face: Landmarks, name: str, scale: float, size: tuple[int, int], yaw: float
) -> None:
    picture = np.full((*size, 3), 140, np.uint8)
    edited = presets.apply(name, picture, scaled_face(face, scale, size, yaw))
    assert edited.shape == picture.shape


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("place", [(-200, 0), (5000, 5000), (0, -700)])
def test_a_face_outside_the_picture_is_no_error(
    astronaut: Image, face: Landmarks, name: str, place: tuple[int, int]
) -> None:
    assert presets.apply(name, astronaut, moved(face, *place)).shape == astronaut.shape


def test_lipstick_takes_its_colour_and_keeps_the_teeth(astronaut: Image, face: Landmarks) -> None:
    edited = presets.apply("lipstick", astronaut, face, colour="#0000ff", strength=1.0)
    lip = ((face.points[14, :2] + face.points[17, :2]) / 2).round().astype(int)
    teeth = ((face.points[13, :2] + face.points[14, :2]) / 2).round().astype(int)
    red, _, blue = edited[lip[1], lip[0]].astype(int)
    assert blue > red + 80
    assert np.abs(edited[teeth[1], teeth[0]].astype(int) - astronaut[teeth[1], teeth[0]]).max() <= 3


def test_lipstick_keeps_the_texture(astronaut: Image, face: Landmarks) -> None:
    lips = np.zeros((512, 512), np.uint8)
    cv2.fillPoly(lips, [np.rint(parts.take(face, parts.OUTER_LIPS)).astype(np.int32)], 1)
    cv2.fillPoly(lips, [np.rint(parts.take(face, parts.INNER_LIPS)).astype(np.int32)], 0)
    core = cv2.erode(lips, np.ones((3, 3), np.uint8)) > 0
    before = cv2.cvtColor(astronaut, cv2.COLOR_RGB2GRAY)[core].astype(float)
    after = cv2.cvtColor(presets.apply("lipstick", astronaut, face), cv2.COLOR_RGB2GRAY)[core]
    assert np.corrcoef(before, after)[0, 1] > 0.7


def test_freckles_move_with_the_face(astronaut: Image, face: Landmarks) -> None:
    plain = np.full_like(astronaut, 180)
    here = presets.apply("freckles", plain, face)
    there = presets.apply("freckles", plain, moved(face, 30, 20))
    np.testing.assert_allclose(there[120:220, 180:300].astype(int), here[100:200, 150:270], atol=1)


def test_the_warm_tone_needs_no_face_and_warms(astronaut: Image) -> None:
    edited = presets.apply("warm", astronaut, None)
    change = edited.astype(int).mean(axis=(0, 1)) - astronaut.mean(axis=(0, 1))
    assert change[0] > change[2] + 10


def test_wrong_requests_are_named(astronaut: Image, face: Landmarks) -> None:
    with pytest.raises(EditError, match=r"lipstick, blush.*'moustache'"):
        presets.apply("moustache", astronaut, face)
    with pytest.raises(EditError, match="#b3122e, got 'red'"):
        presets.apply("lipstick", astronaut, face, colour="red")
    with pytest.raises(EditError, match=r"\[0, 1\], got 2"):
        presets.apply("lipstick", astronaut, face, strength=2.0)
    with pytest.raises(EditError, match="drawn on a face"):
        presets.apply("lipstick", astronaut, None)
    with pytest.raises(ValueError, match=r"\(512, 512\).*\(100, 100\)"):
        presets.apply("lipstick", np.zeros((100, 100, 3), np.uint8), face)
