"""The reference's face crop lies on the frame's, skin on skin."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Landmarks
from correspondence.cover.aligned import aligned
from correspondence.cover.crop import SIDE, carried, face_area, face_crop
from correspondence.face_crop import FaceCrop
from correspondence.types import Float, Image


@pytest.fixture
def crop(astronaut: Image, face: Landmarks) -> FaceCrop:
    found = face_crop(astronaut, face)
    assert found is not None
    return found


def unlike(picture: Image, other: Image, where: Float) -> float:
    """Mean difference inside an area, levels."""
    return float(np.abs(picture.astype(int) - other)[where > 0].mean())


def test_a_crop_lies_on_itself(crop: FaceCrop) -> None:
    np.testing.assert_array_equal(aligned(crop, crop.points), crop.picture)


@pytest.mark.parametrize("bend", ["turned", "stretched", "rippled"])
def test_it_follows_the_landmarks(crop: FaceCrop, bend: str) -> None:
    """The frame is the reference itself, moved smoothly; its landmarks move with it."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    there: Float = np.dstack([x, y])  # where each pixel of the frame is in the reference
    middle = np.float32((SIDE - 1) / 2)
    if bend == "turned":
        linear = np.array([[0.98, -0.15], [0.15, 0.98]], np.float32)
        there = np.asarray((there - middle) @ linear.T + middle, np.float32)
        points = (crop.points - middle) @ np.linalg.inv(linear).T.astype(np.float32) + middle
    elif bend == "stretched":
        scale = np.array([1.2, 0.9], np.float32)
        there = (there - middle) * scale + middle
        points = (crop.points - middle) / scale + middle
    else:
        there[..., 0] += 3 * np.sin(y / 12)
        points = crop.points - np.stack([3 * np.sin(crop.points[:, 1] / 12), 0 * crop.points[:, 1]], axis=1)
    points = points.astype(np.float32)
    frame = np.asarray(cv2.remap(crop.picture, there.astype(np.float32), None, cv2.INTER_LINEAR), np.uint8)
    area = cv2.erode(face_area(points), np.ones((9, 9), np.uint8))
    before = unlike(crop.picture, frame, area)
    assert unlike(aligned(crop, points), frame, area) < 0.25 * before


def test_landmarks_outside_the_crop_do_no_harm(crop: FaceCrop) -> None:
    bent = aligned(crop, carried(crop.points, np.array([[1.0, 0, 90], [0, 1, -70]])))
    assert bent.shape == crop.picture.shape
    far = aligned(crop, np.full_like(crop.points, -900))
    assert far.shape == crop.picture.shape
