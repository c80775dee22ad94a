from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Image
from reference import Edit, EditError
from reference.edits.edit import MOST_COVERAGE, WHOLE_COVERAGE
from tests.reference.helpers import paint_square


def jpeg(image: Image, quality: int) -> Image:
    packed = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])


def test_delta_of_a_small_picture() -> None:
    reference = np.full((3, 4, 3), 100, np.uint8)
    edited = reference.copy()
    edited[1, 2] = (255, 100, 0)
    edit = Edit(reference, edited)
    expected = np.zeros((3, 4, 3), np.int16)
    expected[1, 2] = (155, 0, -100)
    assert edit.delta.dtype == np.int16
    np.testing.assert_array_equal(edit.delta, expected)


def test_nothing_changed_is_an_empty_edit(astronaut: Image) -> None:
    edit = Edit(astronaut, astronaut.copy())
    assert edit.is_empty
    assert edit.box is None
    assert not edit.mask.any()
    assert edit.coverage == 0


def test_mask_is_one_on_the_change_and_exactly_zero_away_from_it(astronaut: Image) -> None:
    edited = paint_square(astronaut, (200, 100, 260, 150), (10, 200, 30))
    mask = Edit(astronaut, edited).mask
    assert mask.dtype == np.float32
    assert (mask[100:150, 200:260] == 1).all()
    away = np.ones(mask.shape, bool)
    away[94:156, 194:266] = False
    assert (mask[away] == 0).all()
    rim = mask[125, 260:266]
    assert (np.diff(rim) <= 0).all()
    assert 0 < rim[3] < 1


def test_a_one_pixel_stroke_survives_and_a_speck_does_not(astronaut: Image) -> None:
    edited = astronaut.copy()
    edited[300, 100:140] = 255 - astronaut[300, 100:140]
    edited[50, 50, 0] ^= 1
    edit = Edit(astronaut, edited)
    assert (edit.mask[300, 102:138] > 0.99).all()
    assert edit.mask[50, 50] == 0


@pytest.mark.parametrize("quality", [95, 80, 60])
def test_recompression_alone_is_no_edit(astronaut: Image, quality: int) -> None:
    assert Edit(astronaut, jpeg(astronaut, quality)).mask.mean() < 0.002


@pytest.mark.parametrize("quality", [95, 80])
def test_a_mark_is_found_through_recompression(astronaut: Image, quality: int) -> None:
    marked = paint_square(astronaut, (200, 120, 240, 126), (20, 220, 60))
    mask = Edit(astronaut, jpeg(marked, quality)).mask
    assert mask[121:125, 202:238].mean() > 0.95
    mask[100:146, 180:260] = 0
    assert mask.mean() < 0.002


def test_a_tone_change_is_whole_and_additive(astronaut: Image) -> None:
    table = np.clip(np.arange(256) * 0.8 + 30, 0, 255).astype(np.uint8)
    edit = Edit(astronaut, cv2.LUT(astronaut, table))
    assert edit.is_global
    assert edit.cover.max() < 0.5
    assert edit.tone is not None
    np.testing.assert_allclose(edit.tone[20:236, 1].astype(int), table[20:236], atol=1)


def test_auto_tints_with_delta_and_covers_with_replacement(astronaut: Image) -> None:
    noise = np.random.default_rng(3).integers(60, 200, (128, 128), np.uint8)
    textured = np.dstack([noise] * 3)
    edited = textured.copy()
    edited[20:50, 20:100] = textured[20:50, 20:100] // 2 + 40  # keeps the texture
    edited[70:110, 20:100] = (200, 30, 30)  # hides it
    cover = Edit(textured, edited).cover
    assert cover[25:45, 25:95].max() < 0.2
    assert cover[75:105, 25:95].min() > 0.8


def test_modes_decide_the_cover(astronaut: Image) -> None:
    edited = paint_square(astronaut, (200, 100, 260, 150), (10, 200, 30))
    edit = Edit(astronaut, edited, mode="delta")
    assert not edit.cover.any()
    other = edit.with_mode("replace")
    np.testing.assert_array_equal(other.cover, (edit.mask > 0).astype(np.float32))
    assert other.mask is edit.mask
    assert edit.with_mode("delta") is edit


def test_wrong_input_is_named() -> None:
    small, large = np.zeros((4, 6, 3), np.uint8), np.zeros((8, 6, 3), np.uint8)
    with pytest.raises(EditError, match=r"6x8 .* 6x4.*align_edited"):
        Edit(small, large)
    with pytest.raises(EditError, match="float32"):
        Edit(small, small.astype(np.float32))
    with pytest.raises(EditError, match=r"auto, delta, replace.*'over'"):
        Edit(small, small, mode="over")  # type: ignore[arg-type]
    with pytest.raises(EditError, match=r"\[0, 1\], got 1.5"):
        Edit(small, small, strength=1.5)


def shadows(image: Image) -> Image:
    """A look that changes nothing that is nearly white."""
    return np.where(image.min(axis=2, keepdims=True) > 225, image, 0.6 * image + 30).astype(np.uint8)


def test_a_look_that_leaves_a_white_wall_alone_is_whole(astronaut: Image) -> None:
    picture = astronaut.copy()
    picture[:, :50] = 250  # the wall: a tenth of the picture
    edit = Edit(picture, shadows(picture))
    assert MOST_COVERAGE < edit.coverage < WHOLE_COVERAGE
    assert edit.is_whole
    assert edit.tone is not None


def test_an_edit_that_leaves_out_a_part_of_the_picture_is_not_whole(astronaut: Image) -> None:
    edited = shadows(astronaut)
    edited[:, :50] = astronaut[:, :50]
    edit = Edit(astronaut, edited)
    assert MOST_COVERAGE < edit.coverage < WHOLE_COVERAGE
    assert not edit.is_whole
    assert edit.tone is None
