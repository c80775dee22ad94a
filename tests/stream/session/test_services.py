"""What all sessions of a server share."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import pytest

from stream.camera.run import CameraConfig, _pipeline
from stream.config import ServerConfig
from stream.session.services import load_services


@pytest.fixture
def threads() -> Iterator[None]:
    """OpenCV with two threads, as on a machine of two cores."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    yield
    cv2.setNumThreads(before)


@pytest.mark.usefixtures("threads")
def test_a_servers_opencv_has_no_threads_of_its_own() -> None:
    load_services(ServerConfig(matcher="classical"))
    assert cv2.getNumThreads() == 1


@pytest.mark.usefixtures("threads")
def test_nor_has_that_of_a_camera() -> None:
    pipeline = _pipeline(CameraConfig(source="0", matcher="classical"), lambda image, delay_s: None)
    assert cv2.getNumThreads() == 1
    pipeline.close()
