"""Stickers on the face and pictures behind the person."""

from __future__ import annotations

import numpy as np
import pytest

from correspondence import Image, Landmarks
from reference import EditError, Look
from reference.face.parts import face_size
from reference.looks.placed import SPOTS, Spot, backdrop, sticker

RED = np.dstack([np.full((40, 20), value, np.uint8) for value in (200, 0, 0, 255)])


@pytest.mark.parametrize("spot", SPOTS)
def test_a_sticker_lies_on_its_spot_in_its_size(face: Landmarks, spot: Spot) -> None:
    rgba = sticker(RED, face, spot, 0.2)
    assert rgba.shape == (*face.image_size, 4)
    area = (rgba[..., 3] > 127).sum() / (2 if spot == "cheeks" else 1)
    assert area == pytest.approx(2 * (0.2 * face_size(face)) ** 2, rel=0.1)
    assert (rgba[rgba[..., 3] > 200][:, :3] == (200, 0, 0)).all(), "no dark rim"


def test_its_middle_is_the_landmark_and_it_stands_upright_with_the_head(face: Landmarks) -> None:
    rgba = sticker(RED, face, "nose", 0.3)
    y, x = np.nonzero(rgba[..., 3] > 127)
    assert (x.mean(), y.mean()) == pytest.approx(face.points[4, :2].tolist(), abs=1.0)
    eyes = face.points[263, :2] - face.points[33, :2]
    spread = np.cov(np.stack([x, y]).astype(float))
    up = np.linalg.eigh(spread)[1][:, -1]
    assert abs(up @ eyes) / np.linalg.norm(eyes) < 0.05


def test_a_clear_part_stays_clear(face: Landmarks) -> None:
    picture = RED.copy()
    picture[:, 10:, 3] = 0
    half = (sticker(picture, face, "forehead", 0.4)[..., 3] > 127).sum()
    assert half == pytest.approx((sticker(RED, face, "forehead", 0.4)[..., 3] > 127).sum() / 2, rel=0.1)


@pytest.mark.parametrize(
    ("spot", "size"), [("knee", 0.4), ("nose", 0.0), ("nose", float("nan")), ("nose", 9.0)]
)
def test_what_is_not_allowed_is_said(face: Landmarks, spot: Spot, size: float) -> None:
    with pytest.raises(EditError, match="must be"):
        sticker(RED, face, spot, size)


def test_a_backdrop_fills_what_is_behind_the_person(astronaut: Image, face: Landmarks) -> None:
    rgba = backdrop(np.full((30, 90, 3), (0, 90, 0), np.uint8), astronaut)
    assert rgba.shape == (*astronaut.shape[:2], 4)
    nose = np.rint(face.points[4, :2]).astype(int)
    assert rgba[nose[1], nose[0], 3] == 0
    assert rgba[5, 5].tolist() == [0, 90, 0, 255]
    with pytest.raises(EditError, match="no person"):
        backdrop(RED, np.zeros((200, 200, 3), np.uint8))


def test_python_offers_both(astronaut: Image, face: Landmarks) -> None:
    look = Look(astronaut, face).sticker(RED, "nose", 0.2).backdrop(RED)
    assert [layer.kind for layer in look.layers] == ["paint", "paint"]
    with pytest.raises(EditError, match="shows none"):
        Look(astronaut, None).sticker(RED)
