"""How an edited picture was saved is found."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from correspondence import Image
from reference.edits.saving.savings import (
    SAMPLINGS,
    WEBP_PIXELS,
    JpegSaving,
    Tiles,
    WebpSaving,
    find_saving,
    find_webp,
)
from tests.strangers.saved import resized, stored, with_hat


@pytest.mark.parametrize("quality", [40, 67, 82, 93])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_quality_and_sampling_are_found_beside_an_edit(
    astronaut: Image, quality: int, subsampling: int
) -> None:
    saved = stored(with_hat(astronaut), "JPEG", quality, subsampling=subsampling)
    found = find_saving(astronaut, Tiles.of(saved))
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
    found = find_saving(base, Tiles.of(saved))
    assert found is None or found[1] > found[0].useful


def as_webp(image: Image, quality: int, method: int) -> Image:
    buffer = io.BytesIO()
    Pillow.fromarray(image).save(buffer, "WEBP", quality=quality, method=method)
    return np.array(Pillow.open(buffer).convert("RGB"), np.uint8)


@pytest.mark.parametrize(("quality", "method"), [(60, 4), (80, 2), (92, 6)])
def test_a_webp_is_found_beside_an_edit(astronaut: Image, quality: int, method: int) -> None:
    found = find_webp(astronaut, Tiles.of(as_webp(with_hat(astronaut), quality, method)))
    assert found is not None
    saving, left = found
    assert isinstance(saving, WebpSaving)
    assert abs(saving.quality - quality) <= 2
    assert saving.method == method
    assert left < 0.75


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_another_way_of_saving_leaves_more_than_webp_may(astronaut: Image, kind: str) -> None:
    found = find_webp(astronaut, Tiles.of(stored(astronaut, kind, 80)))
    assert found is None or found[1] > WebpSaving.useful


def test_a_huge_picture_is_not_searched_for_webp(astronaut: Image) -> None:
    huge = resized(astronaut, 1600, 1400)
    assert huge.shape[0] * huge.shape[1] > WEBP_PIXELS
    assert find_webp(huge, Tiles.of(as_webp(huge, 80, 4))) is None
