from __future__ import annotations

import pytest

from tests.stream.kept_camera import KeptCamera, register


@pytest.fixture
def kept() -> type[KeptCamera]:
    """A backend of pyvirtualcam that keeps what it is sent."""
    return register()
