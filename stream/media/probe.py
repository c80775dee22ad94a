"""Reads what a video file holds: sizes, orientation, colours and times. Checks that it can be decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import cast

import av
from av.codec import CodecContext
from av.container import InputContainer
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from stream.colour.samples import (
    MATRICES,
    PRIMARIES,
    RANGE_FULL,
    SDR,
    TRANSFERS,
    UNREAD,
    UNSPECIFIED,
    Colour,
)
from stream.colour.spaces import Space, space_of
from stream.media.opening import (
    PICTURES_RATE,
    Orientation,
    display_matrix,
    is_pattern,
    numbers,
    open_clip,
    profile_of,
)
from stream.media.survey import NOTHING, Survey, survey
from stream.media.untrusted import BROKEN, MAX_PIXELS
from stream.media.untrusted import MediaError as MediaError

LOOK = 24  # number of frames decoded to check whether their times are plausible
ALPHA_DECODERS = {"vp9": "libvpx-vp9", "vp8": "libvpx"}  # FFmpeg's own decoders ignore transparency
FIELD_ORDERS = {2: "top", 4: "top", 3: "bottom", 5: "bottom"}  # AVFieldOrder: which field comes first


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """Properties of a video file and its first frame.

    Attributes:
        path: the file, or the pattern of numbered pictures.
        stream: index of the stream that is edited.
        stored_size: (H, W) of the coded frames, pixels.
        size: (H, W) of the upright pictures, pixels.
        display_matrix: FFmpeg's nine numbers. None if the file has none.
        orientation: orientation that the matrix means.
        colour: the tagged colour. A full-range pixel format counts as a tag.
        pixel_format: FFmpeg's name of the pixel format.
        bits: bits per sample.
        rgb: whether the samples are R, G and B.
        alpha: whether the pixel format has transparency.
        fields: the field of interlaced pictures that comes first, "top" or "bottom". None for whole pictures.
        deinterlace: whether fields are converted to whole pictures when reading.
        aspect: ratio of width to height of one stored sample.
        time_base: unit of the time stamps, seconds.
        rate: average number of frames per second.
        frames: number of frames to show, by their packets.
        announced: number of frames that the header declares or that follows from its duration, without hidden
            ones. 0 if unknown.
        by_decoding: whether the presentation times are wrong and the decoding times are right (AVI with
            B-frames).
        profile: the ICC profile of pictures that are read as a clip, which are converted to sRGB. None for
            none.
        survey: what the packets say.
        notes: what a user should know about how the file is handled.
    """

    path: Path
    stored_size: tuple[int, int]
    size: tuple[int, int]
    display_matrix: tuple[int, ...] | None
    orientation: Orientation
    colour: Colour
    pixel_format: str
    aspect: Fraction
    time_base: Fraction
    rate: Fraction
    frames: int
    stream: int = 0
    bits: int = 8
    rgb: bool = False
    alpha: bool = False
    fields: str | None = None
    deinterlace: bool = False
    announced: int = 0
    by_decoding: bool = False
    profile: bytes | None = None
    survey: Survey = field(default=NOTHING)
    notes: tuple[str, ...] = ()

    @property
    def space(self) -> Space | None:
        """The colour space of the pictures read. None for sRGB, and if no wider primaries are tagged."""
        return space_of(self.colour)

    @property
    def written(self) -> Colour:
        """Colour of the output's samples: the input's, or BT.709 if the input is RGB or HDR.

        RGB in a space of its own keeps its primaries and curve.
        """
        if self.colour.hdr is not None:
            return SDR
        if not self.rgb:
            return self.colour
        if self.space is None:
            return SDR
        return replace(SDR, primaries=self.colour.primaries, transfer=self.colour.transfer)

    @property
    def deep(self) -> bool:
        """Whether the samples have more than 8 bits."""
        return self.bits > 8


def video_stream(container: InputContainer, found: Survey, path: Path) -> VideoStream:
    """Return the stream to edit.

    Raises:
        MediaError: there is no video stream, or no decoder for it.
    """
    if found.video is not None:
        return announced_stream(container, found.video, path)
    if any(not stream.disposition & Disposition.attached_pic for stream in container.streams.video):
        raise MediaError(f"{path}: Livery has no decoder for its video; convert it to H.264 first")
    kinds = ", ".join(sorted({stream.type for stream in container.streams}))
    only = f", only {kinds}" if kinds else ""
    raise MediaError(f"{path}: holds no video stream{only}; choose a file with a picture")


def announced_stream(container: InputContainer, index: int, path: Path) -> VideoStream:
    """Return a video stream by its index.

    Raises:
        MediaError: the file shows it only after its start.
    """
    stream = next((one for one in container.streams.video if one.index == index), None)
    if stream is None:
        raise MediaError(
            f"{path}: its picture (stream {index}) is not announced at its start; copy it into another file "
            "first, as with ffmpeg -i FILE -c copy NEW.mkv"
        )
    return stream


def video_decoder(stream: VideoStream) -> VideoCodecContext:
    """Return a decoder of a stream that includes transparency."""
    name = ALPHA_DECODERS.get(stream.codec_context.name)
    if name is None or stream.metadata.get("ALPHA_MODE", stream.metadata.get("alpha_mode")) != "1":
        return stream.codec_context
    decoder = CodecContext.create(name, "r")
    decoder.options = {"max_pixels": str(MAX_PIXELS)}
    return cast(VideoCodecContext, decoder)


def probe(path: Path, deinterlace: bool = False) -> VideoInfo:
    """Read the properties of a video file. This reads all its packets and decodes its first frames.

    Args:
        path: a media file, an animated WebP, or numbered pictures such as frames/%04d.png.
        deinterlace: whether to convert interlaced pictures to whole pictures when frames are read.

    Raises:
        MediaError: the file cannot be opened, holds no video, or none of its frames can be decoded.
    """
    with open_clip(path) as container:
        found = survey(container)
    with open_clip(path) as container:
        stream = video_stream(container, found, path)
        try:
            frames = _first_frames(container, stream)
            first = next(frames, None)
            if first is None:
                raise MediaError(
                    f"{path}: holds no frame that can be decoded; it is empty or damaged: copy it again"
                )
            times = [(first.pts, first.dts)]
            alpha = any(component.is_alpha for component in first.format.components)
            if alpha and stream.codec_context.name == "gif":  # decoded so whether it is transparent or not
                seen = chain([first], (frame for _, frame in zip(range(LOOK), frames, strict=False)))
                alpha = any(bool((frame.to_ndarray(format="rgba")[..., 3] < 255).any()) for frame in seen)
            if not found.reordered and stream.codec_context.has_b_frames:
                times += [(frame.pts, frame.dts) for _, frame in zip(range(LOOK), frames, strict=False)]
        except BROKEN as exc:
            raise MediaError(
                f"{path}: its video cannot be decoded ({exc}); convert it to H.264 first"
            ) from exc
        info = _describe(path, container, stream, first, found, times, deinterlace)
        return replace(info, alpha=alpha)


def _first_frames(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    decoder = video_decoder(stream)
    for packet in container.demux(stream):
        if packet.size == 0 and packet.dts is not None:
            continue
        try:
            frames = decoder.decode(packet if packet.size else None)
        except BROKEN:  # a later frame may decode; the reading pass counts and reports damage
            continue
        yield from frames


def _describe(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    first: av.VideoFrame,
    found: Survey,
    times: list[tuple[int | None, int | None]],
    deinterlace: bool,
) -> VideoInfo:
    matrix = display_matrix(path, first)
    orientation = Orientation.of(matrix)
    height, width = first.height, first.width
    order = FIELD_ORDERS.get(int(stream.codec_context.field_order))
    if order is None and first.interlaced_frame:
        order = "top"
    colour = _colour(first, path)
    rate = _rate(stream, found)
    profile = profile_of(path)
    return VideoInfo(
        path=path,
        stream=stream.index,
        stored_size=(height, width),
        size=(width, height) if orientation.transpose else (height, width),
        display_matrix=matrix,
        orientation=orientation,
        colour=colour,
        pixel_format=first.format.name,
        bits=max(component.bits for component in first.format.components),
        rgb=first.format.is_rgb or first.format.has_palette,
        fields=None if deinterlace else order,
        deinterlace=deinterlace,
        aspect=stream.sample_aspect_ratio or Fraction(1),
        time_base=stream.time_base or Fraction(1, 1000),
        rate=rate,
        frames=found.shown.get(stream.index, 0),
        announced=_announced(container, stream, found, rate),
        by_decoding=_faults([pts for pts, _ in times]) > _faults([dts for _, dts in times]),
        profile=None if profile is None else profile[0],
        survey=found,
        notes=tuple(_notes(path, container, stream, colour, found, profile)),
    )


def _rate(stream: VideoStream, found: Survey) -> Fraction:
    """Frames per second: as the file says, unless the times of its frames contradict that."""
    said = stream.average_rate or stream.guessed_rate
    if found.rate is not None and (said is None or not found.rate / 2 < said < found.rate * 2):
        return found.rate
    return said or Fraction(25)


def _faults(times: list[int | None]) -> int:
    """Count the times that are missing or do not increase."""
    faults, last = 0, None
    for time in times:
        if time is None or (last is not None and time <= last):
            faults += 1
        else:
            last = time
    return faults


def _announced(container: InputContainer, stream: VideoStream, found: Survey, rate: Fraction) -> int:
    if found.pieces > 1 or found.cut:  # the header's length is then not comparable
        return found.shown[stream.index]
    if stream.frames:
        return stream.frames - found.dropped
    if stream.duration is not None and stream.time_base is not None:
        return round(stream.duration * stream.time_base * rate)
    return round(container.duration * rate / av.time_base) if container.duration else 0


def _colour(frame: av.VideoFrame, path: Path) -> Colour:
    full = frame.format.name.startswith("yuvj")
    colour = Colour(
        matrix=_tag(int(frame.colorspace), MATRICES),
        range=RANGE_FULL if full else int(frame.color_range),
        primaries=_tag(int(frame.color_primaries), PRIMARIES),
        transfer=_tag(int(frame.color_trc), TRANSFERS),
    )
    if colour.matrix in UNREAD and not frame.format.is_rgb:
        raise MediaError(
            f"{path}: its colours are coded as {UNREAD[colour.matrix]}, which is not read; "
            "convert it to BT.709 first"
        )
    return colour


def _tag(code: int, known: frozenset[int]) -> int:
    """A colour tag; a reserved one says nothing."""
    return code if code in known else UNSPECIFIED


def _notes(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    colour: Colour,
    found: Survey,
    profile: tuple[bytes, str] | None,
) -> Iterator[str]:
    if is_pattern(path):
        rate = f"{PICTURES_RATE} frames a second; for another rate make a video of them first"
        yield f"{len(numbers(path))} numbered pictures are read as {rate}"
    others = [other for other in container.streams.video if other.index != stream.index]
    for other in others:
        if other.disposition & Disposition.attached_pic:
            yield f"the cover picture (stream {other.index}) is left out: it shows the clip unedited"
            continue
        context = other.codec_context
        what = "" if context is None else f", {context.name} {context.width}x{context.height},"
        yield (
            f"video stream {other.index}{what} is left out: stream {stream.index}, "
            f"{stream.codec_context.width}x{stream.codec_context.height}, is edited; "
            "to edit the other one, copy it into a file of its own first"
        )
    if found.cut:
        yield "what was trimmed away from the input, but is still in its file, is left out: picture and sound"
    if found.pieces > 1:
        yield (
            f"the input is {found.pieces} recordings joined: its clock starts over "
            f"{_times(found.pieces - 1)}. In the output they follow each other without a gap"
        )
    if colour.hdr is not None:
        yield f"the input is HDR ({colour.hdr}): it is toned down to ordinary video (BT.709)"
    if profile is not None:
        yield f"the input's colours are converted from {profile[1]} to sRGB"


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")
