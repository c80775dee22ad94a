"""The tracks of a clip: sound that is kept, converted or left out, and parts that an edit list hides."""

from __future__ import annotations

import re
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.strangers.media import (
    HIGH_HZ,
    LOW_HZ,
    RATE,
    SIZE,
    drawn,
    encoded_sound,
    loudness,
    make,
    pass_on,
    play,
    tone,
)


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
    assert any(
        re.match(r"track 1 .* ends early, at 0\.\d+ s: \.mp4 refuses the rest.*\.mkv", note) for note in notes
    )


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
    assert any("what was trimmed away from the input" in note for note in notes)
