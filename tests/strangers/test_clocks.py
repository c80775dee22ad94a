"""Clips whose clocks start over, jump or are missing, and headers that announce a wrong count."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stream.media.probe import probe
from stream.media.survey import survey
from tests.strangers.media import (
    LOW_HZ,
    RATE,
    even,
    loudness,
    make,
    pass_on,
    play,
)


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
    stream = SimpleNamespace(index=0, codec_context=context, disposition=0, average_rate=25)
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


@pytest.mark.parametrize(("announced", "held"), [(100_000, 12), (1, 12), (0, 30)])
def test_a_header_that_lies_about_the_count(tmp_path: Path, announced: int, held: int) -> None:
    clip = make(tmp_path / "in.avi", video="mjpeg", pixel_format="yuvj420p", frames=held)
    data = bytearray(clip.read_bytes())
    main, stream = data.index(b"avih"), data.index(b"strh")
    struct.pack_into("<I", data, main + 24, announced)
    struct.pack_into("<I", data, stream + 40, announced)
    clip.write_bytes(data)
    assert probe(clip).frames == held
