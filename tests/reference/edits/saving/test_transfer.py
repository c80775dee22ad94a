"""A tone over all of a picture is told from an edit that covers much of it."""

from __future__ import annotations

import numpy as np
import pytest

from correspondence import Image
from reference.edits.saving.transfer import fit_transfer
from tests.strangers.saved import stored

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


@pytest.mark.parametrize("colour", [(20, 30, 25), (250, 120, 30), (60, 200, 90)])
def test_paint_loses_the_tone_of_its_own_colour(astronaut: Image, colour: tuple[int, int, int]) -> None:
    """Gains change dark paint otherwise than the skin below it."""
    painted = astronaut.copy()
    painted[60:130, 200:260] = colour
    saved = toned(painted)
    fitted = fit_transfer(astronaut, saved)
    assert fitted is not None
    before = fitted.untoned(astronaut, saved)[65:125, 205:255].reshape(-1, 3).mean(axis=0)
    assert np.abs(before - colour).max() < 1.2
    below = (saved - fitted.tone)[65:125, 205:255].reshape(-1, 3).mean(axis=0)
    assert np.abs(below - colour).max() > 1.5


def test_skin_that_was_white_already_stays_so(astronaut: Image) -> None:
    """White cuts a tone off: of a highlight in the saved picture nothing may be taken away."""
    bright = np.clip(astronaut.astype(np.int16) + 70, 0, 255).astype(np.uint8)
    saved = np.clip(np.rint(bright * 1.02 + 2), 0, 255).astype(np.uint8)
    fitted = fit_transfer(bright, saved)
    assert fitted is not None
    white = (bright == 255).all(axis=2)
    assert white.mean() > 0.05
    assert np.abs(fitted.untoned(bright, saved)[white] - 255).max() < 0.5


@pytest.mark.parametrize("kind", ["around the face", "above and below, JPEG"])
def test_gains_are_found_beside_a_new_backdrop(astronaut: Image, kind: str) -> None:
    """What is left shows few colours, from which an affine map of all three channels runs away."""
    gains, lift = np.array([1.011, 0.983, 1.002]), 2.6
    rows, columns = np.mgrid[: astronaut.shape[0], : astronaut.shape[1]]
    around = ((columns - 256) / 150.0) ** 2 + ((rows - 200) / 190.0) ** 2 > 1
    painted = around if kind == "around the face" else np.abs(rows - 110) > 100
    saved = np.clip(np.rint(astronaut * gains + lift), 0, 255).astype(np.uint8)
    saved[painted] = (40, 160, 70)
    if kind.endswith("JPEG"):
        saved = stored(saved, "JPEG", 75)
    fitted = fit_transfer(astronaut, saved)
    assert fitted is not None
    assert np.abs(fitted.tone - (astronaut * (gains - 1) + lift)).mean() < 0.7
