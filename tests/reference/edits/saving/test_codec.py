"""What saving changed is left out, and colours that it mixed come back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Image
from reference.edits.saving.codec import find_coding
from reference.edits.saving.faint import LUMA
from reference.edits.saving.transfer import fit_transfer
from tests.strangers.saved import stored, with_lips


def test_an_exact_reference_explains_jpeg_fully(astronaut: Image) -> None:
    saved = stored(astronaut, "JPEG", 70)
    transfer, coding = find_coding(astronaut, saved, None)
    assert transfer is not None
    assert coding is not None
    assert not coding.others
    left = np.abs(saved.astype(np.float32) - astronaut - coding.change)
    assert left.max() <= 1


def test_webp_is_repeated(astronaut: Image) -> None:
    saved = stored(with_lips(astronaut), "WEBP", 90)
    _, coding = find_coding(astronaut, saved, None)
    far = cv2.dilate(cv2.absdiff(with_lips(astronaut), astronaut).max(axis=2), np.ones((49, 49))) == 0
    noise = np.abs(saved.astype(np.float32) - astronaut)[far].mean()
    assert np.abs(saved - astronaut.astype(np.float32) - coding.change)[far].mean() < 0.5 * noise


@pytest.mark.parametrize("quality", [68, 85])
def test_a_tone_below_jpeg_is_refined_until_nothing_is_left(astronaut: Image, quality: int) -> None:
    """The fit alone is off by half a level, since flat places are all rounded the same way."""
    gains, lift = np.array([1.018, 0.995, 0.985]), -0.2
    toned = np.clip(np.rint(astronaut * gains + lift), 0, 255).astype(np.uint8)
    saved = stored(toned, "JPEG", quality, subsampling=2)
    fitted = fit_transfer(astronaut, saved)
    assert fitted is not None
    transfer, coding = find_coding(astronaut, saved, fitted)
    assert transfer is not None
    change = saved.astype(np.float32) - astronaut
    left = np.abs(change - transfer.tone - coding.change).mean()
    assert left < 0.35 * np.abs(change - fitted.tone).mean()


@pytest.mark.parametrize(("gains", "doubted"), [((1.018, 0.989, 0.994), True), ((1.0, 1.0, 1.0), False)])
def test_a_tone_below_webp_may_be_off(
    astronaut: Image, gains: tuple[float, float, float], doubted: bool
) -> None:
    """Flat walls whose chroma is rounded the other way would be edits; without a tone nothing is guessed."""
    lift = -0.6 if doubted else 0.0
    toned = np.clip(np.rint(astronaut * np.array(gains) + lift), 0, 255).astype(np.uint8)
    saved = stored(with_lips(toned), "WEBP", 86)
    _, coding = find_coding(astronaut, saved, fit_transfer(astronaut, saved))
    assert coding.base is not None
    assert coding.change.any()
    assert bool(coding.others) == doubted


def test_what_may_remain_covers_what_does(astronaut: Image) -> None:
    """With a reference that is slightly off, flat places are rounded the other way together."""
    off = np.clip(np.rint(astronaut * np.array([1.004, 1.0, 0.997])), 0, 255).astype(np.uint8)
    saved = stored(off, "JPEG", 70)
    _, coding = find_coding(astronaut, saved, None)
    assert coding is not None
    rest = cv2.GaussianBlur(saved.astype(np.float32) - astronaut - coding.change, (0, 0), 4.5)
    doubt = np.maximum.reduce([np.abs(cv2.GaussianBlur(other, (0, 0), 4.5)) for other in coding.others])
    assert np.percentile(np.abs(rest) - doubt, 99) < 1.0


def dotted(image: Image) -> tuple[Image, np.ndarray]:
    """The picture with a dark dot on its cheek, and where that is, bool (H, W)."""
    dot = np.zeros(image.shape[:2], np.uint8)
    cv2.circle(dot, (image.shape[1] // 2 + 5, image.shape[0] // 3 + 3), 9, 1, -1)
    painted = np.where(dot[..., None] > 0, np.array([60, 35, 25], np.uint8), image)
    return painted.astype(np.uint8), dot > 0


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("quality", [65, 80])
def test_a_dot_is_told_from_its_ringing(astronaut: Image, quality: int, subsampling: int) -> None:
    painted, dot = dotted(astronaut)
    saved = stored(painted, "JPEG", quality, subsampling=subsampling)
    _, coding = find_coding(astronaut, saved, None)
    rings = np.abs(saved.astype(int) - astronaut - coding.change).max(axis=2) > 2
    kept, correction = coding.without_ringing(rings, saved)
    assert not (kept & ~rings).any()
    assert kept[dot].mean() > 0.97
    beyond = cv2.dilate(dot.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0
    assert (kept & beyond).sum() < 0.7 * (rings & beyond).sum()
    assert not correction[~kept].any()
    before, after = (
        abs(float(((picture - painted)[dot] @ LUMA).mean()))
        for picture in (saved.astype(np.float32), saved + correction)
    )
    assert after < max(1.0, before)


def test_a_soft_rim_is_not_taken_for_ringing(astronaut: Image) -> None:
    shape = cv2.GaussianBlur(dotted(astronaut)[1].astype(np.float32), (0, 0), 4.0)[..., None]
    painted = np.rint(astronaut * (1 - shape) + shape * np.array([60, 35, 25])).astype(np.uint8)
    saved = stored(painted, "JPEG", 85)
    _, coding = find_coding(astronaut, saved, None)
    soft = np.abs(painted.astype(int) - astronaut).max(axis=2) > 8
    assert coding.without_ringing(soft, saved)[0].mean() > 0.9 * soft.mean()


@pytest.mark.parametrize(("kind", "quality"), [("JPEG", 76), ("JPEG", 88), ("WEBP", 70), ("WEBP", 85)])
def test_a_stroke_has_its_colour_back(astronaut: Image, kind: str, quality: int) -> None:
    """Chroma at half size leaves a thin stroke a part of its colour and spreads the rest."""
    line = np.zeros(astronaut.shape[:2], np.uint8)
    cv2.line(line, (190, 70), (250, 175), 1, 5)
    painted = np.where(line[..., None] > 0, np.array([250, 40, 200], np.uint8), astronaut)
    saved = stored(painted, kind, quality, **({"subsampling": 2} if kind == "JPEG" else {}))
    _, coding = find_coding(astronaut, saved, None)
    found, correction = coding.without_ringing(line > 0, saved)
    inner = cv2.erode(line, np.ones((3, 3), np.uint8)) > 0
    in_file = np.abs(saved[inner].mean(axis=0) - painted[inner].mean(axis=0)).max()
    back = np.abs((saved + correction)[inner].mean(axis=0) - painted[inner].mean(axis=0)).max()
    assert found[inner].all()
    assert back < min(2.0, 0.75 * in_file)


def test_stripes_of_many_colours_keep_them(astronaut: Image) -> None:
    """One chroma does not explain them, so that the file's own stays."""
    painted, found = astronaut.copy(), np.zeros(astronaut.shape[:2], np.bool_)
    colours = ((250, 40, 200), (40, 190, 60), (20, 30, 160), (240, 220, 20))
    for index in range(12):
        rows = np.s_[80 + 6 * index : 86 + 6 * index, 190:260]
        painted[rows], found[rows] = colours[index % 4], True
    saved = stored(painted, "JPEG", 80, subsampling=2)
    _, coding = find_coding(astronaut, saved, None)
    _, correction = coding.without_ringing(found, saved)
    before, after = (
        np.abs(picture - painted.astype(np.float32))[found].mean()
        for picture in (saved.astype(np.float32), saved + correction)
    )
    assert after < 1.02 * before
