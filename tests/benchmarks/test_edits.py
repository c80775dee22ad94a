from __future__ import annotations

import numpy as np
import pytest

from benchmarks import edits
from benchmarks.matching import fixed_edits
from benchmarks.matching.methods import OfMatcher
from correspondence import Image, Landmarks, Matcher
from tests.reference.helpers import translated


@pytest.mark.parametrize("name", fixed_edits.EDITS)
def test_the_edits_are_fixed_and_change_something(astronaut: Image, face: Landmarks, name: str) -> None:
    make = fixed_edits.EDITS[name]
    first = make(astronaut, face)
    np.testing.assert_array_equal(first, make(astronaut, face))
    assert fixed_edits.edited_region(astronaut, first).mean() > 0.001


def test_the_region_is_where_the_truth_differs() -> None:
    frame = np.zeros((30, 40, 3), np.uint8)
    truth = frame.copy()
    truth[10, 20] = 3
    truth[25, 5] = 2
    region = fixed_edits.edited_region(frame, truth)
    assert region.sum() == 11 * 11
    assert region[5:16, 15:26].all()


def test_delta_beats_replacement_on_a_moved_and_dimmed_picture(astronaut: Image) -> None:
    scores: edits.Scores = {}
    frames = [(translated(astronaut, 5, 3) * 0.9).astype(np.uint8), np.zeros_like(astronaut)]
    methods = [OfMatcher("classical", Matcher.load("classical"))]
    assert edits.score_clip(astronaut, frames, methods, scores) == 1  # no face in the second
    for name in ("tone", "lipstick"):
        assert edits.mean(scores, "classical", "delta", name) > edits.mean(
            scores, "classical", "replace", name
        )
    row = edits.table(scores, methods)[0]
    assert row[:2] == ["classical", "delta"]
    assert len(row) == 2 + 2 * len(fixed_edits.EDITS)
