from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from skimage import data

from correspondence import Image, Landmarks
from reference import Edit, EditError, Placement, align_edited, flatten, presets
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
    return np.ascontiguousarray(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])


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


def cartoon(image: Image) -> Image:
    flat = image
    for _ in range(5):
        flat = np.asarray(cv2.bilateralFilter(flat, 9, 50, 50), np.uint8)
    grey = cv2.medianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 5)
    lines = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 9, 6)
    return np.asarray(cv2.bitwise_and(flat // 32 * 32 + 16, flat // 32 * 32 + 16, mask=lines), np.uint8)


def half_painted(image: Image) -> Image:
    painted = image.copy()
    painted[60:250, 220:300] = (230, 60, 30)
    return painted


def with_hat(image: Image) -> Image:
    dressed = image.copy()
    dressed[:120, 120:330] = (20, 60, 130)
    return dressed


def person_moved(image: Image) -> Image:
    """The person shifted on a background that stays."""
    person = np.zeros(image.shape[:2], np.uint8)
    cv2.ellipse(person, (225, 130), (90, 120), 0, 0, 360, 1, -1)
    cv2.rectangle(person, (90, 230), (400, 512), 1, -1)
    moved, there = (np.roll(a, (-30, 40), (0, 1)) for a in (image, person))
    return np.where(there[..., None] > 0, moved, image)


def shifted(image: Image, x: int, y: int) -> Image:
    move = np.array([[1, 0, x], [0, 1, y]], np.float64)
    size = (image.shape[1], image.shape[0])
    return np.asarray(cv2.warpAffine(image, move, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


RESTYLED: dict[str, Callable[[Image], Image]] = {
    "cartoon": cartoon,
    "stylised": lambda image: np.asarray(cv2.stylization(image), np.uint8),
    "pencil": lambda image: np.asarray(cv2.pencilSketch(image)[1], np.uint8),
    "grey": lambda image: np.repeat(image.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2),
    "dark": lambda image: (image * 0.35).astype(np.uint8),
    "few colours": lambda image: (image // 64 * 64 + 32).astype(np.uint8),
    "blurred": lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), 9), np.uint8),
    "half painted": half_painted,
    "hat": with_hat,
    "person moved": person_moved,
}


@pytest.mark.parametrize("style", RESTYLED)
def test_a_restyled_picture_of_the_same_size_stays(astronaut: Image, style: str) -> None:
    edited = np.ascontiguousarray(RESTYLED[style](astronaut))
    alignment = align_edited(astronaut, edited)
    assert alignment.image is edited
    assert alignment.note is None


def test_a_strongly_compressed_picture_stays_where_it_is(astronaut: Image) -> None:
    alignment = align_edited(astronaut, jpeg(astronaut, 30))
    assert alignment.placement == Placement()
    assert alignment.note is not None
    assert alignment.note.startswith("No edit was found")
    assert Edit(astronaut, alignment.image).mask.mean() < 0.01


@pytest.mark.parametrize("name", presets.NAMES)
def test_a_preset_stays(astronaut: Image, face: Landmarks, name: str) -> None:
    edited = presets.apply(name, astronaut, face)
    alignment = align_edited(astronaut, edited)
    assert alignment.image is edited
    assert alignment.note is None


@pytest.mark.parametrize("shift", [(9, -6), (1, 0), (60, 40)])
def test_a_moved_picture_of_the_same_size_is_moved_back(
    astronaut: Image, marked: Image, shift: tuple[int, int]
) -> None:
    alignment = align_edited(astronaut, shifted(marked, *shift))
    assert alignment.note is not None
    assert f"x {-shift[0]}, y {-shift[1]}, scale 1.00" in alignment.note
    np.testing.assert_array_equal(alignment.image, marked)


def test_a_moved_cartoon_is_moved_back(astronaut: Image) -> None:
    alignment = align_edited(astronaut, shifted(cartoon(astronaut), 9, -6))
    assert alignment.note is not None
    assert "x -9, y 6, scale 1.00" in alignment.note


@pytest.mark.parametrize("turns", [1, 2])
def test_a_turned_picture_is_turned_back(astronaut: Image, marked: Image, turns: int) -> None:
    alignment = align_edited(astronaut, np.ascontiguousarray(np.rot90(marked, turns)))
    np.testing.assert_array_equal(alignment.image, marked)
    assert alignment.note is not None
    assert "it was turned back" in alignment.note


def test_another_picture_is_taken_with_a_remark(astronaut: Image) -> None:
    noise = np.random.default_rng(5).integers(0, 256, astronaut.shape, dtype=np.uint8)
    alignment = align_edited(astronaut, noise)
    assert alignment.image is noise
    assert alignment.doubtful
    assert alignment.note is not None
    assert "edit a copy of the reference" in alignment.note


def test_paint_on_a_plain_picture_needs_no_remark() -> None:
    plain = np.full((120, 160, 3), 90, np.uint8)
    for edited in (np.full_like(plain, 200), cv2.circle(plain.copy(), (80, 60), 30, (200, 0, 0), -1)):
        assert align_edited(plain, np.asarray(edited, np.uint8)).note is None


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
    assert alignment.placement == Placement(x=40, y=20)
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
    with pytest.raises(EditError, match=rf"{size}.*512x512.*likeness is \d+%.*save your picture at 512x512"):
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
