"""Recorded video in and out of RGB: frames upright with exact times, colours as the file tags them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import av
import cv2
import numpy as np
from av.error import EOFError as EndOfFile
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.reformatter import Interpolation, VideoReformatter

from correspondence import Image
from stream.media.probe import MATRIX_709, MATRIX_RGB, VideoInfo, open_input, video_stream

logger = logging.getLogger(__name__)

CHROMA = int(Interpolation.BICUBIC | Interpolation.ACCURATE_RND)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded frame.

    Attributes:
        index: counted from 0 in the order shown.
        image: upright, uint8 (H, W, 3) RGB.
        pts: time stamp in units of the stream's time base, strictly increasing.
        duration: in the same unit; 0 where unknown.
        time_s: `pts` in seconds.
    """

    index: int
    image: Image
    pts: int
    duration: int
    time_s: float


class VideoReader:
    """One pass over a video file from its start; a context manager.

    Damaged packets are skipped and counted, never raised: what decodes is kept.

    Attributes:
        damaged: packets that could not be decoded, so far.
        concealed: frames whose damage the decoder covered up as well as it could, so far.
        retimed: frames whose time stamp was missing or not increasing and was made up, so far.
    """

    def __init__(self, info: VideoInfo) -> None:
        self.info = info
        self.damaged = 0
        self.concealed = 0
        self.retimed = 0
        self.container = open_input(info.path)
        self._stream = video_stream(self.container, info.path)
        self._stream.thread_type = "AUTO"
        self._to_rgb = ToRgb(info)

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def frames(self) -> Iterator[Frame]:
        """Its frames in the order shown."""
        for item in self.items(()):
            if isinstance(item, Frame):
                yield item

    def items(self, others: tuple[Stream, ...]) -> Iterator[Frame | Packet[Stream]]:
        """Its frames, and the packets of the streams `others` untouched, in the file's order."""
        step = max(1, round(1 / (self.info.rate * self.info.time_base)))
        index, last = 0, None
        for packet in self._packets(others):
            if packet.stream_index != self._stream.index:
                if packet.dts is not None:
                    yield packet
                continue
            for decoded in self._decode(packet):
                self.concealed += decoded.is_corrupt
                pts = decoded.pts
                if pts is None or (last is not None and pts <= last):
                    self.retimed += 1
                    pts = 0 if last is None else last + step
                time_s = float(pts * self.info.time_base)
                yield Frame(index, self._to_rgb(decoded), pts, decoded.duration or 0, time_s)
                index, last = index + 1, pts

    def _packets(self, others: tuple[Stream, ...]) -> Iterator[Packet[Stream]]:
        packets = self.container.demux(self._stream, *others)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except EndOfFile:
                return
            except FFmpegError as exc:
                logger.debug("%s: reading stopped: %s", self.info.path, exc)
                self.damaged += 1
                return
            yield packet

    def _decode(self, packet: Packet[Stream]) -> list[av.VideoFrame]:
        try:
            return self._stream.decode(packet)
        except EndOfFile:
            return []
        except FFmpegError as exc:
            logger.debug("%s: packet skipped: %s", self.info.path, exc)
            self.damaged += 1
            return []


class ToRgb:
    """Decoded frames of one file to upright RGB, by the matrix and range the file tags."""

    def __init__(self, info: VideoInfo) -> None:
        self._info = info
        self._inverse = info.colour.coefficients(info.stored_size)[1]
        self._scaler = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> Image:
        """uint8 (H, W, 3) in the size and orientation of `info`."""
        height, width = self._info.stored_size
        matrix, code_range = _scaler_colour(self._info)
        rgb = frame.format.is_rgb
        plain = self._scaler.reformat(
            frame,
            width,
            height,
            format="rgb24" if rgb else "yuv444p",
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=code_range,
            dst_color_range=code_range,
            interpolation=CHROMA,
        )
        samples = plain.to_ndarray().astype(np.uint8, copy=False)
        image = samples if rgb else cv2.transform(cv2.merge(list(samples)), self._inverse)
        return self._info.orientation.upright(image)


class FromRgb:
    """Upright RGB to frames for an encoder; undoes `ToRgb` up to the subsampling of chroma.

    Args:
        info: of the input, whose colours are kept.
        pixel_format: a planar 8-bit Y'CbCr format.
        turn: whether to turn pictures back to how the input stores them.
    """

    def __init__(self, info: VideoInfo, pixel_format: str, turn: bool = True) -> None:
        self._info = info
        self._format = pixel_format
        self._turn = turn
        self._forward = info.colour.coefficients(info.stored_size)[0]
        self._scaler = VideoReformatter()

    def __call__(self, image: Image) -> av.VideoFrame:
        """A frame of `image`, uint8 (H, W, 3); without times."""
        stored = self._info.orientation.stored(image) if self._turn else image
        planes = np.stack(cv2.split(cv2.transform(stored, self._forward)))
        matrix, code_range = _scaler_colour(self._info)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv444p")
        return self._scaler.reformat(
            frame,
            format=self._format,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=code_range,
            dst_color_range=code_range,
            interpolation=CHROMA,
        )


def _scaler_colour(info: VideoInfo) -> tuple[int, int]:
    """Matrix and range to tell the scaler on both sides, so that it changes neither."""
    matrix = MATRIX_709 if info.colour.matrix == MATRIX_RGB else info.colour.matrix
    return matrix, info.colour.range or 1
