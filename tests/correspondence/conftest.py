"""The demo's face with its landmarks."""

from __future__ import annotations

import pytest

from correspondence import Landmarks, detect_landmarks
from correspondence.types import Image


@pytest.fixture(scope="session")
def face(astronaut: Image) -> Landmarks:
    """Landmarks of the demo's face."""
    landmarks = detect_landmarks(astronaut)
    assert landmarks is not None
    return landmarks
