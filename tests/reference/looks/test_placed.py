"""A picture behind the person."""

from __future__ import annotations

import numpy as np
import pytest

from correspondence import Image, Landmarks
from reference import EditError, Look
from reference.looks.placed import backdrop


def test_a_backdrop_fills_what_is_behind_the_person(astronaut: Image, face: Landmarks) -> None:
    rgba = backdrop(np.full((30, 90, 3), (0, 90, 0), np.uint8), astronaut)
    assert rgba.shape == (*astronaut.shape[:2], 4)
    nose = np.rint(face.points[4, :2]).astype(int)
    assert rgba[nose[1], nose[0], 3] == 0
    assert rgba[5, 5].tolist() == [0, 90, 0, 255]
    with pytest.raises(EditError, match="no person"):
        backdrop(np.zeros((40, 20, 4), np.uint8), np.zeros((200, 200, 3), np.uint8))


def test_python_offers_it(astronaut: Image, face: Landmarks) -> None:
    look = Look(astronaut, face).backdrop(np.zeros((40, 20, 3), np.uint8))
    assert [layer.kind for layer in look.layers] == ["paint"]
