"""Recorded video out: the input's timing, turn, colours and other streams, put in place when whole."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import av
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from correspondence import Image
from stream.media.matroska import ROOM, set_display_size
from stream.media.probe import MATRIX_709, MATRIX_RGB, MediaError, VideoInfo
from stream.media.video import Frame, FromRgb, VideoReader

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
CRF_DEFAULT = {"h264": 18, "vp9": 24}
CRF_RANGE = {"h264": (0, 51), "vp9": (0, 63)}
COPIED = ("audio", "subtitle")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEncoderConfig:
    """How the video is compressed; `__post_init__` checks the ranges.

    Attributes:
        codec: "h264", "vp9", "ffv1" (lossless up to the subsampling of chroma) or None: what suits the file.
        crf: constant quality, lower is better; None for the codec's default (h264 18, vp9 24) and for ffv1.
        preset: x264's effort.
    """

    codec: str | None = None
    crf: int | None = None
    preset: str = "fast"

    def __post_init__(self) -> None:
        if self.codec not in (None, "ffv1", *CRF_DEFAULT):
            raise ValueError(f"codec must be h264, vp9 or ffv1, got {self.codec!r}")
        if self.codec == "ffv1" and self.crf is not None:
            raise ValueError(
                f"crf has no meaning for ffv1, which loses nothing, got {self.crf}: leave it out"
            )
        low, high = CRF_RANGE.get(self.codec or "h264", (0, 63))
        if self.crf is not None and not low <= self.crf <= high:
            raise ValueError(f"crf must lie in [{low}, {high}], got {self.crf}")

    def resolve(self, path: Path) -> str:
        """The codec for the file `path`.

        Raises:
            MediaError: the container is unknown here, or cannot hold the codec.
        """
        container = CONTAINERS.get(path.suffix.lower())
        if container is None:
            raise MediaError(f"{path}: the name must end in one of {', '.join(CONTAINERS)}")
        codec = self.codec or ("vp9" if container == "webm" else "h264")
        if container == "webm" and codec != "vp9":
            raise MediaError(f"{path}: .webm holds vp9, not {codec}; write .mkv or .mp4")
        if codec == "ffv1" and container != "matroska":
            raise MediaError(f"{path}: ffv1 needs .mkv")
        return codec

    def options(self, codec: str) -> tuple[str, dict[str, str]]:
        """FFmpeg's encoder and its options."""
        crf = str(CRF_DEFAULT.get(codec, 0) if self.crf is None else self.crf)
        if codec == "h264":
            return "libx264", {"crf": crf, "preset": self.preset}
        if codec == "vp9":
            return "libvpx-vp9", {"crf": crf, "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"}
        return "ffv1", {"level": "3", "slicecrc": "1"}


def pixel_format(codec: str, info: VideoInfo, size: tuple[int, int]) -> str:
    """The planar 8-bit format to encode: the input's chroma resolution where the codec has it.

    Full chroma is used where H.264's 4:2:0 cannot hold an odd side: the picture keeps its size, uncropped
    and unpadded. VP9 and FFV1 hold odd sides in any format.
    """
    chroma = "422" if "422" in info.pixel_format else "444" if "444" in info.pixel_format else "420"
    odd = (size[0] % 2 and chroma == "420") or (size[1] % 2 and chroma != "444")
    return "yuv444p" if codec == "h264" and odd else f"yuv{chroma}p"


class VideoWriter:
    """Writes edited frames with the input's timing and copies its other streams; a context manager.

    The file grows under a temporary name beside its own and takes its place in `finish`; leaving the context
    without `finish` removes it.

    Args:
        path: the file to write.
        reader: the input, open.
        size: (H, W) of the upright pictures to come, pixels.
        encoder: how to compress them.
        turn: keep the input's rotation flag and store pictures turned as it does; else store them upright.

    Raises:
        MediaError: the container cannot hold the codec or the input's audio, or cannot be created.
    """

    def __init__(
        self,
        path: Path,
        reader: VideoReader,
        size: tuple[int, int],
        encoder: FileEncoderConfig,
        turn: bool = True,
    ) -> None:
        self.path = path
        self.notes: list[str] = []
        self._info = reader.info
        self._codec = encoder.resolve(path)
        self._temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
        self._durations: dict[int, int] = {}
        self._waiting: deque[Packet[Stream]] = deque()
        self._done = False
        self._display: tuple[int, int] | None = None  # (H, W) to write down in the end
        try:
            self._out = av.open(str(self._temporary), "w", format=CONTAINERS[path.suffix.lower()])
        except (FFmpegError, OSError) as exc:
            raise MediaError(f"{path}: cannot be written ({exc.strerror or exc})") from exc
        try:
            self._video = self._add_video(size, encoder, turn)
            self.copied = self._add_others(reader)
            self._out.metadata.update(reader.container.metadata)
            self._out.set_chapters(reader.container.chapters())
            self._out.start_encoding()
        except BaseException as exc:
            self._discard()
            if isinstance(exc, (FFmpegError, ValueError)) and not isinstance(exc, MediaError):
                raise MediaError(f"{path}: cannot be written as {path.suffix} ({exc})") from exc
            raise

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._done:
            self._discard()

    def write(self, frame: Frame, image: Image) -> None:
        """Encode `image`, uint8 (H, W, 3) upright, at the time of `frame`; other streams follow up to it."""
        encoded = self._from_rgb(image)
        encoded.pts = frame.pts
        encoded.time_base = self._info.time_base
        self._durations[frame.pts] = frame.duration
        self._mux(self._video.encode(encoded))
        self._copy_until(frame.time_s)

    def copy(self, packet: Packet[Stream]) -> None:
        """Take a packet of one of the streams `copied`; written once the video has come as far."""
        self._waiting.append(packet)

    def finish(self, complete: bool = True) -> None:
        """Close the file and put it in place.

        Args:
            complete: whether the input was read to its end; else what follows the last frame is left out.

        Raises:
            MediaError: the disk is full, or the container refuses what was written.
        """
        try:
            self._mux(self._video.encode(None))
            self._copy_until(float("inf") if complete else float("-inf"))
            self._out.close()
            if self._display is not None:
                set_display_size(self._temporary, self._display)
            self._temporary.replace(self.path)
        except (FFmpegError, OSError) as exc:
            self._discard()
            raise MediaError(f"{self.path}: cannot be written ({exc.strerror or exc})") from exc
        self._done = True

    def _add_video(self, size: tuple[int, int], encoder: FileEncoderConfig, turn: bool) -> VideoStream:
        info = self._info
        name, options = encoder.options(self._codec)
        stored = (size[1], size[0]) if turn and info.orientation.transpose else size
        video = self._out.add_stream(name, rate=info.rate, options=options)
        assert isinstance(video, VideoStream)
        context = video.codec_context
        context.height, context.width = stored
        context.pix_fmt = pixel_format(self._codec, info, stored)
        context.time_base = info.time_base
        context.thread_type = "AUTO"
        upright = not turn and info.orientation.transpose
        aspect = 1 / info.aspect if upright else info.aspect
        context.sample_aspect_ratio = aspect
        if aspect != 1 and CONTAINERS[self.path.suffix.lower()] in ("matroska", "webm"):
            self._display = stored[0], max(1, round(stored[1] * aspect))
            video.metadata["title"] = ROOM
        colour = info.colour
        context.colorspace = MATRIX_709 if colour.matrix == MATRIX_RGB else colour.matrix
        context.color_range, context.color_primaries = colour.range, colour.primaries
        context.color_trc = colour.transfer
        if turn and info.display_matrix is not None:
            video.set_display_matrix(info.display_matrix)
        self._from_rgb = FromRgb(info, context.pix_fmt, turn)
        return video

    def _add_others(self, reader: VideoReader) -> dict[int, Stream]:
        """Output streams by index of the input's stream they copy."""
        copied: dict[int, Stream] = {}
        for stream in reader.container.streams:
            name = stream.codec_context.name if stream.codec_context is not None else "unknown"
            if stream.type not in COPIED:
                if stream.type != "video":
                    self.notes.append(f"the {stream.type} stream {stream.index} is left out")
                continue
            try:
                copied[stream.index] = self._out.add_stream_from_template(stream)
            except (ValueError, FFmpegError) as exc:
                if stream.type == "audio":
                    raise MediaError(
                        f"{self.path}: {self.path.suffix} cannot hold the input's {name} audio; write .mkv"
                    ) from exc
                self.notes.append(f"the {name} subtitles are left out: {self.path.suffix} cannot hold them")
                continue
            copied[stream.index].metadata.update(stream.metadata)
            copied[stream.index].disposition = Disposition(stream.disposition)
        return copied

    def _copy_until(self, time_s: float) -> None:
        while self._waiting:
            packet = self._waiting[0]
            if packet.dts is not None and float(packet.dts * packet.time_base) > time_s:
                return
            self._waiting.popleft()
            packet.stream = self.copied[packet.stream_index]
            self._out.mux(packet)

    def _mux(self, packets: list[Packet[VideoStream]]) -> None:
        for packet in packets:
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts, 0)
            self._out.mux(packet)

    def _discard(self) -> None:
        self._done = True
        try:
            self._out.close()
        finally:
            self._temporary.unlink(missing_ok=True)
