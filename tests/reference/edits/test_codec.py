"""How an edited picture was saved is found, and what this changed is left out."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Image
from reference.edits.codec import SAMPLINGS, find_coding, find_saving
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
