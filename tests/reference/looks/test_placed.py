"""A picture behind the person."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from correspondence import Image, Landmarks
from reference import EditError, Look
from reference.looks import placed
from reference.looks.placed import backdrop


def test_a_backdrop_fills_what_is_behind_the_person(astronaut: Image, face: Landmarks) -> None:
    rgba = backdrop(np.full((30, 90, 3), (0, 90, 0), np.uint8), astronaut)
    assert rgba.shape == (*astronaut.shape[:2], 4)
    nose = np.rint(face.points[4, :2]).astype(int)
    assert rgba[nose[1], nose[0], 3] == 0
    assert rgba[5, 5].tolist() == [0, 90, 0, 255]
    with pytest.raises(EditError, match="no person"):
        backdrop(np.zeros((40, 20, 4), np.uint8), np.zeros((200, 200, 3), np.uint8))


@pytest.mark.parametrize("shape", [(16, 20_000), (20_000, 16)])
def test_a_long_backdrop_is_no_huge_picture(
    shape: tuple[int, int], astronaut: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was enlarged as a whole before it was cropped: 16 x 20,000 pixels took a GB, 40,000 a minute."""
    resize, sizes = cv2.resize, list[tuple[int, int]]()

    def noted(image: Image, size: tuple[int, int], interpolation: int) -> Any:
        sizes.append(size)
        return resize(image, size, interpolation=interpolation)

    monkeypatch.setattr(cv2, "resize", noted)
    monkeypatch.setattr(placed, "person_share", lambda still: np.ones(still.shape[:2], np.float32))
    picture = np.zeros((*shape, 3), np.uint8)
    middle = tuple(slice(side // 2 - 8, side // 2 + 8) for side in shape)
    picture[middle] = 200
    rgba = backdrop(picture, astronaut)
    assert rgba.shape == (*astronaut.shape[:2], 4)
    assert rgba[200:300, 200:300, :3].min() > 190, "its middle is in the middle"
    assert max(max(size) for size in sizes) < 2 * max(astronaut.shape)


def test_python_offers_it(astronaut: Image, face: Landmarks) -> None:
    look = Look(astronaut, face).backdrop(np.zeros((40, 20, 3), np.uint8))
    assert [layer.kind for layer in look.layers] == ["paint"]
