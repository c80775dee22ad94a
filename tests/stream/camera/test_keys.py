"""The keys of the preview window, and what stands in it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from correspondence.types import Image
from stream.camera import run
from stream.camera.preview import countdown_line
from stream.looks.choice import layers_of, parse_preset
from tests.stream.camera.test_run import SIZE, config, running, shows
from tests.stream.clips import Clip, make_clip
from tests.stream.kept_camera import KeptCamera
from tests.stream.rig import BLUE, is_blue


class _Window:
    """In place of the preview: presses the keys it is given, and keeps the texts it was to show."""

    keys: list[str]
    texts: list[str | None]

    def show(self, image: Image | None, text: str | None) -> str | None:
        time.sleep(0.02)
        self.texts.append(text)
        return self.keys.pop(0) if self.keys else None

    def close(self) -> None:
        pass


def test_keys_change_the_look_and_end_the_run(
    kept: type[KeptCamera],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    window = _Window()
    window.keys, window.texts = [], []
    monkeypatch.setattr(run, "Preview", lambda: window)
    clip = make_clip(tmp_path / "face.mp4", Clip(frames=30, size=SIZE))
    made = replace(config(clip, drawn=layers_of([parse_preset(f"lipstick:{BLUE}:1")])), preview=True)
    with running(made) as going:

        def press(key: str, said: str, *, worn: bool) -> None:
            window.keys.append(key)
            going.wait(lambda: going.said(said), said)
            going.wait(shows(kept, lambda image: is_blue(image) is worn), said)

        going.wait(shows(kept, is_blue), "the edit")
        assert "Face the camera: a reference is taken" in window.texts
        press("1", "lipstick off", worn=False)
        press("1", "lipstick on", worn=True)
        press("0", "showing the live picture", worn=False)
        press("0", "showing the look", worn=True)
        window.keys.append("r")
        going.wait(lambda: sum("reference taken" in line for line in going.lines) == 2, "another reference")
        window.keys.append("q")
        going.thread.join(20)
        assert not going.thread.is_alive()


def test_the_count_down_is_in_words() -> None:
    assert countdown_line(None) is None
    assert countdown_line(float("inf")) == "Face the camera: a reference is taken"
    assert countdown_line(2.2) == "Look into the camera: 3"
