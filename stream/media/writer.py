"""Writes recorded video with the input's timing, rotation, colours and other streams."""

from __future__ import annotations

import os
import zlib
from collections import deque
from fractions import Fraction
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.error import ArgumentError, FFmpegError, InvalidDataError
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from correspondence import Image
from stream.media.encoders import (
    CONTAINERS,
    FileEncoderConfig,
    encoding_notes,
    keeps_alpha,
    keeps_fields,
    pixel_format,
)
from stream.media.fields import FieldMark
from stream.media.matroska import ROOM, set_display_size
from stream.media.pixels import FromRgb
from stream.media.probe import VideoInfo
from stream.media.tracks import Plan, Track, add_tracks, plan_tracks
from stream.media.untrusted import MediaError
from stream.media.video import Frame, VideoReader
from stream.processes import replace_file, unwritten

if TYPE_CHECKING:
    from av.container.core import Chapter

INTERLACED_DCT, INTERLACED_ME = 1 << 18, 1 << 29  # AV_CODEC_FLAG_*
FEW = 16  # frames
FIELD_ORDER = {"top": 2, "bottom": 3}  # AVFieldOrder


class WriteError(MediaError):
    """The output cannot be written any further, since the disk is full or the container refuses something."""


def temporary_name(path: Path) -> Path:
    """Make a name beside `path` for the unfinished file. It is short, since names have limits."""
    return path.with_name(f".{zlib.crc32(os.fsencode(path.name)):08x}.{os.getpid()}.part{path.suffix}")


class VideoWriter:
    """Writes edited frames with the input's timing and its other streams. It is a context manager.

    The file is written under a temporary name and gets its own name in `finish`. Leaving the context without
    `finish` removes it.

    Attributes:
        others: the input's streams whose packets `copy` takes.
        notes: what a user should know about the output.
        lost: messages about tracks that had to be given up.

    Args:
        path: the file to write.
        reader: the open input.
        size: (H, W) of the upright pictures, pixels.
        encoder: how to compress the pictures.
        turn: whether to keep the input's rotation flag and store pictures turned as the input does. False
            stores them upright.
        chapters: the output's chapters as PyAV describes them. None for those of the input.
        alone: whether to leave out sound and subtitles.

    Raises:
        MediaError: the container cannot hold the codec, or the file cannot be created.
    """

    def __init__(
        self,
        path: Path,
        reader: VideoReader,
        size: tuple[int, int],
        encoder: FileEncoderConfig,
        turn: bool = True,
        chapters: list[Chapter] | None = None,
        alone: bool = False,
    ) -> None:
        self.path = path
        self._info = reader.info
        self._codec = encoder.resolve(path, reader.info)
        self._container = CONTAINERS[path.suffix.lower()]
        plan = Plan() if alone else plan_tracks(reader.info, self._container, path.suffix.lower())
        self._temporary = temporary_name(path)
        self._durations: dict[int, int] = {}
        self._waiting: deque[Packet[Stream]] = deque()
        self.lost: list[str] = []
        self._done = False
        self._display: tuple[int, int] | None = None  # (H, W), written at the end
        try:
            self._out = av.open(str(self._temporary.absolute()), "w", format=self._container)
        except (FFmpegError, OSError) as exc:
            raise MediaError(unwritten(path, exc)) from exc
        try:
            self._video = self._add_video(size, encoder, turn)
            self._tracks = add_tracks(plan, self._out, reader.container, reader.info, self._container)
            self._begun = tuple(self._tracks.values())  # some may be given up
            self._out.metadata.update(reader.container.metadata)
            self._out.set_chapters(reader.container.chapters() if chapters is None else chapters)
            self._out.start_encoding()
        except BaseException as exc:
            self._discard()
            if isinstance(exc, (FFmpegError, ValueError)) and not isinstance(exc, MediaError):
                raise MediaError(
                    f"{path}: cannot be written as {path.suffix} ({exc}); try {_other(path.suffix)}"
                ) from exc
            raise
        self.others = tuple(reader.container.streams[index] for index in self._tracks)
        self.notes = [*encoding_notes(self._codec, reader.info, self._stored), *plan.notes]

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._done:
            self._discard()

    def write(self, frame: Frame, image: Image) -> None:
        """Encode `image`, uint8 (H, W, 3) upright, at the time of `frame`. Other streams follow up to it.

        Raises:
            WriteError: the output cannot be written further. `finish` can still keep what was written.
        """
        like = frame.pixels if image.shape == frame.image.shape else None
        encoded = self._from_rgb(image, like)
        encoded.pts = frame.pts
        encoded.time_base = self._info.time_base
        if self._mark is not None:
            encoded = self._mark(encoded)
        self._durations[frame.pts] = frame.duration
        try:
            self._mux(self._video.encode(encoded))
            self._copy_until(frame.time_s)
        except (FFmpegError, OSError) as exc:
            raise WriteError(unwritten(self.path, exc)) from exc

    def copy(self, packet: Packet[Stream]) -> None:
        """Take a packet of one of the streams `others`. It is written when the video has reached its time."""
        self._waiting.append(packet)

    def finish(self, complete: bool = True) -> None:
        """Close the file and give it its name.

        Args:
            complete: whether the input was read to its end. If not, what follows the last frame is left out.

        Raises:
            WriteError: the disk is full, or the container refuses what was written.
        """
        try:
            self._mux(self._video.encode(None))
            if complete:
                self._copy_until(float("inf"))
            for track in self._tracks.values():
                self._out.mux(list(track.end()))
            self._out.close()
            if self._display is not None:
                set_display_size(self._temporary, self._display)
            for track in self._begun:
                track.closed(self._temporary)
            replace_file(self._temporary, self.path)
        except (FFmpegError, OSError) as exc:
            self._discard()
            raise WriteError(unwritten(self.path, exc)) from exc
        self._done = True

    def _add_video(self, size: tuple[int, int], encoder: FileEncoderConfig, turn: bool) -> VideoStream:
        info = self._info
        name, options = encoder.options(self._codec)
        self._stored = (size[1], size[0]) if turn and info.orientation.transpose else size
        if keeps_alpha(self._codec, info) and self._codec == "vp9":
            options["auto-alt-ref"] = "0"  # libvpx writes no transparency with hidden frames
        if self._codec == "hevc" and info.frames < FEW:
            options["x265-params"] += ":bframes=0"  # x265 makes their decoding times up in so short a clip
        if info.fields == "bottom" and self._codec == "h264" and keeps_fields("h264", info, self._stored):
            options["x264-params"] = "bff=1"  # x264 starts with the top field unless told at once
        video = self._out.add_stream(name, rate=info.rate, options=options)
        assert isinstance(video, VideoStream)
        context = video.codec_context
        context.height, context.width = self._stored
        context.pix_fmt = pixel_format(self._codec, info, self._stored)
        context.time_base = info.time_base
        context.thread_type = "AUTO"
        if self._codec == "hevc" and self._container != "matroska":
            context.codec_tag = "hvc1"  # the tag that Apple's players take
        self._shape(video, info, turn)
        self._tag(context, info)
        if turn and info.display_matrix is not None:
            video.set_display_matrix(info.display_matrix)
        if self._codec == "vp9" and "a" in context.pix_fmt:
            video.metadata["alpha_mode"] = "1"
        self._from_rgb = FromRgb(info, context.pix_fmt, turn)
        return video

    def _shape(self, video: VideoStream, info: VideoInfo, turn: bool) -> None:
        """Set the aspect ratio of a sample."""
        upright = not turn and info.orientation.transpose
        aspect = 1 / info.aspect if upright else info.aspect
        video.codec_context.sample_aspect_ratio = aspect
        if aspect != 1 and self._container in ("matroska", "webm"):
            self._display = self._stored[0], max(1, round(self._stored[1] * aspect))
            video.metadata["title"] = ROOM

    def _tag(self, context: VideoCodecContext, info: VideoInfo) -> None:
        """Set the colour tags and the field order."""
        colour = info.written
        rgb = not context.pix_fmt.startswith("yuv") if context.pix_fmt else False
        context.colorspace = 0 if rgb else colour.matrix
        context.color_range = 2 if rgb else colour.range
        context.color_primaries, context.color_trc = colour.primaries, colour.transfer
        self._mark: FieldMark | None = None
        if info.fields is not None and keeps_fields(self._codec, info, self._stored):
            context.field_order = FIELD_ORDER[info.fields]
            context.flags |= INTERLACED_DCT | (INTERLACED_ME if self._codec == "h264" else 0)
            self._mark = FieldMark(info.fields, Fraction(info.time_base))

    def _copy_until(self, time_s: float) -> None:
        while self._waiting:
            packet = self._waiting[0]
            if packet.dts is not None and float(packet.dts * packet.time_base) > time_s:
                return
            self._waiting.popleft()
            if packet.stream_index in self._tracks:
                self._carry(self._tracks[packet.stream_index], packet, time_s)

    def _carry(self, track: Track, packet: Packet[Stream], time_s: float) -> None:
        """Write a packet of another stream. If the container refuses it, only its track ends."""
        try:
            self._out.mux(list(track.put(packet)))
        except (InvalidDataError, ArgumentError) as exc:
            del self._tracks[track.source]
            when = f"at {time_s:.2f} s" if isfinite(time_s) else "at the end"
            self.lost.append(
                f"track {track.source} of the input ends early, {when}: {self.path.suffix} refuses the rest "
                f"({exc.strerror}); {_other(self.path.suffix)} may hold it"
            )

    def _mux(self, packets: list[Packet[VideoStream]]) -> None:
        for packet in packets:
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts, 0)
            self._out.mux(packet)

    def _discard(self) -> None:
        self._done = True
        try:
            self._out.close()
        except (FFmpegError, OSError):  # the error was reported already
            pass
        finally:
            self._temporary.unlink(missing_ok=True)


def _other(suffix: str) -> str:
    """Another ending that holds most tracks."""
    return ".mov" if suffix.lower() == ".mkv" else ".mkv"
