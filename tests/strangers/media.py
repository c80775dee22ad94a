"""Files as strangers make them, made by PyAV from drawn shapes and tones, and read back plainly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Image
from stream.media.encoders import FileEncoderConfig
from stream.media.picture_writer import open_output
from stream.media.probe import VideoInfo, probe
from stream.media.video import Frame, VideoReader
from stream.offline.report import damage_notes

RATE = 25
SIZE = (120, 160)
LOW_HZ, HIGH_HZ = 440, 3000


def drawn(index: int, size: tuple[int, int] = SIZE) -> Image:
    """A picture of shapes that move: frame `index` of a clip."""
    h, w = size
    image = np.full((h, w, 3), (60, 110, 160), np.uint8)
    cv2.circle(image, (w // 4 + 3 * index, h // 2), h // 6, (220, 160, 120), -1, cv2.LINE_AA)
    cv2.rectangle(image, (w // 2, h // 4), (w // 2 + h // 4, h // 2), (40, 180, 60), -1)
    return image


def tone(seconds: float, rate: int, hz: float = LOW_HZ) -> npt.NDArray[np.float32]:
    """A sine, float32 (1, N)."""
    at = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * hz * at)).astype(np.float32)[None]


def make(
    path: Path,
    *,
    video: str = "libx264",
    sound: str | None = None,
    frames: int = 12,
    pixel_format: str = "yuv420p",
    size: tuple[int, int] = SIZE,
    rate: int = 48000,
    wave: npt.NDArray[np.float32] | None = None,
    options: dict[str, str] | None = None,
    muxing: dict[str, str] | None = None,
    first: int = 0,
    b_frames: int = 2,
    images: Sequence[Image] = (),
    container: str | None = None,
) -> Path:
    """A clip of `drawn` shapes at 25 frames a second, with a tone as long as they are."""
    with av.open(str(path), "w", format=container, options=muxing or {}) as out:
        stream: Any = out.add_stream(video, rate=RATE, options=options or {})
        context = stream.codec_context
        context.height, context.width = size
        context.pix_fmt, context.time_base = pixel_format, Fraction(1, RATE)
        context.bit_rate = 2_000_000
        if video in ("libx264", "mpeg2video", "mpeg4"):
            context.max_b_frames = b_frames
        track: Any = None if sound is None else out.add_stream(sound, rate=rate)
        if track is not None:
            track.codec_context.layout = "mono"
            if sound is not None and sound.startswith("wma"):
                track.codec_context.bit_rate = 96_000
            wave = tone(frames / RATE, rate) if wave is None else wave
            out.mux(encoded_sound(track, wave, rate))
        for index in range(frames):
            image = images[index] if images else drawn(first + index, size)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixel_format)
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def encoded_sound(track: Any, wave: npt.NDArray[np.float32], rate: int) -> list[Any]:
    """The packets of a wave."""
    step = track.codec_context.frame_size or 1024
    packets: list[Any] = []
    for start in range(0, wave.shape[1], step):
        samples = np.ascontiguousarray(wave[:, start : start + step])
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        packets += track.encode(frame)
    return packets + track.encode(None)


def pass_on(
    source: Path, output: Path, *, codec: str | None = None, deinterlace: bool = False
) -> tuple[VideoInfo, list[str]]:
    """Read a clip and write it as it is; what the product says about it."""
    info = probe(source, deinterlace)
    with (
        VideoReader(info) as reader,
        open_output(output, reader, info.size, FileEncoderConfig(codec=codec)) as writer,
    ):
        for item in reader.items(writer.others):
            if isinstance(item, Frame):
                writer.write(item, item.image)
            else:
                writer.copy(item)
        writer.finish()
        return info, [*info.notes, *writer.notes, *damage_notes(reader), *writer.lost]


@dataclass(frozen=True)
class Shown:
    """What a player gets from a file."""

    times: list[float]  # of the frames, seconds
    images: list[Image]
    wave: npt.NDArray[np.float32]  # mono
    sound_start: float  # seconds
    sound_rate: int
    codecs: list[str]
    frames: list[Any]


def play(path: Path, **options: str) -> Shown:
    """Decode everything; options go to the demuxer."""
    with av.open(str(path.absolute()), options=options) as container:
        codecs = [s.codec_context.name for s in container.streams if s.codec_context is not None]
        frames: list[Any] = list(container.decode(video=0))
    waves: list[npt.NDArray[np.float32]] = []
    start, rate = 0.0, 0
    with av.open(str(path.absolute()), options=options) as container:
        if container.streams.audio:
            resampler = av.AudioResampler("fltp", "mono")
            for sound in container.decode(audio=0):
                if not waves and sound.time is not None:
                    start = sound.time
                rate = sound.sample_rate
                waves += [part.to_ndarray()[0] for part in resampler.resample(sound)]
    return Shown(
        times=[round(frame.time, 4) if frame.pts is not None else float("nan") for frame in frames],
        images=[frame.to_ndarray(format="rgb24") for frame in frames],
        wave=np.concatenate(waves) if waves else np.zeros(0, np.float32),
        sound_start=start,
        sound_rate=rate,
        codecs=codecs,
        frames=frames,
    )


def loudness(wave: npt.NDArray[np.float32], rate: int, hz: float) -> float:
    """Amplitude of a sine in a wave."""
    if wave.size == 0:
        return 0.0
    at = np.arange(wave.size) / rate
    return float(2 * abs((wave * np.exp(-2j * np.pi * hz * at)).mean()))


def even(times: Sequence[float], step: float = 1 / RATE, within: float = 0.0021) -> bool:
    """Whether times follow each other by `step`; containers round them to a millisecond."""
    return bool(np.abs(np.diff(times) - step).max() <= within)
