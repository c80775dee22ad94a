"""A look's colours are begun while the landmarks of a frame are detected."""

from __future__ import annotations

import numpy as np

from correspondence import Image
from reference import Edit
from reference.compose.backdrop import Backdrop
from reference.compose.layers import Coloured
from reference.compose.person import split_edit
from tests.reference.compose.test_backdrop import Known, Scene


def coloured(backdrop: Backdrop, frame: Image) -> Image:
    found: Coloured | None = backdrop.begin(frame, 0.0, None, 1.0).result().coloured
    assert found is not None
    return found.image


def test_colours_begun_ahead_are_those_of_their_own_frame(astronaut: Image) -> None:
    scene = Scene(astronaut)
    frame, person = scene.frame()
    other, _ = scene.frame(40)
    sepia = frame @ np.array([[0.5, 0.4, 0.2], [0.4, 0.4, 0.3], [0.1, 0.1, 0.2]])  # no tone of each channel
    split = split_edit(Edit(frame, np.clip(sepia, 0, 255).astype(np.uint8)), person)
    assert split is not None
    backdrop = Backdrop(split, beside=False, finder=Known({0.0: person}))
    expected = coloured(backdrop, frame)
    backdrop.look_ahead(other)  # its landmarks fail, so that it is never begun
    backdrop.look_ahead(frame)
    np.testing.assert_array_equal(coloured(backdrop, frame), expected)
    backdrop.look_ahead(other)  # the next frame comes without a look ahead
    np.testing.assert_array_equal(coloured(backdrop, frame), expected)
    assert np.abs(coloured(backdrop, other).astype(int) - expected).mean() > 1
    backdrop.close()
