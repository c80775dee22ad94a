"""Pictures above FaceMesh's size are shrunk in little time and without a loss."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from correspondence import Image, detect_landmarks
from correspondence.face import boxes


def test_landmarks_of_a_large_picture_agree_with_those_of_its_area_means(
    astronaut: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = np.asarray(cv2.resize(astronaut, (1920, 1920), interpolation=cv2.INTER_CUBIC), np.uint8)
    kinds: list[int] = []
    resize = cv2.resize

    def noted(image: Image, size: tuple[int, int], **how: Any) -> Any:
        kinds.append(how["interpolation"])
        return resize(image, size, **how)

    monkeypatch.setattr(cv2, "resize", noted)
    assert boxes._shrink(large).shape == (1280, 1280, 3)
    assert boxes._shrink(np.zeros((3840, 3840, 3), np.uint8)).shape == (1280, 1280, 3)
    assert kinds == [cv2.INTER_LINEAR, cv2.INTER_AREA]
    monkeypatch.undo()
    fast = detect_landmarks(large)
    means = np.asarray(cv2.resize(large, (1280, 1280), interpolation=cv2.INTER_AREA), np.uint8)
    monkeypatch.setattr(boxes, "_shrink", lambda image: means if image is large else image)
    exact = detect_landmarks(large)
    assert fast is not None
    assert exact is not None
    assert np.linalg.norm(fast.points[:, :2] - exact.points[:, :2], axis=1).mean() < 0.3
