"""Small clips of the demo source for the tests of file mode, and what a file holds read back plainly."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from correspondence import Float, Image, Landmarks, detect_landmarks
from stream.media.demo import DemoSource
from stream.media.pictures import encode_png
from stream.media.probe import probe
from stream.media.video import VideoReader
from stream.offline.config import FileConfig

SIZE = (240, 320)
RATE = 25
TICK = Fraction(1, 12800)
SPACING = 512  # ticks between frames at RATE


@dataclass(frozen=True, kw_only=True)
class Clip:
    """What a test clip is like."""

    frames: int = 12
    size: tuple[int, int] = SIZE
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    muxing: dict[str, str] = field(default_factory=dict)
    pts: tuple[int, ...] = ()
    b_frames: int = 2
    rotation: tuple[int, bool] | None = None  # degrees counter-clockwise, mirrored
    colour: tuple[int, int] | None = None  # matrix (also primaries and transfer), range
    aspect: Fraction = Fraction(1)  # width to height of a sample
    audio: str | None = None
    blank: bool = False  # no face
    images: tuple[Image, ...] = ()  # instead of the demo source's


def make_clip(path: Path, clip: Clip) -> Path:
    source = DemoSource(clip.size, fps=RATE)
    with av.open(str(path), "w", options=clip.muxing) as out:
        video: Any = out.add_stream(clip.codec, rate=RATE, options=clip.options)
        context = video.codec_context
        context.height, context.width = clip.size
        context.pix_fmt, context.time_base = clip.pixel_format, TICK
        context.sample_aspect_ratio = clip.aspect
        if clip.codec == "libx264":
            context.max_b_frames = clip.b_frames
        if clip.colour is not None:
            context.colorspace = context.color_primaries = context.color_trc = clip.colour[0]
            context.color_range = clip.colour[1]
        if clip.rotation is not None:
            video.set_display_rotation(clip.rotation[0], hflip=clip.rotation[1])
        sound: Any = None if clip.audio is None else out.add_stream(clip.audio, rate=48000)
        if sound is not None:
            sound.codec_context.layout = "mono"
            _play_tone(out, sound, clip.frames / RATE)
        for index in range(clip.frames):
            frame = _coded(_picture(source, clip, index), clip)
            frame.pts = clip.pts[index] if clip.pts else index * SPACING
            frame.time_base = TICK
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


def _picture(source: DemoSource, clip: Clip, index: int) -> Image:
    if clip.images:
        return clip.images[index]
    return np.full((*clip.size, 3), 90, np.uint8) if clip.blank else source.frame(index)


def _coded(image: Image, clip: Clip) -> av.VideoFrame:
    matrix, code_range = clip.colour or (5, 1)
    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    coded = frame.reformat(
        format=clip.pixel_format, dst_colorspace=matrix, src_color_range=2, dst_color_range=code_range
    )
    coded.pict_type = 0
    return coded


def _play_tone(out: av.container.OutputContainer, sound: Any, length_s: float) -> None:
    step = 1024 if sound.codec_context.name == "aac" else 960
    for start in range(0, int(length_s * 48000), step):
        wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(start, start + step) / 48000)
        planar = sound.codec_context.name == "aac"
        samples = wave.astype(np.float32)[None] if planar else (wave * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="fltp" if planar else "s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        out.mux(sound.encode(frame))
    out.mux(sound.encode(None))


@dataclass(frozen=True)
class Held:
    """What a file holds."""

    times: list[Fraction]  # of the frames, seconds
    images: list[Image]  # as stored, RGB
    rotation: int
    colour: tuple[int, int, int, int]
    pixel_format: str
    size: tuple[int, int]
    sound: list[tuple[Fraction, bytes]]  # time and content of each packet
    length_s: float


def read_back(path: Path) -> Held:
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        frames: list[Any] = list(container.decode(stream))
        length_s = float(stream.duration * stream.time_base) if stream.duration else 0.0
    with av.open(str(path)) as container:
        audio = container.streams.audio
        packets: list[Any] = list(container.demux(audio[0])) if audio else []
    first = frames[0]
    return Held(
        times=[frame.pts * frame.time_base for frame in frames],
        images=[frame.to_ndarray(format="rgb24") for frame in frames],
        rotation=first.rotation,
        colour=(first.colorspace, first.color_range, first.color_primaries, first.color_trc),
        pixel_format=first.format.name,
        size=(first.height, first.width),
        sound=[(packet.pts * packet.time_base, bytes(packet)) for packet in packets if packet.size],
        length_s=length_s,
    )


BLUE = (30, 60, 230)
CHEEK = (117, 118, 101, 36, 205, 187, 123)  # a patch below the eye on the left of the picture
NEAR = 12 / 512  # how far from the painted region pixels may change, share of the shorter side
CLASSICAL = FileConfig(reference=0, matcher="classical")

Mask = npt.NDArray[np.uint8]


def patch(landmarks: Landmarks) -> Mask:
    """1 inside the painted patch of the cheek."""
    mask = np.zeros(landmarks.image_size, np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(landmarks.points[CHEEK, :2]).astype(np.int32)), 1)
    return mask


def paint(image: Image) -> Image:
    landmarks = detect_landmarks(image)
    assert landmarks is not None
    painted = image.copy()
    painted[patch(landmarks) > 0] = BLUE
    return painted


def grown(mask: Mask, share: float = NEAR) -> Mask:
    radius = int(np.ceil(share * min(mask.shape)))
    near: Mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2))
    return near


def follow(mask: Mask, field: Float) -> Mask:
    """A mask of the reference where a field places it in the frame."""
    h, w = field.shape[:2]
    x, y = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    placed: Mask = cv2.remap(mask, x + field[..., 0], y + field[..., 1], cv2.INTER_NEAREST)
    return placed


def blue(image: Image) -> int:
    """Pixels near the paint's colour."""
    return int((np.abs(image.astype(int) - BLUE).max(axis=2) < 60).sum())


def painted_frame(clip: Path, index: int, path: Path) -> Path:
    with VideoReader(probe(clip)) as reader:
        image = next(frame.image for frame in reader.frames() if frame.index == index)
    path.write_bytes(encode_png(paint(image)))
    return path


def check_same_timing(source: Path, output: Path) -> tuple[Held, Held]:
    before, after = read_back(source), read_back(output)
    assert after.times == before.times
    assert after.rotation == before.rotation
    assert after.size == before.size
    if before.length_s:  # not every container says
        assert after.length_s == pytest.approx(before.length_s, abs=0.041)
    return before, after


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if ".part" in path.name]


def cut(source: Path, share: float) -> bytes:
    data = source.read_bytes()
    return data[: int(len(data) * share)]
