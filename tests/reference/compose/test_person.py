"""An edit cut in two along the person, and the outline that follows the picture's edges."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Image, Landmarks
from reference import Edit, EditError, presets
from reference.compose.blend import CELL
from reference.compose.guided import guided_mask
from reference.compose.person import (
    Outlined,
    PersonDetector,
    halved,
    may_reach_behind,
    outline,
    split_edit,
)
from tests.reference.helpers import paint_square

SIZE = (256, 384)


@pytest.fixture
def picture(rng: np.random.Generator) -> Image:
    """A bright disc, the person, before a dark textured wall."""
    out = rng.integers(20, 60, (*SIZE, 3), np.uint8)
    cv2.circle(out, (192, 128), 70, (220, 180, 160), -1)
    return out


def disc(radius: int) -> np.ndarray:
    out = np.zeros(SIZE, np.float32)
    cv2.circle(out, (192, 128), radius, 1.0, -1)
    return out


def test_a_coarse_mask_takes_the_pictures_edge(picture: Image) -> None:
    coarse = np.asarray(cv2.resize(disc(66), (48, 32), interpolation=cv2.INTER_AREA), np.float32)
    truth = disc(70)
    plain = cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_LINEAR)
    fine = outline(coarse, picture)
    assert np.abs(fine - truth).mean() < 0.6 * np.abs(plain - truth).mean()
    assert guided_mask(coarse, picture).dtype == np.float32


@pytest.mark.parametrize("size", [SIZE, (720, 1080)])
def test_a_frames_outline_has_eight_bits_of_the_same(picture: Image, size: tuple[int, int]) -> None:
    """Beyond LARGE_PX pixels it is found at half the size, as `outline` does."""
    frame = np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
    coarse = np.asarray(cv2.resize(disc(66), (48, 32), interpolation=cv2.INTER_AREA), np.float32)
    half = halved(frame)
    assert (half is not None) == (size != SIZE)
    outlined = Outlined.of(coarse, frame, half)
    fine = outline(coarse, frame)
    assert outlined.share.dtype == np.uint8
    assert np.abs(outlined.share - 255 * fine).max() <= 4
    rows, columns = np.nonzero(outlined.share > 0)
    assert outlined.person[rows // CELL, columns // CELL].all()
    rows, columns = np.nonzero(outlined.share < 255)
    assert outlined.behind[rows // CELL, columns // CELL].all()
    np.testing.assert_array_equal(outlined.clear, outlined.share <= 5)


def test_a_flat_mask_stays_flat(picture: Image) -> None:
    for value in (0.0, 1.0):
        mask = np.full((32, 48), value, np.float32)
        np.testing.assert_allclose(guided_mask(mask, picture), value, atol=1e-4)


def test_the_halves_add_up_to_the_edit(picture: Image) -> None:
    edited = paint_square(picture, (10, 10, 230, 160), (200, 30, 30))
    split = split_edit(Edit(picture, edited), disc(70))
    assert split is not None
    person = split.person[..., None]
    whole = split.front.edited * 1.0 + (1 - person) * (edited.astype(float) - picture)
    assert np.abs(whole - edited).max() <= 1
    behind = cv2.dilate(split.person, np.ones((9, 9), np.uint8)) == 0
    np.testing.assert_array_equal(split.back.edited[behind], edited[behind])
    np.testing.assert_array_equal(split.front.edited[behind], picture[behind])
    assert split.front.is_global == Edit(picture, edited).is_global


def test_a_look_tells_nothing_of_the_person_behind_the_person(picture: Image) -> None:
    """Its half on the person keeps the whole look; `known` says where it may be taken from."""
    edited = np.clip(picture * [0.5, 0.8, 1.0] + [90, 0, 20], 0, 255).astype(np.uint8)
    edited = paint_square(edited, (10, 10, 60, 60), (200, 30, 30))
    split = split_edit(Edit(picture, edited), disc(70))
    assert split is not None
    assert split.front.stand_in is not None
    np.testing.assert_array_equal(split.front.known, split.person)
    np.testing.assert_array_equal(split.front.edited, edited)
    with pytest.raises(EditError, match="known must have the reference's size"):
        Edit(picture, edited, known=split.person[:4])


def test_the_background_is_continued_behind_the_person(picture: Image) -> None:
    edited = picture.copy()
    edited[:, :, 2] = np.minimum(edited[:, :, 2].astype(int) + 120, 255)
    split = split_edit(Edit(picture, edited), disc(70))
    assert split is not None
    middle = np.s_[118:138, 182:202]
    assert split.back.reference[middle].max() < 90  # no face on the wall
    change = split.back.edited[middle].astype(int) - split.back.reference[middle]
    np.testing.assert_allclose(change.reshape(-1, 3).mean(axis=0), [0, 0, 120], atol=6)


def test_what_lies_on_the_person_is_not_split(picture: Image) -> None:
    edit = Edit(picture, paint_square(picture, (170, 110, 210, 150), (30, 200, 30)))
    assert split_edit(edit, disc(70)) is None
    everywhere = Edit(picture, paint_square(picture, (0, 0, 384, 256), (30, 200, 30)))
    assert split_edit(everywhere, np.zeros((32, 48), np.float32)) is None  # nobody there


def test_edits_of_the_face_and_of_tone_need_no_person(astronaut: Image, face: Landmarks) -> None:
    assert not may_reach_behind(Edit(astronaut, presets.apply("lipstick", astronaut, face)), face)
    assert not may_reach_behind(Edit(astronaut, astronaut.copy()), face)
    table = np.clip(np.arange(256) * 0.7 + 40, 0, 255).astype(np.uint8)
    assert not may_reach_behind(Edit(astronaut, np.asarray(cv2.LUT(astronaut, table), np.uint8)), face)
    assert may_reach_behind(Edit(astronaut, paint_square(astronaut, (10, 10, 60, 60), (9, 9, 9))), face)


def test_the_detector_finds_a_person(astronaut: Image, face: Landmarks) -> None:
    detector = PersonDetector()
    body = detector(astronaut, 1.5)
    detector.close()
    full = cv2.resize(body.mask, (512, 512))
    x, y = face.points[6, :2].round().astype(int)
    assert full[y, x] > 0.9
    assert full[20, 20] < 0.1
    assert (body.time_s, body.shoulders) == (1.5, None)
