"""Which frame becomes the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stream.media.probe import MediaError, probe
from stream.media.video import VideoReader
from stream.offline.files import save_reference
from stream.offline.references import pick_reference, read_picture
from tests.stream.clips import (
    Clip,
    make_clip,
    painted_frame,
)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", Clip(audio="aac"))


def test_auto_finds_the_frame_the_picture_was_made_from(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=40))
    best = pick_reference(probe(clip))
    assert best.index is not None
    made_from = (best.index + 20) % 40
    picture = painted_frame(clip, made_from, tmp_path / "edited.png")
    found = pick_reference(probe(clip), read_picture(picture))
    assert found.index == made_from
    assert "nearest to the edited picture" in found.note
    again = pick_reference(probe(clip), read_picture(painted_frame(clip, best.index, tmp_path / "best.png")))
    assert again.index == best.index


def test_the_saved_reference_is_the_frame_picked(clip: Path, tmp_path: Path) -> None:
    picked = save_reference(clip, tmp_path / "ref.png")
    assert picked.index is not None
    assert "score" in picked.note
    with VideoReader(probe(clip)) as reader:
        frame = next(frame.image for frame in reader.frames() if frame.index == picked.index)
    assert np.array_equal(read_picture(tmp_path / "ref.png").image, frame)
    asked = save_reference(clip, tmp_path / "third.png", at=3)
    assert asked.index == 3


def test_a_clip_without_a_face_has_no_best_frame(tmp_path: Path) -> None:
    blank = make_clip(tmp_path / "blank.mp4", Clip(frames=4, blank=True))
    with pytest.raises(MediaError, match="no face found"):
        save_reference(blank, tmp_path / "ref.png")
    assert not (tmp_path / "ref.png").exists()
