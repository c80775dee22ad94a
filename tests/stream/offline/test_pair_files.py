"""File mode with an edit of an early frame and one of a later frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stream.cli.main import main
from stream.media.pictures import encode_png
from stream.media.probe import MediaError, probe
from stream.media.video import VideoReader
from stream.offline.config import FileConfig
from stream.offline.files import edit_file
from stream.offline.references import pick_pair, read_picture
from tests.stream.clips import BLUE, CLASSICAL, Clip, blue, make_clip, painted_frame, patch, read_back


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", Clip(frames=30))


def recoloured(picture: Path, colour: tuple[int, int, int], path: Path) -> Path:
    image = read_picture(picture).image.copy()
    image[(image == BLUE).all(axis=2)] = colour
    path.write_bytes(encode_png(image))
    return path


def test_one_edit_turns_into_the_other(clip: Path, tmp_path: Path) -> None:
    first = painted_frame(clip, 2, tmp_path / "first.png")
    last = recoloured(painted_frame(clip, 26, tmp_path / "blue.png"), (220, 40, 40), tmp_path / "last.png")
    config = FileConfig(reference=2, reference_end=26, matcher="classical")
    report = edit_file(clip, first, tmp_path / "out.mp4", config, edited_end=last)
    assert report.frames == report.edited == 30
    assert report.reference == 2
    assert report.end is not None
    assert report.end[0] == 26
    assert any("end's reference" in line for line in report.summary())
    images, before = read_back(tmp_path / "out.mp4").images, read_back(clip).images
    assert blue(images[0]) > 40
    assert blue(images[-1]) == 0
    from correspondence import detect_landmarks

    tint = []
    for index in (2, 8, 14, 20, 26):
        landmarks = detect_landmarks(before[index])
        assert landmarks is not None
        inside = images[index][patch(landmarks) > 0].astype(float)
        tint.append(float((inside[:, 2] - inside[:, 0]).mean()))
    assert tint[0] > 60
    assert tint[-1] < -60
    assert (np.diff(tint) < 0).all()


def test_frames_are_found_by_their_pictures(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=30))
    pictures = [read_picture(painted_frame(clip, k, tmp_path / f"{k}.png")) for k in (4, 22)]
    start, end = pick_pair(probe(clip), (pictures[0], pictures[1]), (None, None))
    assert (start.index, end.index) == (4, 22)
    assert start.time_s == pytest.approx(4 / 25)
    assert "nearest to the edited picture" in end.note
    with pytest.raises(MediaError, match=r"4 does not lie after the start's, 22; swap"):
        pick_pair(probe(clip), (pictures[1], pictures[0]), (None, None))


def test_what_cannot_be_compared_is_the_first_or_last_frame(clip: Path) -> None:
    with VideoReader(probe(clip)) as reader:
        image = next(iter(reader.frames())).image
    from stream.media.pictures import Picture

    crop = Picture(np.ascontiguousarray(image[:, 40:-40]), None)
    start, end = pick_pair(probe(clip), (crop, crop), (None, None))
    assert (start.index, end.index) == (0, 29)
    assert "the last, since the edited picture is a crop" in end.note


def test_wrong_pairs_say_so(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = painted_frame(clip, 0, tmp_path / "edited.png")
    out = tmp_path / "out.mp4"
    with pytest.raises(MediaError, match="has no frame 99; its frames are 0 to 29"):
        edit_file(clip, picture, out, FileConfig(reference=0, reference_end=99), edited_end=picture)
    with pytest.raises(MediaError, match="each reference must be a frame's number"):
        edit_file(clip, picture, out, FileConfig(reference=picture), edited_end=picture)
    with pytest.raises(MediaError, match="no such file"):
        edit_file(clip, picture, out, CLASSICAL, edited_end=tmp_path / "none.png")
    with pytest.raises(ValueError, match="reference_end must be a frame's number"):
        FileConfig(reference_end=-2)
    code = main(["edit", str(clip), "--edited", str(picture), "-o", str(out), "--reference-end", "3"])
    assert code == 2
    assert "--edited-end" in capsys.readouterr().err
    assert not out.exists()
