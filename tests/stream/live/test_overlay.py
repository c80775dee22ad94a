"""The confidence drawn over the picture."""

from __future__ import annotations

import numpy as np

from correspondence import Image
from stream.live.overlay import draw_confidence


def test_doubt_is_warm_certainty_cool_and_the_picture_shows_through(astronaut: Image) -> None:
    confidence = np.zeros((512, 512), np.float32)
    confidence[:, 256:] = 1.0
    before = astronaut.copy()
    drawn = draw_confidence(astronaut, confidence)
    assert drawn.shape == astronaut.shape
    assert drawn.dtype == np.uint8
    assert np.array_equal(astronaut, before)
    left, right = drawn[:, :250].mean(axis=(0, 1)), drawn[:, 262:].mean(axis=(0, 1))
    assert left[0] > left[2] + 40
    assert right[2] > right[0] + 40
    grey = before[:, :250].mean(axis=2).ravel()
    assert np.corrcoef(grey, drawn[:, :250].mean(axis=2).ravel())[0, 1] > 0.9
