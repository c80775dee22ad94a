from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from correspondence.types import Image
from reference import Edit, EditError, align_edited, flatten
from tests.reference.helpers import grown

BALL = (230, 150)


@pytest.fixture(scope="module")
def marked(astronaut: Image) -> Image:
    edited = astronaut.copy()
    cv2.line(edited, (200, 100), (215, 110), (255, 0, 0), 2)
    cv2.circle(edited, BALL, 12, (0, 255, 0), -1, cv2.LINE_AA)
    return edited


def resized(image: Image, size: tuple[int, int]) -> Image:
    how = cv2.INTER_AREA if size[0] < image.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)


def jpeg(image: Image, quality: int) -> Image:
    packed = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1])


def assert_same_edit(reference: Image, marked: Image, aligned: Image, stray: float = 0.0) -> None:
    """The mark is where it was and next to nothing else changed."""
    truth, found = Edit(reference, marked).mask, Edit(reference, aligned).mask
    assert found[truth > 0.99].mean() > 0.9
    assert ((found > 0) & (grown(truth, 6) == 0)).mean() <= stray
    assert aligned[BALL[1], BALL[0], 1] > 220


def test_the_same_size_is_taken_as_it_is(astronaut: Image, marked: Image) -> None:
    alignment = align_edited(astronaut, marked)
    assert alignment.image is marked
    assert alignment.note is None


@pytest.mark.parametrize("size", [(256, 256), (768, 768), (1024, 1024)])
def test_other_sizes_are_resized_and_said_so(astronaut: Image, marked: Image, size: tuple[int, int]) -> None:
    alignment = align_edited(astronaut, resized(marked, size))
    assert alignment.note is not None
    assert f"{size[0]}x{size[1]}" in alignment.note
    assert "resized to 512x512" in alignment.note
    assert_same_edit(astronaut, marked, alignment.image, stray=0.005)


def test_a_crop_is_put_back_exactly(astronaut: Image, marked: Image) -> None:
    alignment = align_edited(astronaut, np.ascontiguousarray(marked[20:480, 40:500]))
    assert alignment.note is not None
    assert "x 40, y 20, scale 1.00" in alignment.note
    np.testing.assert_array_equal(alignment.image, marked)


def test_a_padded_picture_is_put_back_exactly(astronaut: Image, marked: Image) -> None:
    padded = cv2.copyMakeBorder(marked, 20, 30, 40, 10, cv2.BORDER_CONSTANT)
    np.testing.assert_array_equal(align_edited(astronaut, padded).image, marked)


def test_a_scaled_and_recompressed_crop_is_found(astronaut: Image, marked: Image) -> None:
    crop = jpeg(resized(np.ascontiguousarray(marked[30:430, 50:490]), (616, 560)), 92)
    alignment = align_edited(astronaut, crop)
    assert alignment.note is not None
    assert "x 50, y 30, scale 1.40" in alignment.note
    assert_same_edit(astronaut, marked, alignment.image, stray=0.005)


@pytest.mark.parametrize("other", ["cat", "flat", "noise", "tiny"])
def test_an_unrelated_picture_is_refused_with_sizes_and_a_way_out(astronaut: Image, other: str) -> None:
    pictures = {
        "cat": np.ascontiguousarray(data.chelsea()),
        "flat": np.full((256, 256, 3), 90, np.uint8),
        "noise": np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8),
        "tiny": np.zeros((1, 7, 3), np.uint8),
    }
    picture = pictures[other]
    size = f"{picture.shape[1]}x{picture.shape[0]}"
    with pytest.raises(EditError, match=rf"{size}.*512x512.*similarity 0\.\d\d.*save the result at 512x512"):
        align_edited(astronaut, picture)


def test_transparency_shows_the_reference() -> None:
    reference = np.full((1, 3, 3), 100, np.uint8)
    rgba = np.array([[[200, 0, 0, 255], [200, 0, 0, 0], [200, 0, 0, 51]]], np.uint8)
    expected = [[[200, 0, 0], [100, 100, 100], [120, 80, 80]]]
    np.testing.assert_array_equal(flatten(rgba, reference), expected)


def test_transparency_in_another_size_is_refused_unless_it_hides_all() -> None:
    reference = np.full((4, 4, 3), 100, np.uint8)
    rgba = np.full((2, 2, 4), 255, np.uint8)
    assert flatten(rgba, reference).shape == (2, 2, 3)
    rgba[0, 0, 3] = 10
    with pytest.raises(EditError, match="2x2 with transparent parts"):
        flatten(rgba, reference)
