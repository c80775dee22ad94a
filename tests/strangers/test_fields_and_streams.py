"""Interlaced clips, and clips with several video tracks."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.strangers.media import (
    RATE,
    drawn,
    even,
    make,
    pass_on,
    play,
)


def woven(top_first: bool, frames: int = 8, size: tuple[int, int] = (576, 720)) -> list[Any]:
    """Pictures of two fields each, half a frame apart in time."""
    pictures = []
    for index in range(frames):
        early, late = drawn(4 * index, size), drawn(4 * index + 2, size)
        top, bottom = (early, late) if top_first else (late, early)
        picture = top.copy()
        picture[1::2] = bottom[1::2]
        pictures.append(picture)
    return pictures


def combs(image: Any) -> float:
    """How much rows differ from both their neighbours in the same direction."""
    rows = image.astype(int).mean(axis=2)
    up, down = rows[1:-1] - rows[:-2], rows[1:-1] - rows[2:]
    return float(((up * down > 0) * np.minimum(abs(up), abs(down))).mean())


def interlaced(path: Path, video: str, top_first: bool) -> Path:
    """A clip marked as fields."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=720, height=576, format=av.VideoFormat("yuv420p"), time_base=Fraction(1, 25)
    )
    mark, sink = graph.add("setfield", "tff" if top_first else "bff"), graph.add("buffersink")
    source.link_to(mark)
    mark.link_to(sink)
    graph.configure()
    with av.open(str(path), "w") as out:
        options = {"x264-params": "tff=1" if top_first else "bff=1"} if video == "libx264" else {}
        stream: Any = out.add_stream(video, rate=RATE, options=options)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = 720, 576, "yuv420p"
        context.bit_rate = 8_000_000
        context.flags |= 1 << 18 | 1 << 29
        context.field_order = 2 if top_first else 3
        for index, picture in enumerate(woven(top_first)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            graph.push(frame)
            out.mux(stream.encode(graph.pull()))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "video", "top_first", "output", "codec"),
    [
        ("in.mp4", "libx264", False, "out.mp4", "h264"),
        ("in.ts", "mpeg2video", True, "out.mkv", "h264"),
        ("in.mkv", "libx264", True, "out.mkv", "ffv1"),
        ("in.mpg", "mpeg2video", False, "out.mov", "h264"),
    ],
)
def test_fields_stay_fields(
    tmp_path: Path, name: str, video: str, top_first: bool, output: str, codec: str
) -> None:
    clip = interlaced(tmp_path / name, video, top_first)
    info, notes = pass_on(clip, tmp_path / output, codec=codec)
    assert info.fields == ("top" if top_first else "bottom")
    with av.open(str(tmp_path / output)) as container:
        frame = next(container.decode(video=0))
        assert frame.interlaced_frame
        assert container.streams.video[0].codec_context.field_order in ((2, 4) if top_first else (3, 5))
    assert any("--deinterlace" in note for note in notes)


@pytest.mark.parametrize("top_first", [True, False])
@pytest.mark.parametrize("name", ["in.mp4", "in.ts"])
def test_fields_are_made_whole_pictures_on_request(tmp_path: Path, name: str, top_first: bool) -> None:
    clip = interlaced(tmp_path / name, "libx264", top_first)
    pass_on(clip, tmp_path / "out.mp4", deinterlace=True)
    before, after = play(clip), play(tmp_path / "out.mp4")
    assert len(after.times) == len(before.times) == 8
    assert even(after.times)
    assert not after.frames[0].interlaced_frame
    assert combs(after.images[4]) < 0.3 * combs(before.images[4])


def test_a_codec_without_fields_says_so(tmp_path: Path) -> None:
    clip = interlaced(tmp_path / "in.mp4", "libx264", True)
    _, notes = pass_on(clip, tmp_path / "out.webm")
    assert any("the output cannot say so" in note and "--deinterlace" in note for note in notes)


@pytest.mark.parametrize(
    ("sizes", "codecs", "chosen"),
    [
        (((60, 80), (120, 160)), ("mjpeg", "libx264"), 1),
        (((120, 160), (60, 80)), ("libx264", "libx264"), 0),
        (((60, 80), (120, 160), (90, 120)), ("libx264", "mpeg4", "mjpeg"), 1),
        (((120, 160), (120, 160)), ("libx264", "libx264"), 0),
    ],
)
@pytest.mark.parametrize("suffix", [".mkv", ".mov"])
def test_the_film_is_edited_and_the_rest_named(
    tmp_path: Path, sizes: tuple[tuple[int, int], ...], codecs: tuple[str, ...], chosen: int, suffix: str
) -> None:
    clip = tmp_path / f"in{suffix}"
    with av.open(str(clip), "w") as out:
        streams: list[Any] = []
        for size, codec in zip(sizes, codecs, strict=True):
            stream: Any = out.add_stream(codec, rate=RATE)
            stream.height, stream.width = size
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            streams.append(stream)
        for index in range(10):
            for stream, size in zip(streams, sizes, strict=True):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(drawn(index, size), format="rgb24")))
        for stream in streams:
            out.mux(stream.encode(None))
    info, notes = pass_on(clip, tmp_path / "out.mkv")
    shown = play(tmp_path / "out.mkv")
    assert info.stream == chosen
    assert len(shown.times) == 10
    assert {image.shape[:2] for image in shown.images} == {sizes[chosen]}
    named = {int(m[1]) for note in notes if (m := re.match(r"video stream (\d+), .* is left out", note))}
    assert named == set(range(len(sizes))) - {chosen}


def joined(path: Path, codec: str, sizes: tuple[tuple[int, int], ...]) -> Path:
    """A clip of one stream whose picture changes its size, 10 frames a size."""
    with av.open(str(path), "w") as out:
        first: Any = out.add_stream(codec, rate=RATE)
        for part, size in enumerate(sizes):
            coder: Any = first.codec_context if part == 0 else av.CodecContext.create(codec, "w")
            coder.height, coder.width = size
            coder.pix_fmt, coder.time_base, coder.framerate = "yuv420p", Fraction(1, RATE), Fraction(RATE)
            coder.options = {"x264-params": "repeat-headers=1"} if codec == "libx264" else {}
            for index in range(11):
                picture: Any = None
                if index < 10:
                    picture = av.VideoFrame.from_ndarray(drawn(index, size), format="rgb24")
                    picture = picture.reformat(format="yuv420p")
                    picture.pts, picture.time_base = 10 * part + index, Fraction(1, RATE)
                for packet in (first if part == 0 else coder).encode(picture):
                    packet.stream = first
                    out.mux(packet)
    return path


@pytest.mark.parametrize(
    ("name", "codec", "sizes"),
    [
        ("in.webm", "libvpx", ((120, 160), (240, 320))),
        ("in.mkv", "libvpx-vp9", ((240, 320), (120, 160), (240, 320))),
        ("in.ts", "libx264", ((120, 160), (180, 320))),
        ("in.h264", "libx264", ((240, 320), (120, 160))),
        ("in.ts", "mpeg2video", ((144, 176), (288, 352))),
    ],
)
def test_a_picture_that_changes_its_size_is_told(
    tmp_path: Path, name: str, codec: str, sizes: tuple[tuple[int, int], ...]
) -> None:
    clip = joined(tmp_path / name, codec, sizes)
    _, notes = pass_on(clip, tmp_path / "out.mkv")
    shown = play(tmp_path / "out.mkv")
    assert {image.shape[:2] for image in shown.images} == {sizes[0]}
    heights = [image.shape[0] for image in play(clip).images]
    assert len(shown.images) == len(heights) >= 10 * len(sizes) - 1  # MPEG-2's decoder drops one at a change
    number = heights.index(sizes[1][0])
    (said,) = [note for note in notes if "changes its size" in note]
    (h0, w0), (h1, w1) = sizes[:2]
    assert f"from frame {number} on it is {w1}x{h1}, which was resized to the {w0}x{h0} of the first" in said


def test_a_picture_of_one_size_is_not_told_to_change(tmp_path: Path) -> None:
    _, notes = pass_on(make(tmp_path / "in.mp4"), tmp_path / "out.mkv")
    assert not any("size" in note for note in notes)
