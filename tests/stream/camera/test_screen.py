"""The preview window, and the screen as source, on an X server without a monitor."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from correspondence.types import Image
from stream.camera.capture import Capture
from stream.camera.source import Source, Wish, open_source, parse_source
from stream.media.untrusted import MediaError
from tests.conftest import ROOT
from tests.stream.clips import Clip, make_clip

RED = (220, 30, 20)
COMMAND = """
import sys
from stream.cli.main import main
from tests.stream.kept_camera import NAME, register
register()
sys.exit(main(["camera", sys.argv[1], "--preview", "--backend", NAME, "--matcher", "classical"]))
"""


@pytest.fixture
def display() -> Iterator[str]:
    """Number of a display."""
    if shutil.which("Xvfb") is None:
        pytest.skip("no Xvfb found: apt-get install xvfb")
    reader, writer = os.pipe()
    process = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writer), "-screen", "0", "640x480x24", "-nolisten", "tcp"],
        pass_fds=(writer,), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(writer)
    try:
        with os.fdopen(reader) as said:
            yield said.readline().strip()
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_the_preview_is_shown_and_the_screen_is_read(display: str, tmp_path: Path) -> None:
    """The command line loads OpenCV first, whose libraries for X do not go together with those of PyAV."""
    picture = np.full((240, 320, 3), RED, np.uint8)
    clip = make_clip(tmp_path / "red.mkv", Clip(frames=5, size=(240, 320), images=(picture,) * 5))
    environment = {**os.environ, "DISPLAY": f":{display}", "QT_QPA_PLATFORM": "xcb"}
    seen: list[Image] = []
    capture = Capture(
        parse_source(f"screen:{display}"), Wish(fps=10), lambda frame: seen.append(frame.image),
        lambda: None, print,
    )  # fmt: skip
    assert capture.opened.size == (480, 640)
    assert capture.opened.fps == pytest.approx(10, abs=0.5)
    capture.start()
    window = subprocess.Popen([sys.executable, "-c", COMMAND, str(clip)], cwd=ROOT, env=environment)
    try:
        end_s = time.monotonic() + 60
        while not (seen and ((seen[-1][..., 0] > 180) & (seen[-1][..., 1] < 60)).sum() > 20_000):
            assert window.poll() is None, "the window closed"
            assert time.monotonic() < end_s, "the window's red picture is not on the screen"
            time.sleep(0.05)
        assert seen[-1].shape == (480, 640, 3)
        window.send_signal(signal.SIGINT)
        assert window.wait(20) == 0
    finally:
        window.kill()
        window.wait(10)
        capture.close()


def test_a_display_that_is_not_there_is_said() -> None:
    with pytest.raises(MediaError, match=r"the screen could not be grabbed .*x11grab needs an X display"):
        open_source(Source("screen", "screen:4711", ":4711.0", "x11grab"), Wish())
