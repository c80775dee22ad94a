"""How an edited picture was saved is found, and what this changed is left out."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Image
from reference.edits.codec import LUMA, SAMPLINGS, JpegSaving, find_coding, find_saving
from tests.strangers.saved import stored, with_hat


@pytest.mark.parametrize("quality", [40, 67, 82, 93])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_quality_and_sampling_are_found_beside_an_edit(
    astronaut: Image, quality: int, subsampling: int
) -> None:
    saved = stored(with_hat(astronaut), "JPEG", quality, subsampling=subsampling)
    found = find_saving(astronaut, saved)
    assert found is not None
    sampling = (SAMPLINGS[0], SAMPLINGS[2], SAMPLINGS[1])[subsampling]
    assert isinstance(found[0], JpegSaving)
    assert (found[0].quality, found[0].sampling) == (quality, sampling)


@pytest.mark.parametrize("kind", ["WEBP", "PNG", "cropped after JPEG"])
def test_another_way_of_saving_is_not_taken_for_jpeg(astronaut: Image, kind: str) -> None:
    base = astronaut
    if kind == "cropped after JPEG":
        base, saved = astronaut[5:, 3:], stored(astronaut, "JPEG", 80)[5:, 3:]
    else:
        saved = stored(astronaut, kind, 80)
    assert find_saving(base, saved) is None


def test_an_exact_reference_explains_jpeg_fully(astronaut: Image) -> None:
    saved = stored(astronaut, "JPEG", 70)
    transfer, coding = find_coding(astronaut, saved, None)
    assert transfer is not None
    assert coding is not None
    assert not coding.others
    left = np.abs(saved.astype(np.float32) - astronaut - coding.change)
    assert left.max() <= 1


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
