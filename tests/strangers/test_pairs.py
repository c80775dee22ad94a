"""Every pair of container and codecs that people bring and PyAV can make: picture, sound and times.

The material is FFmpeg's own, its `testsrc2` picture and its `sine`. `pytest -m slow` runs them all;
docs/performance.md gives the count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.strangers.media import LOW_HZ, RATE, Shown, loudness, pass_on, play

FRAMES = 25


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One kind of file.

    Attributes:
        name: its ending, as in mkv.
        video, sound: FFmpeg's names of the encoders; sound None for none.
        pixels: the picture's format.
        size: (H, W).
        rate: of the sound, Hz. layout: of its channels.
        container: FFmpeg's name where the ending does not tell.
        options: of the video encoder.
    """

    name: str
    video: str
    sound: str | None = None
    pixels: str = "yuv420p"
    size: tuple[int, int] = (288, 352)
    rate: int = 48000
    layout: str = "stereo"
    container: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name}-{self.video}-{self.sound or 'silent'}"


def common_pairs() -> Iterator[Pair]:
    """Codecs that many containers hold, each in several of them."""
    for name in ("mp4", "mov", "mkv", "ts", "flv", "avi", "nut"):
        yield Pair(name=name, video="libx264", sound="aac", options={"bf": "0"} if name == "avi" else {})
    for name in ("mp4", "mov", "mkv", "ts"):
        yield Pair(name=name, video="libx265", sound="aac", options={"x265-params": "log-level=error"})
    for name in ("mp4", "mkv", "webm"):
        yield Pair(
            name=name, video="libsvtav1", sound="libopus", options={"preset": "12", "svtav1-params": "lp=1"}
        )
        yield Pair(name=name, video="libvpx-vp9", sound="libopus", options={"deadline": "realtime"})
    for name in ("webm", "mkv", "avi"):
        yield Pair(name=name, video="libvpx", sound="vorbis" if name == "webm" else "libmp3lame")
    for name in ("mpg", "vob", "ts", "m2ts", "mkv", "mxf", "mov", "avi"):
        sound = {"mxf": "pcm_s16le", "vob": "ac3", "m2ts": "ac3"}.get(name, "mp2")
        container = {"m2ts": "mpegts", "vob": "vob"}.get(name)
        yield Pair(name=name, video="mpeg2video", sound=sound, container=container)
    for name in ("mpg", "ts"):
        yield Pair(name=name, video="mpeg1video", sound="mp2")
    for name in ("avi", "mp4", "mkv", "mov", "3gp"):
        yield Pair(name=name, video="mpeg4", sound="aac" if name in ("mp4", "mov", "3gp") else "libmp3lame")
    for name in ("avi", "mov", "mkv"):
        yield Pair(name=name, video="mjpeg", sound="pcm_s16le", pixels="yuvj420p")


def single_pairs() -> Iterator[Pair]:
    """Codecs that are found in few containers, and streams without a container."""
    yield Pair(name="3gp", video="h263", sound="aac")
    yield Pair(name="wmv", video="wmv1", sound="wmav1", rate=44100)
    yield Pair(name="wmv", video="wmv2", sound="wmav2", rate=44100)
    yield Pair(name="asf", video="msmpeg4", sound="libmp3lame", rate=44100)
    yield Pair(name="avi", video="msmpeg4v2", sound="adpcm_ms", rate=44100)
    yield Pair(name="flv", video="flv", sound="libmp3lame", rate=44100)
    for video, pixels in (("prores_ks", "yuv422p10le"), ("dnxhd", "yuv422p"), ("cfhd", "yuv422p10le")):
        options = {"profile": "dnxhr_sq"} if video == "dnxhd" else {}
        yield Pair(name="mov", video=video, sound="pcm_s24le", pixels=pixels, options=options)
    yield Pair(name="mkv", video="prores_ks", sound="pcm_s16le", pixels="yuv422p10le")
    yield Pair(name="avi", video="cfhd", sound="pcm_s16le", pixels="yuv422p10le")
    yield Pair(
        name="mxf", video="dnxhd", sound="pcm_s24le", pixels="yuv422p", options={"profile": "dnxhr_sq"}
    )
    yield Pair(name="mov", video="qtrle", sound="pcm_s16be", pixels="rgb24")
    yield Pair(name="mov", video="png", sound="alac", pixels="rgb24")
    yield Pair(name="mov", video="libx264", sound="pcm_alaw", rate=8000, layout="mono")
    for video, pixels in (("ffv1", "yuv420p"), ("huffyuv", "yuv422p"), ("utvideo", "yuv420p")):
        if video == "ffv1":
            yield Pair(name="mkv", video=video, sound="flac", pixels=pixels)
        yield Pair(name="avi", video=video, sound="pcm_s16le", pixels=pixels)
    yield Pair(name="avi", video="rawvideo", sound="pcm_u8", pixels="bgr24")
    yield Pair(name="avi", video="magicyuv", sound="adpcm_ima_wav", pixels="yuv420p")
    yield Pair(name="avi", video="zmbv", sound="pcm_s16le", pixels="bgr0")
    yield Pair(name="mkv", video="libx264", sound="eac3")
    yield Pair(name="mkv", video="libx264", sound="wavpack")
    yield Pair(name="mkv", video="libx264", sound="tta")
    yield Pair(name="mkv", video="snow", sound="vorbis")
    yield Pair(name="mkv", video="jpeg2000", sound="pcm_f32le")
    yield Pair(name="dv", video="dvvideo", sound="pcm_s16le", size=(576, 720))
    yield Pair(name="avi", video="dvvideo", sound="pcm_s16le", size=(576, 720))
    yield Pair(name="mov", video="dvvideo", sound="pcm_s16le", size=(576, 720))
    yield Pair(name="gxf", video="mpeg2video", sound="pcm_s16le", size=(576, 720), layout="mono")
    yield Pair(name="ogv", video="libvpx", sound="libopus", container="ogg")
    yield Pair(name="rm", video="rv20", sound="ac3", rate=44100)
    for name, video in (("h264", "libx264"), ("m2v", "mpeg2video"), ("m1v", "mpeg1video"), ("m4v", "mpeg4")):
        yield Pair(name=name, video=video, container={"m4v": "m4v"}.get(name))
    yield Pair(name="hevc", video="libx265", options={"x265-params": "log-level=error"})
    yield Pair(name="obu", video="libsvtav1", options={"preset": "12", "svtav1-params": "lp=1"})
    for video in ("libvpx", "libvpx-vp9", "libsvtav1"):
        yield Pair(
            name="ivf",
            video=video,
            options={"preset": "12", "svtav1-params": "lp=1"} if video == "libsvtav1" else {},
        )
    yield Pair(name="mjpeg", video="mjpeg", pixels="yuvj420p")
    yield Pair(name="y4m", video="wrapped_avframe")
    yield Pair(name="gif", video="gif", pixels="rgb8")
    yield Pair(name="apng", video="apng", pixels="rgb24")
    yield Pair(name="webp", video="libwebp_anim", pixels="bgra", options={"lossless": "1"})


PAIRS = [*common_pairs(), *single_pairs()]


def generated(path: Path, pair: Pair) -> Path:
    """A second of FFmpeg's test picture and its sine."""
    h, w = pair.size
    picture = av.open(f"testsrc2=size={w}x{h}:rate={RATE}:duration={FRAMES / RATE}", format="lavfi")
    with picture, av.open(str(path), "w", format=pair.container) as out:
        video: Any = out.add_stream(pair.video, rate=RATE, options=pair.options)
        video.height, video.width, video.pix_fmt = h, w, pair.pixels
        video.codec_context.time_base = Fraction(1, RATE)
        if pair.video not in ("libsvtav1",):
            video.codec_context.bit_rate = 6_000_000
        track: Any = None
        if pair.sound is not None:
            trial = {"strict": "experimental"} if pair.sound == "vorbis" else {}
            track = out.add_stream(pair.sound, rate=pair.rate, options=trial)
            track.codec_context.layout = pair.layout
            if pair.sound not in ("flac", "alac", "tta", "wavpack") and not pair.sound.startswith("pcm"):
                track.codec_context.bit_rate = 128_000
            with av.open(
                f"sine=frequency={LOW_HZ}:sample_rate={pair.rate}:duration={FRAMES / RATE}", format="lavfi"
            ) as sine:
                for sound in sine.decode(audio=0):
                    out.mux(track.encode(sound))
            out.mux(track.encode(None))
        for number, frame in enumerate(picture.decode(video=0)):
            coded = frame.reformat(format=pair.pixels)
            coded.pts, coded.time_base = number, Fraction(1, RATE)
            out.mux(video.encode(coded))
        out.mux(video.encode(None))
    return path


def test_there_are_enough_pairs() -> None:
    assert len({str(pair) for pair in PAIRS}) == len(PAIRS) >= 60


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_picture_sound_and_times(tmp_path: Path, pair: Pair) -> None:
    clip = generated(tmp_path / f"in.{pair.name}", pair)
    info, _ = pass_on(clip, tmp_path / "out.mp4")
    after = play(tmp_path / "out.mp4")
    assert info.frames == pytest.approx(FRAMES, abs=1)
    assert len(after.times) == info.frames
    steps = np.diff(after.times)
    if pair.name != "webp":  # FFmpeg cannot play it
        before = play(clip)
        # some muxers shift the first frame, or the last
        assert np.abs(steps - 1 / RATE).max() <= 0.0021 or np.abs(steps - np.diff(before.times)).max() < 0.002
        same = [np.abs(a.astype(int) - b).mean() for a, b in zip(after.images, before.images, strict=True)]
        assert max(same) < 4
        if pair.sound is not None:
            check_sound(before, after)


def check_sound(before: Shown, after: Shown) -> None:
    """Whether the same is heard at the same time."""
    assert loudness(after.wave, after.sound_rate, LOW_HZ) > 0.5 * loudness(
        before.wave, before.sound_rate, LOW_HZ
    )
    length, expected = after.wave.size / after.sound_rate, before.wave.size / before.sound_rate
    assert length == pytest.approx(expected, abs=0.1)
    offset, wanted = after.sound_start - after.times[0], before.sound_start - before.times[0]
    assert offset == pytest.approx(wanted, abs=0.07)
