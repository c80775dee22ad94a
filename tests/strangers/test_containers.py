"""Containers and sound as people bring them: clocks, counts, tracks, trims, fields, names, pictures."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image as Pillow

from stream.media.opening import open_clip
from stream.media.probe import MediaError, probe
from stream.media.survey import survey
from stream.media.video import VideoReader
from stream.media.writer import VideoWriter
from tests.strangers.media import (
    HIGH_HZ,
    LOW_HZ,
    RATE,
    SIZE,
    drawn,
    encoded_sound,
    even,
    loudness,
    make,
    pass_on,
    play,
    tone,
)

# Clocks that start over, jump ahead, or are missing ------------------------------------------------------


def joined(path: Path, pieces: list[dict[str, Any]]) -> Path:
    """Recordings one after the other in one file."""
    data = b""
    for number, piece in enumerate(pieces):
        data += make(path.with_name(f"piece{number}{path.suffix}"), **piece).read_bytes()
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("two.ts", [{"sound": "aac"}, {"sound": "aac", "first": 12}]),
        ("three.ts", [{}, {"frames": 9}, {"frames": 20}]),
        ("ahead.ts", [{"sound": "mp2"}, {"sound": "mp2", "muxing": {"output_ts_offset": "3600"}}]),
        ("two.mpg", [{"video": "mpeg2video", "sound": "mp2"}, {"video": "mpeg2video", "sound": "mp2"}]),
        ("back.ts", [{"muxing": {"output_ts_offset": "50"}, "sound": "aac"}, {"sound": "aac"}]),
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_joined_recordings_follow_each_other(
    tmp_path: Path, name: str, pieces: list[dict[str, Any]], suffix: str
) -> None:
    clip = joined(tmp_path / name, pieces)
    frames = sum(piece.get("frames", 12) for piece in pieces)
    info, notes = pass_on(clip, tmp_path / f"out{suffix}")
    shown = play(tmp_path / f"out{suffix}")
    assert info.frames == len(shown.times) == frames
    assert even(shown.times)
    assert shown.times[0] < 0.1
    assert any("clock starts over" in note for note in notes)
    if "sound" in pieces[0]:
        length = shown.wave.size / shown.sound_rate
        assert length == pytest.approx(frames / RATE, abs=0.12)
        assert abs(shown.sound_start - shown.times[0]) < 0.1
        assert loudness(shown.wave, shown.sound_rate, LOW_HZ) > 0.05


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("a.avi", {"b_frames": 3}),
        ("b.avi", {"video": "mpeg4", "b_frames": 2}),
        ("c.avi", {"b_frames": 1, "sound": "libmp3lame"}),
        ("d.h264", {"b_frames": 2}),
        ("e.m2v", {"video": "mpeg2video", "b_frames": 2}),
        ("f.dv", {"video": "dvvideo", "size": (576, 720)}),
        ("g.mjpeg", {"video": "mjpeg", "pixel_format": "yuvj420p"}),
    ],
)
def test_frames_without_times_are_shown_evenly(tmp_path: Path, name: str, made: dict[str, Any]) -> None:
    clip = make(tmp_path / name, frames=20, **made)
    pass_on(clip, tmp_path / "out.mp4")
    shown = play(tmp_path / "out.mp4")
    assert len(shown.times) == 20
    assert even(shown.times)


def fake_container(dts: list[float]) -> Any:
    """A container with one stream whose packets have these decoding times, in seconds."""
    unit = Fraction(1, 1000)
    packets = [
        SimpleNamespace(
            size=100, stream_index=0, time_base=unit, dts=round(t * 1000), pts=round(t * 1000),
            duration=40, is_discard=False,
        )
        for t in dts
    ]  # fmt: skip
    context = SimpleNamespace(width=160, height=120)
    stream = SimpleNamespace(index=0, codec_context=context, disposition=0)
    streams = SimpleNamespace(video=[stream])
    return SimpleNamespace(demux=lambda: iter(packets), streams=streams, format=SimpleNamespace(name="avi"))


@pytest.mark.parametrize(
    ("wrong", "at"), [(999.0, 5), (0.0, 9), (0.13, 14)], ids=["far ahead", "zero", "a little back"]
)
def test_one_wrong_time_is_no_new_clock(wrong: float, at: int) -> None:
    times = [10 + k / 25 for k in range(20)]
    times[at] = wrong
    found = survey(fake_container(times))
    assert found.pieces == 1
    assert found.odd == {0: frozenset({at})}


# Counts that headers announce ----------------------------------------------------------------------------


@pytest.mark.parametrize(("announced", "held"), [(100_000, 12), (1, 12), (0, 30)])
def test_a_header_that_lies_about_the_count(tmp_path: Path, announced: int, held: int) -> None:
    clip = make(tmp_path / "in.avi", video="mjpeg", pixel_format="yuvj420p", frames=held)
    data = bytearray(clip.read_bytes())
    main, stream = data.index(b"avih"), data.index(b"strh")
    struct.pack_into("<I", data, main + 24, announced)
    struct.pack_into("<I", data, stream + 40, announced)
    clip.write_bytes(data)
    assert probe(clip).frames == held


# Tracks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "sound", "output", "expected"),
    [
        ("in.mkv", "pcm_s16le", "out.mp4", "aac"),
        ("in.mkv", "pcm_s24le", "out.mov", "pcm_s24le"),
        ("in.mkv", "pcm_f32le", "out.mp4", "aac"),
        ("in.mov", "pcm_alaw", "out.mkv", "pcm_alaw"),
        ("in.avi", "pcm_mulaw", "out.mkv", "pcm_mulaw"),
        ("in.avi", "adpcm_ms", "out.mkv", "adpcm_ms"),
        ("in.avi", "adpcm_ima_wav", "out.mkv", "adpcm_ima_wav"),
        ("in.mov", "adpcm_ima_qt", "out.mkv", "flac"),
        ("in.mov", "pcm_alaw", "out.mp4", "aac"),
        ("in.avi", "pcm_u8", "out.mp4", "aac"),
        ("in.avi", "adpcm_ima_wav", "out.webm", "opus"),
        ("in.mkv", "flac", "out.mov", "alac"),
        ("in.mkv", "flac", "out.mp4", "flac"),
        ("in.mkv", "tta", "out.mp4", "aac"),
        ("in.mkv", "wavpack", "out.mov", "alac"),
        ("in.wmv", "wmav1", "out.mkv", "wmav1"),
        ("in.asf", "wmav2", "out.mkv", "wmav2"),
        ("in.wmv", "wmav2", "out.mov", "aac"),
        ("in.flv", "libmp3lame", "out.webm", "opus"),
        ("in.mov", "alac", "out.webm", "opus"),
        ("in.ts", "mp2", "out.mp4", "mp3"),  # .mp4 names both alike
        ("in.mkv", "libopus", "out.mov", "aac"),
    ],
)
def test_sound_is_kept_or_converted(
    tmp_path: Path, name: str, sound: str, output: str, expected: str
) -> None:
    video = {"in.wmv": "wmv2", "in.asf": "wmv1", "in.avi": "mpeg4"}.get(name, "libx264")
    rate = 44100 if sound in ("wmav1", "wmav2", "libmp3lame") else 8000 if sound == "pcm_alaw" else 48000
    b_frames = 0 if name in ("in.avi", "in.wmv", "in.asf") else 2
    clip = make(tmp_path / name, video=video, sound=sound, rate=rate, frames=25, b_frames=b_frames)
    _, notes = pass_on(clip, tmp_path / output)
    before, shown = play(clip), play(tmp_path / output)
    assert [codec.removeprefix("lib").replace("float", "") for codec in shown.codecs[1:]] == [expected]
    kept = expected == sound.removeprefix("lib") or sound == "mp2"
    assert any("is converted to" in note for note in notes) != kept
    length, expected_s = shown.wave.size / shown.sound_rate, before.wave.size / before.sound_rate
    assert length == pytest.approx(expected_s, abs=0.06)
    assert loudness(shown.wave, shown.sound_rate, LOW_HZ) > 0.2
    offset = shown.sound_start - shown.times[0]
    assert offset == pytest.approx(before.sound_start - before.times[0], abs=0.06)


@pytest.mark.parametrize(
    ("name", "codecs", "titles", "aspect"),
    [
        ("in.mov", ("pcm_mulaw", "pcm_alaw"), ("", ""), Fraction(64, 45)),
        ("in.avi", ("pcm_mulaw", "adpcm_ms"), ("Mikrofon ü", ""), Fraction(1)),
        ("in.avi", ("adpcm_ima_wav", "adpcm_ms"), ("a", "a rather long name " * 5 + "x"), Fraction(1)),
    ],
)
def test_sound_that_matroska_has_no_name_for_is_described(
    tmp_path: Path, name: str, codecs: tuple[str, str], titles: tuple[str, str], aspect: Fraction
) -> None:
    """Two tracks, beside a display size: each is described anew in the finished file."""
    with av.open(str(tmp_path / name), "w") as out:
        video: Any = out.add_stream("libx264" if name.endswith("mov") else "mpeg4", rate=RATE)
        context = video.codec_context
        context.height, context.width, context.pix_fmt = *SIZE, "yuv420p"
        context.sample_aspect_ratio = aspect
        tracks: list[Any] = []
        for title, codec in zip(titles, codecs, strict=True):
            tracks.append(out.add_stream(codec, rate=48000))
            tracks[-1].codec_context.layout = "mono"
            if title:
                tracks[-1].metadata["title"] = title
        for track, hz in zip(tracks, (LOW_HZ, HIGH_HZ), strict=True):
            out.mux(encoded_sound(track, tone(0.48, 48000, hz), 48000))
        for index in range(12):
            out.mux(video.encode(av.VideoFrame.from_ndarray(drawn(index), format="rgb24")))
        out.mux(video.encode(None))
    pass_on(tmp_path / name, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as made:
        assert made.streams.video[0].codec_context.sample_aspect_ratio in (aspect, None)
        found = [(s.codec_context.name, s.metadata.get("title", "")) for s in made.streams.audio]
        assert found == list(zip(codecs, (title.strip() for title in titles), strict=True))
    for number, hz in enumerate((LOW_HZ, HIGH_HZ)):
        with av.open(str(tmp_path / "out.mkv")) as made:
            resampler = av.AudioResampler("fltp", "mono")
            parts = [p.to_ndarray()[0] for f in made.decode(audio=number) for p in resampler.resample(f)]
        assert loudness(np.concatenate(parts), 48000, hz) > 0.2


@pytest.mark.parametrize("fourcc", [b"apac", b"zzzz", b"enca"])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_sound_that_nothing_reads_is_left_out(tmp_path: Path, fourcc: bytes, suffix: str) -> None:
    clip = tmp_path / "in.mov"
    with av.open(str(clip), "w") as out:
        video: Any = out.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        tracks: list[Any] = [out.add_stream("aac", rate=48000), out.add_stream("pcm_s16be", rate=48000)]
        for track in tracks:
            track.codec_context.layout = "mono"
        for track in tracks:
            step = track.codec_context.frame_size or 1024
            for start in range(0, 24000, step):
                samples = np.ascontiguousarray(tone(0.5, 48000)[:, start : start + step])
                sound = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
                sound.sample_rate, sound.pts, sound.time_base = 48000, start, Fraction(1, 48000)
                out.mux(track.encode(sound))
            out.mux(track.encode(None))
        for index in range(12):
            out.mux(video.encode(av.VideoFrame.from_ndarray(drawn(index), format="rgb24")))
        out.mux(video.encode(None))
    clip.write_bytes(clip.read_bytes().replace(b"twos", fourcc))
    _, notes = pass_on(clip, tmp_path / f"out{suffix}")
    assert play(tmp_path / f"out{suffix}").codecs == ["h264", "aac"]
    assert [note for note in notes if re.match(r"sound track 2.* is left out", note)]


def test_a_track_that_the_container_refuses_on_the_way_ends_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make(tmp_path / "in.mp4", sound="aac", frames=25)
    from stream.media.tracks import Copied

    plain = Copied.put

    def spoilt(self: Copied, packet: Any) -> Any:
        packets = plain(self, packet)
        for one in packets:
            if one.dts is not None and one.dts > 12000:
                one.pts = one.dts = 5  # earlier than the one before: refused
        return packets

    monkeypatch.setattr(Copied, "put", spoilt)
    _, notes = pass_on(clip, tmp_path / "out.mp4")
    shown = play(tmp_path / "out.mp4")
    assert len(shown.times) == 25
    assert 0.1 < shown.wave.size / shown.sound_rate < 0.5
    assert any(re.match(r"stream 1 stops at 0\.\d+ s: \.mp4 refuses the rest", note) for note in notes)


# Trims by edit list --------------------------------------------------------------------------------------


def trimmed(path: Path, start_s: float, length_s: float, sound: str) -> Path:
    """Three seconds, all but a part hidden by the edit list; the hidden part sounds high, the rest low."""
    rate = 48000
    wave = tone(3.0, rate, HIGH_HZ)
    first, last = round(start_s * rate), round((start_s + length_s) * rate)
    wave[:, first:last] = tone(length_s, rate)
    make(path, sound=sound, frames=75, wave=wave, options={"g": "12"})
    data = bytearray(path.read_bytes())
    movie = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)[0]
    scales = [struct.unpack_from(">I", data, m.start() + 16)[0] for m in re.finditer(b"mdhd", data)]
    for scale, match in zip(scales, re.finditer(b"elst", bytes(data)), strict=True):
        media = struct.unpack_from(">i", data, match.start() + 16)[0]
        struct.pack_into(
            ">Ii", data, match.start() + 12, round(length_s * movie), media + round(start_s * scale)
        )
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("start_s", "length_s"), [(1.0, 1.0), (1.5, 1.5), (0.7, 0.5), (2.0, 0.96)])
@pytest.mark.parametrize(
    ("sound", "source", "output"),
    [
        ("aac", "in.mp4", "out.mkv"),
        ("aac", "in.mov", "out.mp4"),
        ("aac", "in.mp4", "out.webm"),
        ("pcm_s16be", "in.mov", "out.mkv"),
    ],
)
def test_what_was_trimmed_away_stays_away(
    tmp_path: Path, start_s: float, length_s: float, sound: str, source: str, output: str
) -> None:
    clip = trimmed(tmp_path / source, start_s, length_s, sound)
    _, notes = pass_on(clip, tmp_path / output)
    for options in ({}, {"ignore_editlist": "1"} if output == "out.mp4" else {}):
        shown = play(tmp_path / output, **options)
        assert len(shown.times) == pytest.approx(length_s * RATE, abs=1)
        # a packet that is partly hidden may leave 30 ms of it
        assert loudness(shown.wave, shown.sound_rate, HIGH_HZ) < 0.3 * 0.03 / length_s
        assert loudness(shown.wave, shown.sound_rate, LOW_HZ) > 0.2
        assert shown.wave.size / shown.sound_rate == pytest.approx(length_s, abs=0.09)
    assert any("edit list hides" in note for note in notes)


# Fields --------------------------------------------------------------------------------------------------


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
    assert any("which the output does not say" in note and "--deinterlace" in note for note in notes)


# More than one video stream ------------------------------------------------------------------------------


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


# Names ---------------------------------------------------------------------------------------------------

NAMES = ["take2:30.mp4", "-dash.mp4", "a%04d.mp4", "映" * 80 + ".mp4", "x" * 246 + ".mkv", "file:a|b'?.mp4"]


@pytest.mark.parametrize("name", NAMES)
def test_any_legal_name_is_read_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (make(tmp_path / "plain.mp4", frames=3)).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    pass_on(Path(name), Path("out.mp4"))
    assert len(play(Path("out.mp4")).times) == 3
    (tmp_path / name).unlink()
    pass_on(Path("out.mp4"), Path(name))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["out.mp4", name])
    assert len(play(Path(name)).times) == 3


# Pictures and animations ---------------------------------------------------------------------------------


def animation(path: Path, frames: int, **options: Any) -> Path:
    pictures = [Pillow.fromarray(drawn(index)) for index in range(frames)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], **options)
    return path


@pytest.mark.parametrize(
    ("name", "options", "times"),
    [
        ("a.webp", {"duration": [40, 80, 200, 40], "lossless": True}, [0.0, 0.04, 0.12, 0.32]),
        ("b.webp", {"duration": 100, "quality": 95}, [0.0, 0.1, 0.2, 0.3]),
        ("c.gif", {"duration": [50, 100, 50, 50]}, [0.0, 0.05, 0.15, 0.2]),
        ("d.png", {"duration": 60}, [0.0, 0.06, 0.12, 0.18]),
    ],
)
def test_animations_are_clips(tmp_path: Path, name: str, options: dict[str, Any], times: list[float]) -> None:
    clip = animation(tmp_path / name, 4, **options)
    pass_on(clip, tmp_path / "out.mkv", codec="ffv1")
    shown = play(tmp_path / "out.mkv")
    assert shown.times == pytest.approx(times, abs=0.011)
    assert np.abs(shown.images[2].astype(int) - drawn(2)).mean() < 6


@pytest.mark.parametrize(("pattern", "first"), [("p%04d.png", 0), ("%d.png", 97), ("shot_%02d.jpg", 5)])
def test_numbered_pictures_in_and_out(tmp_path: Path, pattern: str, first: int) -> None:
    for index in range(6):
        Pillow.fromarray(drawn(index)).save(tmp_path / (pattern % (first + index)), quality=95)
    (tmp_path / "out").mkdir()
    info, notes = pass_on(tmp_path / pattern, tmp_path / "out" / pattern)
    assert info.frames == 6
    assert any("6 numbered pictures are read as 25 frames a second" in note for note in notes)
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == sorted(pattern % (first + index) for index in range(6))
    last = np.asarray(Pillow.open(tmp_path / "out" / (pattern % (first + 5))))
    assert np.abs(last.astype(int) - drawn(5)).mean() < 2
    pass_on(tmp_path / pattern, tmp_path / "out.mp4")
    assert len(play(tmp_path / "out.mp4").times) == 6


@pytest.mark.parametrize(("kept", "missing"), [((1, 2, 4, 5), "f003.png"), ((7, 9), "f008.png")])
def test_a_gap_in_numbered_pictures_is_named(tmp_path: Path, kept: tuple[int, ...], missing: str) -> None:
    for number in kept:
        Pillow.fromarray(drawn(number)).save(tmp_path / f"f{number:03d}.png")
    with pytest.raises(MediaError, match=f"picture {missing} is missing"):
        probe(tmp_path / "f%03d.png")


def test_no_numbered_picture_at_all(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"no picture is named so; the first would be f0001\.png"):
        probe(tmp_path / "f%04d.png")


@pytest.mark.parametrize("name", ["one.png", "one.jpg", "one.webp"])
def test_a_single_picture_in_and_out(tmp_path: Path, name: str) -> None:
    Pillow.fromarray(drawn(3)).save(tmp_path / name, quality=95)
    (tmp_path / "out").mkdir()
    pass_on(tmp_path / name, tmp_path / "out" / name)
    out = np.asarray(Pillow.open(tmp_path / "out" / name).convert("RGB"))
    assert np.abs(out.astype(int) - drawn(3)).mean() < 4


def test_a_clip_does_not_fit_in_one_picture(tmp_path: Path) -> None:
    clip = make(tmp_path / "in.mp4", frames=5)
    with pytest.raises(MediaError, match=r"holds one picture, .* has 5 frames; name .*still-%04d\.png"):
        pass_on(clip, tmp_path / "still.png")


# Output that fails ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("at", [3, 7])
def test_a_full_disk_keeps_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, at: int
) -> None:
    from stream.offline.editing import EditingPass, KeptError
    from stream.offline.report import EditReport

    clip = make(tmp_path / "in.mp4", sound="aac", frames=12)
    copied: Callable[[VideoWriter, float], None] = VideoWriter._copy_until
    calls = iter(range(100))

    def full(self: VideoWriter, time_s: float) -> None:
        if next(calls) == at:
            raise OSError(28, "No space left on device")
        copied(self, time_s)

    monkeypatch.setattr(VideoWriter, "_copy_until", full)
    output = tmp_path / f"out{suffix}"
    report = EditReport(source=clip, output=output, size=SIZE)
    from stream.media.encoders import FileEncoderConfig

    run = EditingPass(
        probe(clip), report, beside=False, trust=False, encoder=FileEncoderConfig(),
        stop=lambda: False, progress=lambda phase, done, expected: None,
    )  # fmt: skip
    with pytest.raises(KeptError, match=f"No space left on device.*holds the first {at} frames"):
        run.edit(Untouched(), output)
    assert len(play(output).times) in (at, at + 1)
    assert [path.name for path in tmp_path.iterdir() if ".part" in path.name] == []


class Untouched:
    """Carries nothing: every frame goes out as it came."""

    def step(self, image: Any, now_s: float) -> Any:
        from reference import Result

        return Result(image, None, None, None, 0.0, None, [], {})

    def close(self) -> None:
        """Nothing to free."""


def test_opening_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "broken.webp").write_bytes(animation(tmp_path / "a.webp", 4).read_bytes()[:60])
    with pytest.raises(MediaError, match="animated WebP is damaged"):
        open_clip(tmp_path / "broken.webp")
    with pytest.raises(MediaError, match="no such file"):
        VideoReader(probe(tmp_path / "gone.mp4"))
