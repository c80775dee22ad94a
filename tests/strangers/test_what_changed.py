"""What counts as edited, after people's tools saved the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from correspondence import Image, Landmarks
from reference import Edit, align_edited, presets
from tests.strangers.saved import EDITS, moved, overlap, resized, stored

Saving = Callable[[Image], Image]


def sharpened(image: Image, amount: float) -> Image:
    values = image.astype(np.float32)
    values += amount * (values - cv2.GaussianBlur(values, (0, 0), 1.2))
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def toned(image: Image, gain: float, lift: float) -> Image:
    return np.clip(np.rint(image * gain + lift), 0, 255).astype(np.uint8)


def bent(image: Image, gamma: float) -> Image:
    return np.rint(255 * (image / 255.0) ** gamma).astype(np.uint8)


def with_palette(image: Image, colours: int, *, dither: bool = False) -> Image:
    """As "PNG-8" and programs that shrink PNGs save it."""
    plain = Pillow.fromarray(image)
    few = plain.quantize(colours)
    if dither:
        few = plain.quantize(palette=few, dither=Pillow.Dither.FLOYDSTEINBERG)
    return np.array(few.convert("RGB"), np.uint8)


def dithered(image: Image, amount: float) -> Image:
    noise = np.random.default_rng(3).uniform(-amount, amount, image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def there_and_back(image: Image, factor: float) -> Image:
    h, w = image.shape[:2]
    return resized(resized(image, round(w * factor), round(h * factor)), w, h)


SAVINGS: dict[str, Saving] = {
    "PNG": lambda image: image,
    "WebP 100": lambda image: stored(image, "WEBP", 100),
    "WebP 90": lambda image: stored(image, "WEBP", 90),
    "WebP 70": lambda image: stored(image, "WEBP", 70),
    "JPEG 97, full colour": lambda image: stored(image, "JPEG", 97, subsampling=0),
    "JPEG 80": lambda image: stored(image, "JPEG", 80),
    "JPEG 92 twice": lambda image: stored(stored(image, "JPEG", 92), "JPEG", 90),
    "scaled by 3 and back": lambda image: there_and_back(image, 3),
    "scaled by 0.7 and back, JPEG": lambda image: stored(there_and_back(image, 0.7), "JPEG", 85),
    "sharpened": lambda image: sharpened(image, 0.4),
    "sharpened a little": lambda image: sharpened(image, 0.15),
    "a slight tone": lambda image: toned(image, 1.015, -2.0),
    "a slight tone, JPEG": lambda image: stored(toned(image, 0.985, 3.0), "JPEG", 90),
    "dithered": lambda image: dithered(image, 0.9),
    "half a pixel": lambda image: moved(image, 0.5, -0.5),
    "JPEG 66": lambda image: stored(image, "JPEG", 66),
    "dithered, JPEG 68, colour of half the width": lambda image: stored(
        dithered(image, 1.0), "JPEG", 68, subsampling=1
    ),
    "a tone, JPEG 67, full colour": lambda image: stored(toned(image, 1.01, 2.0), "JPEG", 67, subsampling=0),
    "resized, JPEG 85": lambda image: stored(resized(image, 410, 395), "JPEG", 85),
    "dithered, WebP 75": lambda image: stored(dithered(image, 0.6), "WEBP", 75),
    "halved and doubled": lambda image: there_and_back(image, 0.5),
    "halved and doubled, JPEG 75": lambda image: stored(there_and_back(image, 0.5), "JPEG", 75),
    "another gamma": lambda image: bent(image, 1.02),
    "another gamma, JPEG": lambda image: stored(bent(image, 1.05), "JPEG", 90),
    "a pixel and a half, WebP": lambda image: stored(moved(image, 1.5, 0.0), "WEBP", 92),
}


# Savings that differ little from others of the list. They are tried with the long tests.
ALIKE = (
    "WebP 90", "JPEG 92 twice", "scaled by 3 and back", "sharpened a little", "a slight tone", "half a pixel",
    "dithered, JPEG 68, colour of half the width", "a tone, JPEG 67, full colour", "dithered, WebP 75",
    "halved and doubled",
)  # fmt: skip


def each_with_one_edit(savings: Iterable[str]) -> list[Any]:
    """Every saving with every edit. All but one edit of a saving, by turns, are tried with the long tests."""
    turns = {name: n % len(EDITS) for n, name in enumerate(name for name in savings if name not in ALIKE)}
    return [
        pytest.param(name, kind, marks=[] if turns.get(name) == n else pytest.mark.slow)
        for name in savings
        for n, kind in enumerate(EDITS)
    ]


def by_length(names: Iterable[str]) -> list[Any]:
    return [pytest.param(name, marks=[pytest.mark.slow] if name in ALIKE else []) for name in names]


@pytest.mark.parametrize(("saving", "kind"), each_with_one_edit(SAVINGS))
def test_the_edit_is_found_and_nothing_else(astronaut: Image, saving: str, kind: str) -> None:
    clean = EDITS[kind](astronaut)
    aligned = align_edited(astronaut, SAVINGS[saving](clean)).image
    truth = Edit(astronaut, clean).mask > 0.5
    seen = Edit(astronaut, aligned).mask > 0.5
    changed = cv2.absdiff(astronaut, clean).max(axis=2) > 1
    inner = cv2.erode(changed.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    off = np.abs(aligned[inner].mean(axis=0) - clean[inner].mean(axis=0)).max()
    assert overlap(truth, seen) >= 0.8
    assert seen[changed].mean() >= 0.95
    assert off <= 3


@pytest.mark.parametrize(
    ("ends", "colour", "quality"),
    [
        (((195, 110), (250, 150)), (70, 50, 40), 75),
        (((200, 150), (260, 120)), (40, 60, 180), 68),
        (((215, 75), (215, 75)), (60, 35, 25), 75),
    ],
    ids=["a dark stroke", "a blue stroke", "a mole"],
)
def test_webp_makes_no_fringe_beside_a_stroke(
    astronaut: Image, ends: tuple[tuple[int, int], ...], colour: tuple[int, ...], quality: int
) -> None:
    clean = astronaut.copy()
    cv2.line(clean, ends[0], ends[1], colour, 5 if ends[0] != ends[1] else 12, cv2.LINE_AA)
    seen = Edit(astronaut, align_edited(astronaut, stored(clean, "WEBP", quality)).image).mask > 0.5
    assert overlap(Edit(astronaut, clean).mask > 0.5, seen) >= 0.95


def test_soft_paint_has_no_holes(astronaut: Image, face: Landmarks) -> None:
    """Where WebP's saving is repeated roughly, parts of the paint look like its ringing."""
    clean = presets.apply("eyeshadow", astronaut, face, colour="#20b040", strength=0.9)
    aligned = align_edited(astronaut, stored(resized(clean, 328, 330), "WEBP", 87)).image
    strong = cv2.absdiff(astronaut, clean).max(axis=2) > 8
    assert (aligned != astronaut).any(axis=2)[strong].mean() >= 0.99


@pytest.mark.parametrize(
    "saving", by_length(name for name in SAVINGS if not ("tone" in name or "gamma" in name))
)
def test_saving_alone_is_no_edit(astronaut: Image, saving: str) -> None:
    aligned = align_edited(astronaut, SAVINGS[saving](astronaut.copy())).image
    assert Edit(astronaut, aligned).mask.mean() < 0.003


PALETTES: dict[str, Saving] = {
    "256 colours": lambda image: with_palette(image, 256),
    "128, dithered": lambda image: with_palette(image, 128, dither=True),
    "200 of a crop": lambda image: with_palette(np.ascontiguousarray(image[10:490, 20:500]), 200),
    "256 resized, dithered": lambda image: with_palette(resized(image, 400, 400), 256, dither=True),
}


@pytest.mark.parametrize("saving", PALETTES)
@pytest.mark.parametrize("kind", ["lips", "hat"])
def test_an_edit_is_found_below_a_palette(astronaut: Image, saving: str, kind: str) -> None:
    clean = EDITS[kind](astronaut)
    seen = Edit(astronaut, align_edited(astronaut, PALETTES[saving](clean)).image).mask > 0.5
    assert overlap(Edit(astronaut, clean).mask > 0.5, seen) >= 0.8


@pytest.mark.parametrize("saving", PALETTES)
def test_a_palette_makes_no_edit(astronaut: Image, saving: str) -> None:
    unedited = align_edited(astronaut, PALETTES[saving](astronaut))
    assert Edit(astronaut, unedited.image).is_empty
    assert "No edit was found" in (unedited.note or "")


def test_a_tone_that_is_the_whole_edit_stays(astronaut: Image) -> None:
    edited = stored(toned(astronaut, 1.0, 6.0), "JPEG", 92)
    assert Edit(astronaut, align_edited(astronaut, edited).image).coverage > 0.7


def test_a_tone_beside_an_edit_is_told(astronaut: Image) -> None:
    edited = toned(EDITS["lips"](astronaut), 1.0, 3.0)
    note = align_edited(astronaut, edited).note
    assert note is not None
    assert "slight tone" in note


@pytest.mark.parametrize("gains", [(1.02, 0.985, 0.98), (0.98, 1.0, 1.02)])
def test_a_tone_beside_an_edit_of_a_third_of_the_picture_is_no_edit(
    astronaut: Image, gains: tuple[float, float, float]
) -> None:
    clean = astronaut.copy()
    clean[100:400, 120:400] = 0.3 * clean[100:400, 120:400] + 0.7 * np.array([40, 60, 190])
    saved = stored(np.clip(np.rint(clean * gains - 2), 0, 255).astype(np.uint8), "JPEG", 97)
    found = Edit(astronaut, align_edited(astronaut, saved).image).mask > 0.5
    assert overlap(Edit(astronaut, clean).mask > 0.5, found) >= 0.8


def test_a_block_below_a_tone_that_is_rounded_the_other_way_is_no_edit(astronaut: Image) -> None:
    """The tone is known well, not exactly: chroma of some block lies between two steps of JPEG."""
    clean = EDITS["lips"](astronaut)
    toned_too = np.clip(np.rint(clean * (0.983, 0.989, 1.012) + 0.5), 0, 255).astype(np.uint8)
    aligned = align_edited(astronaut, stored(toned_too, "JPEG", 67, subsampling=2))
    found = Edit(astronaut, aligned.image).mask > 0.5
    assert overlap(Edit(astronaut, clean).mask > 0.5, found) >= 0.95


@pytest.mark.parametrize("kind", EDITS)
def test_sharpening_that_leaves_most_pixels_alone_is_no_edit(astronaut: Image, kind: str) -> None:
    clean = EDITS[kind](astronaut)
    softer = cv2.GaussianBlur(clean.astype(np.float32), (0, 0), 0.7)
    saved = np.clip(np.rint(clean + 0.05 * (clean - softer)), 0, 255).astype(np.uint8)
    assert (saved == clean).mean() > 0.5
    found = Edit(astronaut, align_edited(astronaut, saved).image).mask > 0.5
    assert overlap(Edit(astronaut, clean).mask > 0.5, found) >= 0.95


@pytest.mark.parametrize("size", [None, (330, 350)], ids=["of a crop", "of a resized crop"])
def test_a_tone_beside_paint_over_most_of_a_crop_is_no_edit(
    astronaut: Image, size: tuple[int, int] | None
) -> None:
    """The paint changes one channel little, so that it looks like a tone in this channel."""
    clean = astronaut.copy()
    cv2.ellipse(clean, (225, 120), (85, 95), 0, 0, 360, (170, 230, 20), -1)
    painted = (clean != astronaut).any(axis=2)
    clean[painted] = np.rint(0.3 * astronaut[painted] + 0.7 * clean[painted])
    crop = toned(np.ascontiguousarray(clean[10:260, 110:340]), 1.0, -3.0)
    saved = stored(crop if size is None else resized(crop, *size), "WEBP", 79)
    found = Edit(astronaut, align_edited(astronaut, saved).image).mask > 0.5
    assert overlap(Edit(astronaut, clean).mask > 0.5, found) >= 0.95


def test_a_shift_of_half_a_pixel_is_found_in_a_soft_picture(astronaut: Image) -> None:
    soft = np.asarray(cv2.GaussianBlur(astronaut, (0, 0), 4.0), np.uint8)
    clean = EDITS["lips"](soft)
    aligned = align_edited(soft, stored(moved(clean, 0.0, 0.5), "WEBP", 70))
    assert abs(aligned.placement.y + 0.5) < 0.1
    found = Edit(soft, aligned.image).mask > 0.5
    assert overlap(Edit(soft, clean).mask > 0.5, found) >= 0.95


@pytest.mark.parametrize(("noise", "levels"), [(0.5, 1.6), (1.0, 1.6)])
def test_a_faint_edit_is_found_if_nothing_else_changed(astronaut: Image, noise: float, levels: float) -> None:
    """A file that changed neither tone nor detail is searched for broad faint changes, too."""
    rng = np.random.default_rng(0)
    blocks = rng.normal(0, noise, (64, 64, 3)).astype(np.float32)
    saved = astronaut + cv2.resize(blocks, (512, 512), interpolation=cv2.INTER_NEAREST)
    saved += rng.normal(0, 2 * noise, (512, 512, 3)).astype(np.float32)
    cheek = np.zeros((512, 512), np.float32)
    cv2.ellipse(cheek, (120, 330), (44, 30), 0, 0, 360, 1.0, -1)
    cheek = np.asarray(cv2.GaussianBlur(cheek, (0, 0), 3), np.float32)
    saved += cheek[..., None] * np.array([0.5, -1.0, -0.7], np.float32) * levels
    edited = np.clip(np.rint(saved), 0, 255).astype(np.uint8)
    mask = Edit(astronaut, align_edited(astronaut, edited).image).mask
    assert mask[cheek > 0.5].mean() > 0.9
    assert mask[cheek < 0.01].mean() < 0.02
