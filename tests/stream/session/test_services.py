"""What all sessions of a server share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from stream import config
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


def test_new_references_are_made_where_processors_are_to_spare_or_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for processors, by_default in ((2, False), (3, True)):
        monkeypatch.setattr(config, "cores", lambda found=processors: found)
        assert ServerConfig().makes_references is by_default
        assert ServerConfig(fill_weights=tmp_path).makes_references, "nothing else has anything to fill"
        assert ServerConfig(fill_weights=tmp_path, record=tmp_path).makes_references is by_default
        assert ServerConfig(keyframes=True).makes_references
        assert not ServerConfig(keyframes=False).makes_references
