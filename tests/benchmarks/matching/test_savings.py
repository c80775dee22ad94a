"""The edits and savings that `livery bench strangers` draws."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.matching.savings import FAINT, LARGE, SMALL, draw_edit
from correspondence import Image, detect_landmarks


@pytest.mark.parametrize(
    ("size", "kinds"),
    [
        (FAINT, {"blush"}),
        (SMALL, {"lipstick", "eyeshadow", "mole", "stroke"}),
        (LARGE, {"hat", "hair", "tiger", "backdrop"}),
    ],
)
def test_every_edit_can_be_drawn_on_any_portrait(astronaut: Image, size: str, kinds: set[str]) -> None:
    landmarks = detect_landmarks(astronaut)
    assert landmarks is not None
    bright = np.maximum(astronaut, 150)  # no preset tells its hair from the skin
    rng = np.random.default_rng(3)
    drawn = {draw_edit(bright, landmarks, size, rng)[0].split()[0] for _ in range(24)}
    assert drawn == kinds
