"""File mode on damaged, foreign and colliding files: a clear answer, what decodes kept."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from correspondence import Image
from reference import EditError
from stream.media.pictures import encode_png
from stream.media.probe import MediaError
from stream.offline.animate import animate_file
from stream.offline.config import FileConfig
from stream.offline.files import edit_file
from stream.offline.report import damage_notes
from stream.offline.smooth import SmoothConfig, smooth_file
from tests.stream.clips import (
    CLASSICAL,
    Clip,
    cut,
    leftovers,
    make_clip,
    painted_frame,
    read_back,
)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", Clip(audio="aac"))


@pytest.fixture
def edited(tmp_path: Path, clip: Path) -> Path:
    return painted_frame(clip, 0, tmp_path / "edited.png")


def test_a_clip_cut_short_keeps_what_decodes(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.mp4", Clip(frames=30, muxing={"movflags": "faststart"}))
    picture = painted_frame(whole, 0, tmp_path / "edited.png")
    (tmp_path / "cut.mp4").write_bytes(cut(whole, 0.8))
    report = edit_file(tmp_path / "cut.mp4", picture, tmp_path / "out.mp4", CLASSICAL)
    after = read_back(tmp_path / "out.mp4")
    assert 2 < len(after.times) == report.frames < 30
    assert after.times == read_back(whole).times[: report.frames]
    assert any(f"{report.frames} of the 30 frames" in note for note in report.notes)


def test_damage_inside_is_left_out_and_counted(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=30, muxing={"movflags": "faststart"}))
    picture = painted_frame(clip, 0, tmp_path / "edited.png")
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 1500] = bytes(1500)
    (tmp_path / "damaged.mp4").write_bytes(data)
    report = edit_file(tmp_path / "damaged.mp4", picture, tmp_path / "out.mp4", CLASSICAL)
    assert len(read_back(tmp_path / "out.mp4").times) == report.frames > 10
    assert any(re.match(r"\d+ damaged pieces? of the input (was|were) left out", n) for n in report.notes)


def spoilt(tmp_path: Path) -> Path:
    """A clip of eight frames, two slices of the sixth lost."""
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=8, b_frames=0, options={"x264-params": "slices=4"}))
    data = bytearray(clip.read_bytes())
    with av.open(str(clip)) as container:
        packet = next(p for p in container.demux(video=0) if p.pts == 5 * 512)
    assert packet.pos is not None
    at = packet.pos
    for _ in range(2):  # past two of the four slices, each stored behind its length
        at += 4 + int.from_bytes(data[at : at + 4])
    end = at + 4 + int.from_bytes(data[at : at + 4])
    data[at + 8 : end] = bytes(end - at - 8)
    (tmp_path / "damaged.mp4").write_bytes(data)
    return tmp_path / "damaged.mp4"


def says_so(notes: list[str]) -> bool:
    return any(re.match(r"[123] damaged frames? (was|were) read as well", note) for note in notes)


def test_damage_the_decoder_covers_up_is_counted(tmp_path: Path) -> None:
    clip = spoilt(tmp_path)
    picture = painted_frame(tmp_path / "in.mp4", 0, tmp_path / "edited.png")
    report = edit_file(clip, picture, tmp_path / "out.mp4", CLASSICAL)
    assert report.frames == 8
    assert says_so(report.notes)


def test_smoothing_and_animating_tell_of_damage_too(tmp_path: Path, astronaut: Image) -> None:
    clip = spoilt(tmp_path)
    assert says_so(smooth_file(clip, tmp_path / "smooth.mp4", SmoothConfig(cuts=[3], frames=2)).notes)
    (tmp_path / "still.png").write_bytes(encode_png(np.ascontiguousarray(astronaut[:240, 90:331])))
    assert says_so(animate_file(tmp_path / "still.png", clip, tmp_path / "moved.mp4").notes)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((1, 1, 1), ["1 damaged piece of the input was", "1 damaged frame was", "1 frame without"]),
        ((2, 3, 4), ["2 damaged pieces of the input were", "3 damaged frames were", "4 frames without"]),
    ],
)
def test_damage_is_told_in_good_english(counts: tuple[int, int, int], said: list[str]) -> None:
    damaged, concealed, retimed = counts
    notes = damage_notes(SimpleNamespace(damaged=damaged, concealed=concealed, retimed=retimed, resized=None))
    assert [note.startswith(begin) for note, begin in zip(notes, said, strict=True)] == [True] * 3


def run(source: Path, edited: Path, output: Path, config: FileConfig = CLASSICAL) -> None:
    edit_file(source, edited, output, config)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.mp4", None, "no such file"),
        ("empty.mp4", b"", "the file is empty"),
        ("text.mp4", b"hello " * 500, "not a video file"),
        ("cut.mp4", "cut", "was not finished, or only a part was copied"),
    ],
)
def test_what_is_no_video_is_answered(
    clip: Path, edited: Path, tmp_path: Path, name: str, content: bytes | str | None, message: str
) -> None:
    if content is not None:
        data = cut(clip, 0.5) if isinstance(content, str) else content
        (tmp_path / name).write_bytes(data)
    with pytest.raises(MediaError, match=message):
        run(tmp_path / name, edited, tmp_path / "out.mp4")
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a picture", r"bad\.png: is not a PNG, JPEG or WebP picture; save it as one"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "a HEIC picture, which is not read; save it as JPEG"),
        (b"8BPS\0\x01" + bytes(40), "this is a Photoshop document, which is not read; export it as PNG"),
        (b"\xff\xd8\xff", "ends within its header; copy or download it again"),
        (b"\x89PNG\r\n\x1a\n" + bytes(30), "header|damaged|PNG"),
        (None, "no such"),
    ],
)
def test_what_is_no_picture_is_answered(
    clip: Path, tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(MediaError, match=message):
        run(clip, tmp_path / "bad.png", tmp_path / "out.mp4")


def test_a_picture_of_something_else_is_refused(clip: Path, tmp_path: Path, rng: np.random.Generator) -> None:
    noise = rng.integers(0, 255, (300, 200, 3), np.uint8)
    (tmp_path / "noise.png").write_bytes(encode_png(noise))
    with pytest.raises(EditError, match="200x300"):
        run(clip, tmp_path / "noise.png", tmp_path / "out.mp4")


def test_paths_that_collide_are_refused(clip: Path, edited: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="also the input"):
        run(clip, edited, clip)
    (tmp_path / "there.mp4").write_bytes(b"precious")
    with pytest.raises(MediaError, match="--overwrite"):
        run(clip, edited, tmp_path / "there.mp4")
    assert (tmp_path / "there.mp4").read_bytes() == b"precious"
    with pytest.raises(MediaError, match="no folder"):
        run(clip, edited, tmp_path / "nowhere" / "out.mp4")
    with pytest.raises(MediaError, match="must end in"):
        run(clip, edited, tmp_path / "out.gif")
    run(clip, edited, tmp_path / "there.mp4", replace(CLASSICAL, overwrite=True))
    assert len(read_back(tmp_path / "there.mp4").times) == 12


def test_a_reference_outside_the_clip_is_refused(clip: Path, edited: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no frame 12; its frames are 0 to 11"):
        run(clip, edited, tmp_path / "out.mp4", replace(CLASSICAL, reference=12))


@pytest.mark.parametrize("values", [{"reference": -1}, {"mode": "magic"}, {"strength": 1.5}])
def test_settings_have_ranges(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must"):
        FileConfig(**values)  # type: ignore[arg-type]
