"""Frames before time 0 and frames never recorded, transparency of animations, and unreadable files."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image as Pillow

from stream.media.probe import MediaError, probe
from stream.media.video import VideoReader
from stream.offline.paths import check_inputs
from tests.strangers.media import LOW_HZ, drawn, even, loudness, make, pass_on, play


def begun_early(path: Path, before: int, frames: int = 12) -> Path:
    """A Matroska file whose first frames lie before time 0."""
    plain = make(path.with_name("plain.mkv"), frames=frames, sound="libopus", b_frames=0)
    with (
        av.open(str(plain)) as source,
        av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as out,
    ):
        copies = {stream.index: out.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is None or packet.pts is None:
                continue
            packet.pts, packet.dts = packet.pts - 40 * before, packet.dts - 40 * before
            packet.stream = copies[packet.stream_index]
            out.mux(packet)
    return path


@pytest.mark.parametrize("before", [1, 5])
@pytest.mark.parametrize("output", ["out.mp4", "out.mkv", "out.mov"])
def test_frames_before_0_are_shown(tmp_path: Path, before: int, output: str) -> None:
    clip = begun_early(tmp_path / "in.mkv", before)
    pass_on(clip, tmp_path / output)
    shown = play(tmp_path / output)
    assert len(shown.images) == 12
    assert even(shown.times)
    assert 0 <= shown.times[0] < 0.03
    for index in (0, before, 11):
        assert np.abs(shown.images[index].astype(int) - drawn(index)).mean() < 6
    assert loudness(shown.wave, shown.sound_rate, LOW_HZ) > 0.2


def test_a_clip_that_starts_at_0_is_not_moved(tmp_path: Path) -> None:
    assert probe(make(tmp_path / "in.mkv")).survey.clocks == {}


@pytest.mark.parametrize("every", [2, 5])
def test_frames_that_were_never_recorded_are_not_missed(tmp_path: Path, every: int) -> None:
    """AVI stands for a dropped frame by an empty packet."""
    with av.open(str(tmp_path / "in.avi"), "w") as out:
        video = out.add_stream("mjpeg", rate=25)
        video.width, video.height, video.pix_fmt = 160, 120, "yuvj420p"
        for index in range(12):
            frame = av.VideoFrame.from_ndarray(drawn(index), format="rgb24").reformat(format="yuvj420p")
            frame.pts = index * every
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    info = probe(tmp_path / "in.avi")
    assert info.frames == 12
    assert info.announced == 12
    with VideoReader(info) as reader:
        assert even([frame.time_s for frame in reader.frames()], every / 25)


@pytest.mark.parametrize(("kind", "see_through"), [("gif", False), ("gif", True), ("png", True)])
def test_transparency_is_told_where_there_is_some(tmp_path: Path, kind: str, see_through: bool) -> None:
    pictures = [Pillow.fromarray(drawn(index)).convert("RGBA") for index in range(4)]
    if see_through:
        for picture in pictures:
            picture.paste((0, 0, 0, 0), (0, 0, 40, 40))
    path = tmp_path / f"in.{kind}"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=40, disposal=2)
    assert probe(path).alpha == see_through


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty: copy or download it again"),
        (b"some text\n" * 30, "not a video file that can be read"),
        (b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\x10\0mdat" + bytes(900), r"index .* \(moov\) is missing"),
        (b"\0\0\0\x10ftypqt  \0\0\0\0" + b"\0\0\0\x01mdat" + bytes(7) + b"\xff" * 90, r"\(moov\) is missing"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "in.mp4").write_bytes(content)
    with pytest.raises(MediaError, match=said):
        probe(tmp_path / "in.mp4")


def test_a_recording_that_was_cut_short_lacks_its_index(tmp_path: Path) -> None:
    clip = make(tmp_path / "in.mov", frames=25)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    with pytest.raises(MediaError, match=r"index .* \(moov\) is missing. Copy it again"):
        probe(clip)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x.mp4", "https://example.org/a.mov", "rtmp://a/b"])
def test_an_address_is_not_fetched(address: str) -> None:
    with pytest.raises(MediaError, match="is an address; files are not fetched: download it first"):
        check_inputs((Path(address),))
