"""Where an edited picture lies on its reference: crops, squeezes, zooms, turns, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from correspondence import Image
from reference import Edit, EditError, Placement, align_edited
from reference.edits.placing import refined
from tests.strangers.saved import moved, overlap, resized, stored, with_blush, with_lips

CROPS = {  # x, y, width, height
    "of the same shape": (20, 9, 470, 470),
    "a little narrower": (0, 0, 509, 512),
    "to a multiple of 64": (32, 32, 448, 448),
    "tall": (80, 3, 300, 500),
}


def cut(image: Image, box: tuple[int, int, int, int]) -> Image:
    x, y, w, h = box
    return np.ascontiguousarray(image[y : y + h, x : x + w])


def share(reference: Image, image: Image) -> float:
    return float((Edit(reference, image).mask > 0).mean())


@pytest.mark.parametrize(
    ("crop", "quality"),
    [
        pytest.param(crop, quality, marks=[] if n % 2 == m % 2 else pytest.mark.slow)
        for n, crop in enumerate(CROPS)
        for m, quality in enumerate([None, 96, 85, 70])
    ],
)
def test_a_crop_lies_where_it_was_cut(astronaut: Image, crop: str, quality: int | None) -> None:
    box = CROPS[crop]
    part = cut(with_lips(astronaut), box)
    aligned = align_edited(astronaut, part if quality is None else stored(part, "JPEG", quality))
    assert aligned.placement == Placement(x=box[0], y=box[1])
    assert 0.003 < share(astronaut, aligned.image) < 0.02


@pytest.mark.parametrize("size", [(480, 512), (512, 448), (640, 512), (1024, 960), (300, 320)])
def test_a_squeezed_picture_is_stretched_back(astronaut: Image, size: tuple[int, int]) -> None:
    aligned = align_edited(astronaut, resized(with_lips(astronaut), *size))
    assert aligned.placement.scale_x == pytest.approx(size[0] / 512, abs=1e-6)
    assert aligned.placement.scale_y == pytest.approx(size[1] / 512, abs=1e-6)
    truth = Edit(astronaut, with_lips(astronaut)).mask > 0.5
    assert overlap(truth, Edit(astronaut, aligned.image).mask > 0.5) >= 0.8


@pytest.mark.parametrize(
    ("join", "gap", "quality", "swapped"),
    [
        pytest.param(*joined, swapped, marks=[] if swapped == usual else pytest.mark.slow)
        for *joined, usual in (
            (np.hstack, 0, None, True),
            (np.hstack, 24, 90, False),
            (np.vstack, 0, 92, True),
            (np.vstack, 40, None, False),
        )
        for swapped in (False, True)
    ],
)
def test_of_before_and_after_the_edited_half_is_taken(
    astronaut: Image, join: Callable[[list[Image]], Image], gap: int, quality: int | None, swapped: bool
) -> None:
    clean = with_lips(astronaut)
    between = np.full((gap, 512, 3) if join is np.vstack else (512, gap, 3), 255, np.uint8)
    halves = [astronaut, between, clean][:: -1 if swapped else 1]
    both = np.ascontiguousarray(join(halves))
    aligned = align_edited(astronaut, both if quality is None else stored(both, "JPEG", quality))
    truth = Edit(astronaut, clean).mask > 0.5
    assert overlap(truth, Edit(astronaut, aligned.image).mask > 0.5) >= 0.8


def test_of_an_unedited_picture_in_a_window_nothing_is_taken(astronaut: Image) -> None:
    window = np.full((700, 1400, 3), 60, np.uint8)
    window[40:552, 30:542] = astronaut
    assert Edit(astronaut, align_edited(astronaut, window).image).is_empty


@pytest.mark.parametrize(
    ("box", "size"),
    [((24, 40, 440, 420), (512, 512)), ((6, 6, 500, 500), (512, 512)), ((60, 0, 384, 512), (768, 1024))],
)
def test_a_crop_that_was_resized_is_found(
    astronaut: Image, box: tuple[int, int, int, int], size: tuple[int, int]
) -> None:
    aligned = align_edited(astronaut, stored(resized(cut(with_lips(astronaut), box), *size), "JPEG", 92))
    assert (aligned.placement.x, aligned.placement.y) == pytest.approx(box[:2], abs=0.2)
    assert aligned.placement.scale_x == pytest.approx(size[0] / box[2], rel=1e-3)
    assert 0.003 < share(astronaut, aligned.image) < 0.02


@pytest.mark.parametrize("turn", [-1.5, 0.7, 4.0])
def test_a_slight_turn_is_undone(astronaut: Image, turn: float) -> None:
    aligned = align_edited(astronaut, stored(moved(with_lips(astronaut), 1.0, -2.0, turn), "JPEG", 90))
    assert aligned.placement.turn_deg == pytest.approx(-turn, abs=0.05)
    assert 0.003 < share(astronaut, aligned.image) < 0.02


@pytest.mark.parametrize(
    ("border", "turn"),
    [(cv2.BORDER_REPLICATE, -1.2), (cv2.BORDER_REPLICATE, 1.6), (cv2.BORDER_CONSTANT, 1.6)],
)
def test_what_is_filled_in_beside_a_turned_picture_is_no_edit(
    astronaut: Image, border: int, turn: float
) -> None:
    crop = cut(with_lips(astronaut), (16, 8, 480, 480))
    matrix = cv2.getRotationMatrix2D((239.5, 239.5), turn, 1.0)
    turned = cv2.warpAffine(
        crop, matrix, (480, 480), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=(255, 255, 255)
    )
    found = Edit(astronaut, align_edited(astronaut, np.asarray(turned, np.uint8)).image).mask > 0.5
    assert overlap(Edit(astronaut, with_lips(astronaut)).mask > 0.5, found) >= 0.8


@pytest.mark.parametrize("size", [(448, 448), (453, 452), (512, 500)])
@pytest.mark.parametrize("kernel", [Pillow.Resampling.BILINEAR, Pillow.Resampling.LANCZOS])
def test_the_kernel_of_a_resized_picture_makes_no_edit(
    astronaut: Image, size: tuple[int, int], kernel: Pillow.Resampling
) -> None:
    crop = Pillow.fromarray(cut(with_blush(astronaut), (40, 20, 450, 450)))
    aligned = align_edited(astronaut, np.asarray(crop.resize(size, kernel), np.uint8))
    assert (aligned.placement.x, aligned.placement.y) == pytest.approx((40, 20), abs=0.1)
    truth = Edit(astronaut, with_blush(astronaut)).mask > 0.5
    assert overlap(truth, Edit(astronaut, aligned.image).mask > 0.5) >= 0.8


@pytest.mark.parametrize("x", [-0.5, 0.5, 1.0, 2.0])
def test_a_small_shift_of_an_equally_large_picture_is_undone(astronaut: Image, x: float) -> None:
    aligned = align_edited(astronaut, moved(with_lips(astronaut), x, 0.0))
    assert aligned.placement.x == pytest.approx(-x, abs=0.06)
    assert 0.003 < share(astronaut, aligned.image) < 0.02


@pytest.mark.parametrize(
    ("turned", "words"),
    [
        (lambda image: image[:, ::-1], "mirrored"),
        (lambda image: stored(np.ascontiguousarray(image[::-1, ::-1]), "JPEG", 85), "turned by 180 degrees"),
        (lambda image: np.rot90(image)[20:420, 10:500], "turned by 90 degrees anticlockwise"),
        (lambda image: image[30:470, ::-1][:, 8:400], "mirrored"),
    ],
    ids=["mirrored", "upside down", "a quarter, cropped", "mirrored, cropped"],
)
def test_a_picture_that_was_turned_is_turned_back(
    astronaut: Image, turned: Callable[[Image], Image], words: str
) -> None:
    clean = with_lips(astronaut)
    found = align_edited(astronaut, np.ascontiguousarray(turned(clean)))
    assert found.note is not None
    assert f"was {words}; it was turned back" in found.note
    seen = Edit(astronaut, found.image).mask > 0.5
    assert overlap(Edit(astronaut, clean).mask > 0.5, seen) >= 0.8


@pytest.mark.parametrize("kind", ["another picture", "a tile"])
def test_what_cannot_be_found_is_refused_with_the_way_out(astronaut: Image, kind: str) -> None:
    from skimage import data

    pictures = {
        "another picture": np.ascontiguousarray(data.coffee()),
        "a tile": np.asarray(cv2.resize(astronaut[200:230, 10:40], (200, 300)), np.uint8),
    }
    with pytest.raises(EditError, match=r"does not match its reference.*save your picture at 512x512"):
        align_edited(astronaut, pictures[kind])


def test_a_placement_is_its_transform(rng: np.random.Generator) -> None:
    at = Placement(x=12.5, y=-3.0, scale_x=1.5, scale_y=0.75, turn_deg=3.0)
    back = Placement.of(at.transform)
    for name in ("x", "y", "scale_x", "scale_y", "turn_deg"):
        assert getattr(back, name) == pytest.approx(getattr(at, name), abs=1e-9)


def test_a_place_is_refined_from_afar_in_a_soft_picture(astronaut: Image) -> None:
    """The refinement takes few steps at a time. It goes on from where it came."""
    soft = np.asarray(cv2.GaussianBlur(astronaut, (0, 0), 6.0), np.uint8)
    x, y, side, to = 50, 60, 400, 520
    saved = stored(resized(np.ascontiguousarray(soft[y : y + side, x : x + side]), to, to), "JPEG", 78)
    scale = to / side
    true = np.array([[scale, 0, (scale - 1) / 2 - x * scale], [0, scale, (scale - 1) / 2 - y * scale]])
    start = true * [[1.06, 1, 1], [1, 1 / 1.06, 1]] + [[0, 0, 24], [0, 0, -24]]
    corners = np.array([[0, 0, 1], [511, 0, 1], [0, 511, 1], [511, 511, 1]]).T
    assert np.abs((refined(soft, saved, start).transform - true) @ corners).max() < 0.1


@pytest.mark.parametrize("turn", [1.8, -1.6])
def test_what_is_filled_in_is_found_in_the_noise_of_saving(astronaut: Image, turn: float) -> None:
    crop = moved(cut(with_lips(astronaut), (40, 20, 400, 460)), -5.0, 4.0, turn)
    found = Edit(astronaut, align_edited(astronaut, stored(crop, "WEBP", 55)).image).mask > 0.5
    assert overlap(Edit(astronaut, with_lips(astronaut)).mask > 0.5, found) >= 0.8


def test_what_a_shift_filled_in_is_no_edit(astronaut: Image) -> None:
    """An editor repeats the last column of what it moved."""
    clean = with_lips(astronaut)
    aligned = align_edited(astronaut, moved(cut(clean, (20, 9, 470, 470)), -1.0, 0.0))
    assert aligned.placement == Placement(x=21, y=9)
    assert Edit(astronaut, aligned.image).box == Edit(astronaut, clean).box


def test_what_a_shift_filled_in_beside_a_plain_wall_is_no_edit(astronaut: Image) -> None:
    """Most of the last column equals the wall before it, so that few of its pixels are changed."""
    wall = astronaut.copy()
    wall[:, 440:] = 190
    wall[200:215, 440:] = np.linspace(90, 240, 72)[:, None]
    clean = with_lips(wall)
    aligned = align_edited(wall, moved(cut(clean, (20, 9, 470, 470)), -1.0, 0.0))
    assert Edit(wall, aligned.image).box == Edit(wall, clean).box


def test_a_wall_that_was_painted_up_to_the_edge_stays(astronaut: Image) -> None:
    part = cut(astronaut, (20, 9, 470, 470))
    part[:, -12:] = (30, 90, 60)
    box = Edit(astronaut, align_edited(astronaut, part).image).box
    assert box is not None
    assert box[2] - box[0] >= 12
