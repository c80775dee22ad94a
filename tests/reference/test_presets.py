from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Image, Landmarks
from reference import EditError, presets
from reference.face import parts
from reference.painters.drawing import parse_colour
from tests.reference.helpers import moved, scaled_face

DRAWN = [entry["name"] for entry in presets.describe() if entry["needs_face"] and entry["group"] != "Hair"]
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
    "lip_liner": ((parts.OUTER_LIPS,), 0.03),
    "gloss": ((parts.OUTER_LIPS,), 0.03),
    "teeth": ((parts.INNER_LIPS,), 0.01),
    "eye_white": (EYES, 0.01),
    "lashes": (EYES, 0.07),
    "smooth": ((parts.FACE_OVAL,), 0.06),
    "even": ((parts.FACE_OVAL,), 0.06),
    "under_eye": ((parts.FACE_OVAL,), 0.0),
    "highlighter": ((parts.FACE_OVAL,), 0.05),
    "beard": ((parts.FACE_OVAL,), 0.08),
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
    assert len(entries) >= 24
    assert list(dict.fromkeys(entry["group"] for entry in entries)) == list(presets.GROUPS)
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


def band(image: Image, low: float, high: float) -> np.ndarray:
    """Detail between two scales, pixels."""
    soft = [cv2.GaussianBlur(image.astype(np.float32), (0, 0), sigma) for sigma in (low, high)]
    return soft[0] - soft[1]


def test_smooth_skin_loses_blotches_and_keeps_pores_and_hair(astronaut: Image, face: Landmarks) -> None:
    large = cv2.resize(astronaut, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    marks = Landmarks(np.asarray(3 * face.points, np.float32), (1536, 1536))
    rng = np.random.default_rng(5)
    grain = rng.normal(0, 6, large.shape[:2]).astype(np.float32)  # pores
    spots = cv2.GaussianBlur(rng.normal(0, 1, large.shape[:2]).astype(np.float32), (0, 0), 6) * 90
    skin = np.clip(large + (grain + spots)[..., None], 0, 255).astype(np.uint8)
    edited = presets.apply("smooth", skin, marks, strength=1.0)
    cheek = np.rint(marks.points[50, :2]).astype(int)
    cut = np.s_[cheek[1] - 25 : cheek[1] + 25, cheek[0] - 25 : cheek[0] + 25]
    pores = [band(each, 0.5, 1.2)[cut].std() for each in (skin, edited)]
    blotches = [band(each, 4, 12)[cut].std() for each in (skin, edited)]
    assert pores[1] > 0.8 * pores[0]
    assert blotches[1] < 0.75 * blotches[0]
    plain = presets.apply("smooth", astronaut, face, strength=1.0)
    brow = np.rint(face.points[105, :2]).astype(int)
    assert np.abs(plain[brow[1], brow[0]].astype(int) - astronaut[brow[1], brow[0]]).max() <= 6


def test_even_tone_brings_a_red_patch_to_the_skin(astronaut: Image, face: Landmarks) -> None:
    centre = np.rint(face.points[280, :2]).astype(int)
    spot = np.zeros(astronaut.shape[:2], np.float32)
    cv2.circle(spot, centre.tolist(), 6, 1, -1)
    spot = cv2.GaussianBlur(spot, (0, 0), 2)[..., None]
    red = np.clip(astronaut + spot * (18, -14, -14), 0, 255).astype(np.uint8)
    edited = presets.apply("even", red, face, strength=1.0)

    def redness(image: Image) -> float:
        patch = image[centre[1] - 3 : centre[1] + 4, centre[0] - 3 : centre[0] + 4].astype(float)
        return float((patch[..., 0] - patch[..., 1]).mean())

    assert redness(edited) - redness(astronaut) < 0.6 * (redness(red) - redness(astronaut))


def test_teeth_and_eyes_get_whiter_and_lips_and_irises_stay(astronaut: Image, face: Landmarks) -> None:
    edited = presets.apply("teeth", astronaut, face, strength=1.0)
    at = np.rint((face.points[13, :2] + face.points[14, :2]) / 2).astype(int)
    cut = np.s_[at[1] - 2 : at[1] + 3, at[0] - 6 : at[0] + 7]

    def colourfulness(image: Image) -> float:
        return float((image[cut].max(axis=2).astype(int) - image[cut].min(axis=2)).mean())

    assert colourfulness(edited) < 0.6 * colourfulness(astronaut)
    assert edited[cut].mean() > astronaut[cut].mean()
    iris = np.rint(face.points[468, :2]).astype(int)
    clear = presets.apply("eye_white", astronaut, face, strength=1.0)
    assert np.abs(clear[iris[1], iris[0]].astype(int) - astronaut[iris[1], iris[0]]).max() <= 2


def test_under_eyes_are_lifted_and_never_darkened(astronaut: Image, face: Landmarks) -> None:
    edited = presets.apply("under_eye", astronaut, face, strength=1.0).astype(int)
    light = np.array([0.299, 0.587, 0.114])
    change = (edited - astronaut) @ light
    assert change.min() > -3
    assert change.max() > 4


@pytest.mark.parametrize("name", [each["name"] for each in presets.describe() if each["group"] == "Film"])
def test_films_map_colours_and_not_places(astronaut: Image, name: str) -> None:
    edited = presets.apply(name, astronaut, None)
    turned = presets.apply(name, np.ascontiguousarray(astronaut[::-1]), None)
    np.testing.assert_array_equal(edited[::-1], turned)
    assert np.abs(edited.astype(int) - astronaut).mean() > 3
    grey = np.linspace(0, 255, 256).astype(np.uint8)
    ramp = presets.apply(name, np.repeat(np.repeat(grey[None, :, None], 20, 0), 3, 2), None)
    assert (np.diff(ramp[0].astype(int).sum(axis=1)) >= -3).all(), "light stays light and dark stays dark"


def test_backdrops_leave_the_person(astronaut: Image, face: Landmarks) -> None:
    nose, corner = np.rint(face.points[4, :2]).astype(int), (30, 470)  # (row, column) of the wall
    for name in ("backdrop", "backdrop_blur"):
        edited = presets.apply(name, astronaut, None, strength=1.0)
        about = np.s_[nose[1] - 15 : nose[1] + 15, nose[0] - 15 : nose[0] + 15]
        assert np.abs(edited[about].astype(int) - astronaut[about]).max() <= 2
    paper = presets.apply("backdrop", astronaut, None, "#2040ff", 1.0)
    assert paper[corner][2] > paper[corner][0] + 80
    flag = np.s_[20:220, 5:60]  # stripes
    soft = presets.apply("backdrop_blur", astronaut, None)
    assert band(soft, 0.5, 3)[flag].std() < 0.4 * band(astronaut, 0.5, 3)[flag].std()


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
    with pytest.raises(EditError, match=r"lipstick, lip_liner.*'moustache'"):
        presets.apply("moustache", astronaut, face)
    with pytest.raises(EditError, match="#b3122e, got 'red'"):
        presets.apply("lipstick", astronaut, face, colour="red")
    with pytest.raises(EditError, match=r"\[0, 1\], got 2"):
        presets.apply("lipstick", astronaut, face, strength=2.0)
    with pytest.raises(EditError, match="drawn on a face"):
        presets.apply("lipstick", astronaut, None)
    with pytest.raises(ValueError, match=r"\(512, 512\).*\(100, 100\)"):
        presets.apply("lipstick", np.zeros((100, 100, 3), np.uint8), face)
