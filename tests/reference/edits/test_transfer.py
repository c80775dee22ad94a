"""A tone over all of a picture is told from an edit that covers much of it."""

from __future__ import annotations

import numpy as np
import pytest

from correspondence import Image
from reference.edits.transfer import fit_transfer

GAINS, LIFT = np.array([0.982, 0.998, 1.02]), -3.0


def toned(image: Image) -> Image:
    return np.clip(np.rint(image * GAINS + LIFT), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("share", [0.35, 0.6])
def test_gains_are_found_beside_a_large_edit_and_foretold_below_it(astronaut: Image, share: float) -> None:
    h, w = astronaut.shape[:2]
    edited, painted = toned(astronaut), np.zeros((h, w), np.bool_)
    painted[h - round(h * share) :] = True  # the dark colours of the suit are under the paint
    edited[painted] = edited[painted] // 4 + np.array([170, 90, 120], np.uint8)
    fitted = fit_transfer(astronaut, edited)
    assert fitted is not None
    off = np.abs(fitted.tone + fitted.detail - (toned(astronaut).astype(np.float32) - astronaut))
    assert np.percentile(off[~painted], 95) < 1.2
    assert np.percentile(off[painted], 95) < 1.5


def test_a_mixed_tone_keeps_its_affine_map(astronaut: Image) -> None:
    mix = np.array([[0.97, 0.03, 0.0], [0.02, 0.98, 0.0], [0.0, 0.03, 0.97]])
    edited = np.clip(np.rint(astronaut @ mix.T), 0, 255).astype(np.uint8)
    fitted = fit_transfer(astronaut, edited)
    assert fitted is not None
    assert np.abs(fitted.tone + fitted.detail - (edited.astype(np.float32) - astronaut)).mean() < 0.6
