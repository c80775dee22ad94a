"""The small picture of a face is the same at every size of the face."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from correspondence import Image, detect_landmarks
from correspondence.face.look import FaceLook
from correspondence.types import Landmarks


@pytest.mark.parametrize("times", [2, 3, 5])
def test_a_larger_face_looks_the_same(astronaut: Image, times: int) -> None:
    face = detect_landmarks(astronaut)
    assert face is not None
    height, width = astronaut.shape[:2]
    large = cv2.resize(astronaut, (times * width, times * height), interpolation=cv2.INTER_LINEAR)
    points = face.points.copy()
    points[:, :2] = (points[:, :2] + 0.5) * times - 0.5
    small = FaceLook.of(astronaut, face)
    same = FaceLook.of(np.asarray(large, np.uint8), Landmarks(points, (times * height, times * width)))
    assert small.likeness(same) > 0.95
    assert np.abs(small.lab - same.lab).mean() < 1.0
