from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Float, Image
from reference.edits.affine_grid import fit_affine_grid, structure

CUT = np.s_[60:200, 160:300]


@pytest.fixture
def mask() -> Float:
    inside = np.zeros((512, 512), np.float32)
    inside[CUT] = 1
    return inside


def places(dx: float = 0.0) -> Float:
    y, x = np.mgrid[60:200, 160:300].astype(np.float32)
    return np.stack([x.ravel() + np.float32(dx), y.ravel()], axis=1)


def toned(image: Image) -> Image:
    table = np.clip(np.arange(256) * 0.8 + 30, 0, 255).astype(np.uint8)
    out = image.copy()
    out[CUT] = cv2.LUT(image, table)[CUT]
    return out


@pytest.mark.parametrize("dx", [0.0, 12.0])
def test_a_tone_is_found_and_needs_no_exact_place(astronaut: Image, mask: Float, dx: float) -> None:
    edited = toned(astronaut)
    grid = fit_affine_grid(astronaut, edited, mask)
    assert grid is not None
    made = grid.apply(astronaut[CUT].reshape(-1, 3), places(dx))
    off = np.abs(made.astype(int) - edited[CUT].reshape(-1, 3))
    assert off.mean() < 1
    assert np.percentile(off, 99) <= 3


def test_two_places_of_one_colour_may_be_edited_apart(mask: Float) -> None:
    image = np.full((512, 512, 3), 120, np.uint8)
    edited = image.copy()
    edited[60:200, 160:230] = (200, 120, 120)
    edited[60:200, 230:300] = (60, 120, 120)
    grid = fit_affine_grid(image, edited, mask)
    assert grid is not None
    here = np.array([[175, 130], [285, 130]], np.float32)
    made = grid.apply(np.full((2, 3), 120, np.uint8), here)
    np.testing.assert_allclose(made, [[200, 120, 120], [60, 120, 120]], atol=6)


def test_structure_is_what_colour_cannot_make(
    astronaut: Image, mask: Float, rng: np.random.Generator
) -> None:
    tone = toned(astronaut)
    grid = fit_affine_grid(astronaut, tone, mask)
    assert grid is not None
    share, whole = structure(astronaut, tone, mask, grid)
    assert share.max() < 0.1
    assert whole < 0.02
    noise = cv2.GaussianBlur(rng.uniform(0, 255, astronaut.shape), (0, 0), 1.5)
    painted = astronaut.copy()
    painted[CUT] = np.clip((noise - 127) * 6 + 127, 0, 255).astype(np.uint8)[CUT]
    grid = fit_affine_grid(astronaut, painted, mask)
    assert grid is not None
    share, whole = structure(astronaut, painted, mask, grid)
    assert share[mask > 0].mean() > 0.6
    assert whole > 0.3
    assert not share[mask == 0].any()


def test_nothing_edited_gives_no_grid_and_sizes_must_agree(astronaut: Image, mask: Float) -> None:
    assert fit_affine_grid(astronaut, astronaut, np.zeros((512, 512), np.float32)) is None
    with pytest.raises(ValueError, match="agree"):
        fit_affine_grid(astronaut, astronaut[:256], mask)
