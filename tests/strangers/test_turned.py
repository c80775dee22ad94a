"""Clips whose faces do not stand upright, with nothing stored that says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from correspondence import Image
from stream.media.demo import DemoSource
from stream.media.pictures import encode_png
from stream.media.probe import probe
from stream.offline.files import edit_file, try_edit
from stream.offline.references import pick_reference
from stream.offline.turned import turn, turn_of
from tests.stream.clips import BLUE, CLASSICAL, RATE, Clip, make_clip, paint

FRAMES = 6


def clip_of(path: Path, frames: list[Image]) -> Path:
    size = (frames[0].shape[0], frames[0].shape[1])
    return make_clip(path, Clip(frames=len(frames), size=size, images=tuple(frames), options={"crf": "8"}))


def upright(count: int = FRAMES) -> list[Image]:
    source = DemoSource((320, 400), fps=RATE)
    return [source.frame(index) for index in range(count)]


def dark(count: int) -> list[Image]:
    return [np.full((320, 400, 3), 12, np.uint8)] * count


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("faded", [0, 2])
def test_the_turn_is_found(tmp_path: Path, quarters: int, faded: int) -> None:
    frames = [turn(image, -quarters) for image in (*dark(faded), *upright(8))]
    assert turn_of(probe(clip_of(tmp_path / "in.mp4", frames))) == quarters


def test_without_a_face_nothing_is_turned(tmp_path: Path) -> None:
    assert turn_of(probe(clip_of(tmp_path / "in.mp4", dark(8)))) == 0


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_an_edit_is_worn_where_it_was_painted(tmp_path: Path, quarters: int) -> None:
    plain = upright()
    source = clip_of(tmp_path / "in.mp4", [turn(image, -quarters) for image in plain])
    kept = pick_reference(probe(source))
    assert kept.quarters == quarters
    shown = turn(paint(turn(kept.image, quarters)), -quarters)
    (tmp_path / "edited.png").write_bytes(encode_png(shown))
    assert kept.index is not None
    config = replace(CLASSICAL, reference=kept.index)
    report = edit_file(source, tmp_path / "edited.png", tmp_path / "out.mkv", config)
    assert report.edited == FRAMES
    assert any(f"turned by {90 * min(quarters, 4 - quarters)} degrees" in note for note in report.notes)
    capture = cv2.VideoCapture(str(tmp_path / "out.mkv"))
    for image in plain:
        _, bgr = capture.read()
        seen = turn(np.ascontiguousarray(bgr[..., ::-1]), quarters)
        assert seen.shape == image.shape
        found, wanted = (
            np.argwhere(np.abs(picture.astype(int) - BLUE).max(axis=2) < 60)
            for picture in (seen, paint(image))
        )
        assert found.size > 0
        assert np.abs(np.median(found, axis=0) - np.median(wanted, axis=0)).max() < 4


def test_an_upright_clip_is_said_nothing_about(tmp_path: Path) -> None:
    source = clip_of(tmp_path / "in.mp4", upright())
    (tmp_path / "edited.png").write_bytes(encode_png(paint(pick_reference(probe(source)).image)))
    report = try_edit(source, tmp_path / "edited.png", None, CLASSICAL)
    assert not any("turned" in note for note in report.notes)
