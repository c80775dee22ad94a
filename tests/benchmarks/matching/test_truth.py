from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.matching.truth import TruthConfig, truth_pair, truth_pairs
from correspondence import Image

PLAIN = TruthConfig(gain=0, noise=0, jpeg_quality=(100, 100))


def test_the_field_is_where_the_frame_came_from(astronaut: Image, rng: np.random.Generator) -> None:
    pair = truth_pair(astronaut, astronaut[::-1], rng, PLAIN)
    y, x = np.mgrid[:512, :512].astype(np.float32)
    again = cv2.remap(pair.reference, x + pair.field[..., 0], y + pair.field[..., 1], cv2.INTER_LINEAR)
    core = cv2.erode(pair.visible.astype(np.uint8), np.ones((9, 9))).astype(bool)
    difference = np.abs(again.astype(float) - pair.frame)
    # What is left is the light gradient (at most 10 %), JPEG and rounding.
    assert np.median(difference[core]) < 12
    assert np.median(difference[core]) < 0.3 * np.median(np.abs(astronaut.astype(float) - pair.frame)[core])


def test_same_seed_same_pairs_other_seed_others(astronaut: Image) -> None:
    pictures = [astronaut, np.ascontiguousarray(astronaut[:, ::-1])]
    first, again, other = (list(truth_pairs(pictures, seed=s)) for s in (1, 1, 2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.frame, b.frame)
        np.testing.assert_array_equal(a.field, b.field)
    assert not np.array_equal(first[0].field, other[0].field)


def test_occluders_cover_a_bounded_share_and_are_not_visible(astronaut: Image) -> None:
    pairs = [p for s in range(4) for p in truth_pairs([astronaut, astronaut[::-1].copy()], seed=s)]
    shares = [p.occluded.mean() for p in pairs]
    assert all(0.002 < s < 0.4 for s in shares)
    assert not any((p.visible & p.occluded).any() for p in pairs)


def test_one_picture_is_refused(astronaut: Image) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        list(truth_pairs([astronaut]))
