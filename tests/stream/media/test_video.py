"""Orientation, colours and times of recorded video, apart from any editing."""

from __future__ import annotations

import zlib
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from correspondence import Image
from stream.colour.samples import Colour
from stream.media.encoders import FileEncoderConfig, pixel_format
from stream.media.opening import Orientation
from stream.media.pixels import FromRgb, ToRgb
from stream.media.probe import VideoInfo, probe
from stream.media.untrusted import MediaError
from stream.media.video import VideoReader
from stream.media.writer import VideoWriter
from tests.stream.clips import SIZE, Clip, make_clip, read_back

QUARTER = 65536


def info(colour: Colour, size: tuple[int, int] = (64, 96), pixels: str = "yuv420p") -> VideoInfo:
    return VideoInfo(
        path=Path("made-up.mp4"),
        stored_size=size,
        size=size,
        display_matrix=None,
        orientation=Orientation(),
        colour=colour,
        pixel_format=pixels,
        aspect=Fraction(1),
        time_base=Fraction(1, 1000),
        rate=Fraction(25),
        frames=1,
    )


@pytest.mark.parametrize("matrix", [1, 2, 4, 5, 6, 7, 9])
@pytest.mark.parametrize("code_range", [0, 1, 2])
def test_colours_survive_the_way_out_and_back(matrix: int, code_range: int) -> None:
    about = info(Colour(matrix=matrix, range=code_range))
    to_rgb, from_rgb = ToRgb(about), FromRgb(about, "yuv444p")
    levels = np.linspace(0, 255, 6).astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    for colour in colours:
        image = np.full((64, 96, 3), colour, np.uint8)
        assert np.abs(to_rgb(from_rgb(image)).astype(int) - image).max() <= 2


def test_no_pass_shifts_the_colours(astronaut: Image) -> None:
    for code_range in (1, 2):
        about = info(Colour(matrix=1, range=code_range), size=(512, 512))
        to_rgb, from_rgb = ToRgb(about), FromRgb(about, "yuv420p")
        first = to_rgb(from_rgb(astronaut))
        later = first
        for _ in range(3):
            later = to_rgb(from_rgb(later))
        shift = (later.astype(float) - first).mean(axis=(0, 1))
        assert np.abs(shift).max() < 0.1  # the scaler alone: 1 level darker a pass, or 0.6 of tint


def test_known_samples_of_the_standards() -> None:
    forward, inverse = Colour(matrix=1, range=1).coefficients((720, 1280))
    assert forward @ [255, 255, 255, 1] == pytest.approx([235, 128, 128])
    assert forward @ [255, 0, 0, 1] == pytest.approx([62.6, 102.3, 240], abs=0.1)  # BT.709 red
    assert inverse @ [16, 128, 128, 1] == pytest.approx([0, 0, 0])
    forward, _ = Colour(matrix=6, range=2).coefficients((720, 1280))
    assert forward @ [255, 0, 0, 1] == pytest.approx([76.2, 85.0, 255.5], abs=0.1)  # JFIF red


def test_untagged_video_is_taken_by_its_size() -> None:
    untagged, small, large = Colour(), (480, 640), (1280, 720)
    assert np.array_equal(untagged.coefficients(small)[0], Colour(matrix=6).coefficients(small)[0])
    assert np.array_equal(untagged.coefficients(large)[0], Colour(matrix=1).coefficients(large)[0])


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        ((1, 0, 0, 1), [[1, 2, 3], [4, 5, 6]]),
        ((-1, 0, 0, -1), [[6, 5, 4], [3, 2, 1]]),
        ((-1, 0, 0, 1), [[3, 2, 1], [6, 5, 4]]),
        ((1, 0, 0, -1), [[4, 5, 6], [1, 2, 3]]),
        ((0, 1, -1, 0), [[4, 1], [5, 2], [6, 3]]),
        ((0, -1, 1, 0), [[3, 6], [2, 5], [1, 4]]),
        ((0, 1, 1, 0), [[1, 4], [2, 5], [3, 6]]),
        ((0, -1, -1, 0), [[6, 3], [5, 2], [4, 1]]),
    ],
)
def test_eight_orientations(signs: tuple[int, int, int, int], expected: list[list[int]]) -> None:
    a, b, c, d = (sign * QUARTER for sign in signs)
    orientation = Orientation.of((a, b, 0, c, d, 0, 0, 0, 1 << 30))
    stored = np.repeat(np.array([[1, 2, 3], [4, 5, 6]], np.uint8)[..., None], 3, axis=2)
    upright = orientation.upright(stored)
    assert upright[..., 0].tolist() == expected
    assert np.array_equal(orientation.stored(upright), stored)


def test_an_odd_angle_counts_as_upright() -> None:
    assert Orientation.of((46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30)) == Orientation()


@pytest.mark.parametrize(
    ("codec", "pixels", "size", "expected"),
    [
        ("h264", "yuv420p", (480, 640), "yuv420p"),
        ("h264", "yuvj420p", (480, 640), "yuv420p"),
        ("h264", "yuv420p10le", (480, 640), "yuv420p"),
        ("h264", "yuv422p", (480, 640), "yuv422p"),
        ("h264", "yuv422p", (481, 640), "yuv422p"),
        ("h264", "yuv422p", (480, 641), "yuv444p"),
        ("h264", "yuv420p", (481, 640), "yuv444p"),
        ("h264", "rgb24", (480, 640), "yuv420p"),
        ("vp9", "yuv420p", (481, 641), "yuv420p"),
    ],
)
def test_the_format_keeps_chroma_and_size(
    codec: str, pixels: str, size: tuple[int, int], expected: str
) -> None:
    assert pixel_format(codec, info(Colour(), size, pixels), size) == expected


def test_frames_come_in_the_order_shown_with_their_times(tmp_path: Path) -> None:
    pts = (0, 512, 700, 2000, 2001, 9000)
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=6, pts=pts, b_frames=3))
    with VideoReader(probe(clip)) as reader:
        frames = list(reader.frames())
    assert [frame.pts * reader.info.time_base for frame in frames] == [p * Fraction(1, 12800) for p in pts]
    assert [frame.index for frame in frames] == list(range(6))
    assert reader.damaged == reader.concealed == reader.retimed == 0


@pytest.mark.parametrize("aspect", [Fraction(2), Fraction(4, 5)])
@pytest.mark.parametrize(
    ("codec", "name"),
    [("vp9", "o.webm"), ("vp9", "o.mkv"), ("ffv1", "o.mkv"), ("h264", "o.mkv"), ("h264", "o.mp4")],
)
def test_the_shape_of_samples_is_kept(tmp_path: Path, codec: str, name: str, aspect: Fraction) -> None:
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=4, size=(120, 160), aspect=aspect))
    pictures = written(clip, tmp_path / name, codec)
    with av.open(str(tmp_path / name)) as container:
        stream = container.streams.video[0]
        assert stream.sample_aspect_ratio == aspect
        assert "title" not in stream.metadata
    after = read_back(tmp_path / name)
    assert len(after.times) == len(pictures) == 4
    assert after.size == (120, 160)
    if name.endswith(".mkv"):
        assert tracks_are_whole((tmp_path / name).read_bytes())


def tracks_are_whole(data: bytes) -> bool:
    """Whether the check sum that opens a Matroska file's tracks holds (RFC 8794, section 11.3.1)."""
    at = data.index(b"\x16\x54\xae\x6b", 250) + 4  # the seek head names them too
    crc = at + 9 - data[at].bit_length()
    end = crc + (int.from_bytes(data[at:crc]) & ((1 << 7 * (crc - at)) - 1))
    assert data[crc : crc + 2] == b"\xbf\x84"
    return zlib.crc32(data[crc + 6 : end]).to_bytes(4, "little") == data[crc + 2 : crc + 6]


def written(clip: Path, output: Path, codec: str) -> list[Image]:
    """A clip written as it is; its pictures."""
    pictures = []
    with (
        VideoReader(probe(clip)) as reader,
        VideoWriter(output, reader, reader.info.size, FileEncoderConfig(codec=codec)) as writer,
    ):
        for frame in reader.frames():
            writer.write(frame, frame.image)
            pictures.append(frame.image)
        writer.finish()
    return pictures


def test_missing_time_stamps_are_made_up(tmp_path: Path) -> None:
    path = tmp_path / "raw.h264"  # a bare stream has none
    make_clip(path, Clip(frames=5, b_frames=0))
    with VideoReader(probe(path)) as reader:
        pts = [frame.pts for frame in reader.frames()]
    assert len(pts) == 5
    assert all(later > earlier for earlier, later in pairwise(pts))


def test_a_change_of_size_within_the_stream_is_brought_to_the_first(tmp_path: Path) -> None:
    small = make_clip(tmp_path / "small.ts", Clip(frames=3, b_frames=0, size=(120, 160)))
    large = make_clip(tmp_path / "large.ts", Clip(frames=3, b_frames=0))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(large.read_bytes() + small.read_bytes())
    with VideoReader(probe(joined)) as reader:
        frames = list(reader.frames())
    assert len(frames) == 6
    assert {frame.image.shape for frame in frames} == {(*SIZE, 3)}


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as out:
        sound = out.add_stream("aac", rate=48000)
        for start in range(0, 4800, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    with pytest.raises(MediaError, match="no video stream, only audio"):
        probe(path)


@pytest.mark.parametrize(
    ("options", "name", "message"),
    [
        ({}, "out.avi", "must end in"),
        ({"codec": "h264"}, "out.webm", "holds vp9"),
        ({"codec": "ffv1"}, "out.mp4", "needs .mkv"),
    ],
)
def test_what_a_container_cannot_hold_is_refused(options: dict[str, str], name: str, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        FileEncoderConfig(codec=options.get("codec")).resolve(Path(name))


@pytest.mark.parametrize("options", [{"codec": "mpeg2"}, {"crf": 52}, {"crf": -1}])
def test_encoder_settings_have_ranges(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        FileEncoderConfig(**options)  # type: ignore[arg-type]
