"""Reads recorded video frame by frame, upright and on one clock, with the packets of its other streams."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import av
from av.error import EOFError as EndOfFile
from av.packet import Packet
from av.stream import Stream

from correspondence import Image
from stream.media.fields import Deinterlacer
from stream.media.opening import open_clip
from stream.media.pixels import Pixels, ToRgb
from stream.media.probe import VideoInfo, announced_stream, video_decoder
from stream.media.survey import Clock
from stream.media.untrusted import BROKEN

logger = logging.getLogger(__name__)

WAITING = 16  # most frames at the start that are held until one of them has a time


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded frame.

    Attributes:
        index: number of the frame, counted from 0 in the order shown.
        image: upright, uint8 (H, W, 3) RGB.
        pts: time stamp in units of the stream's time base, strictly increasing.
        duration: duration in the same unit. 0 if unknown.
        time_s: `pts` in seconds.
        pixels: the picture with all its bits and its transparency. None if `image` holds all of it.
    """

    index: int
    image: Image
    pts: int
    duration: int
    time_s: float
    pixels: Pixels | None = None


class VideoReader:
    """One pass over a video file from its start. It is a context manager.

    Damaged packets are skipped and counted without an error. Times that start over or are wrong are corrected
    (see `survey.Survey`).

    Attributes:
        damaged: number of packets so far that could not be decoded.
        concealed: number of frames so far whose damage the decoder concealed.
        retimed: number of frames so far whose time stamp was missing or not increasing and was replaced.
        resized: number of the first frame so far of another size than the clip's first, and its size (H, W),
            pixels, before it was resized to the first one's. None if all are of one size.
    """

    def __init__(self, info: VideoInfo) -> None:
        self.info = info
        self.damaged = 0
        self.concealed = 0
        self.retimed = 0
        self.resized: tuple[int, tuple[int, int]] | None = None
        self.container = open_clip(info.path)
        self._stream = stream = announced_stream(self.container, info.stream, info.path)
        self._decoder = video_decoder(stream)
        self._decoder.thread_type = "AUTO"
        self._fields = Deinterlacer(stream) if info.deinterlace else None
        self._clock = Clock(info.survey)
        self._to_rgb = ToRgb(info)
        self._step = max(1, round(1 / (info.rate * info.time_base)))

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in the order shown."""
        for item in self.items(()):
            if isinstance(item, Frame):
                yield item

    def items(self, others: tuple[Stream, ...]) -> Iterator[Frame | Packet[Stream]]:
        """Yield the frames, and the packets of the streams `others` with corrected times, in file order."""
        index, last = 0, None
        for item in self._shown(others):
            if isinstance(item, Packet):
                yield item
                continue
            self.concealed += item.is_corrupt
            pts = item.pts
            if pts is None or (last is not None and pts <= last):
                self.retimed += pts is not None or not self.info.by_decoding
                pts = 0 if last is None else last + self._step
            if self.resized is None and (item.height, item.width) != self.info.stored_size:
                self.resized = (index, (item.height, item.width))
            time_s = float(pts * self.info.time_base)
            pixels = self._to_rgb.pixels(item)
            more = pixels if pixels.deep is not None or pixels.alpha is not None else None
            yield Frame(index, pixels.image, pts, item.duration or 0, time_s, more)
            index, last = index + 1, pts

    def _shown(self, others: tuple[Stream, ...]) -> Iterator[av.VideoFrame | Packet[Stream]]:
        """Yield decoded frames and others' packets. Frames before the first with a time are timed from it."""
        waiting: list[av.VideoFrame] | None = []
        for packet in self._packets(others):
            if packet.size:
                self._clock.set(packet)
            if packet.stream.index != self._stream.index:  # stream_index is not set on the last ones
                if packet.size:
                    yield packet
                continue
            for frame in self._decode(packet):
                if waiting is None:
                    yield frame
                    continue
                waiting.append(frame)
                if frame.pts is not None or len(waiting) >= WAITING:
                    yield from self._back_from(waiting)
                    waiting = None
        yield from self._back_from(waiting or [])

    def _back_from(self, frames: list[av.VideoFrame]) -> list[av.VideoFrame]:
        """Return the frames, timed backwards from the last one if that has a time."""
        end = frames[-1].pts if frames else None
        if end is not None:
            for before, frame in enumerate(reversed(frames[:-1]), 1):
                frame.pts = end - before * self._step
                self.retimed += 1
        return frames

    def _packets(self, others: tuple[Stream, ...]) -> Iterator[Packet[Stream]]:
        packets = self.container.demux(self._stream, *others)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except EndOfFile:
                return
            except BROKEN as exc:
                logger.debug("%s: reading stopped: %s", self.info.path, exc)
                self.damaged += 1
                return
            yield packet

    def _decode(self, packet: Packet[Stream]) -> list[av.VideoFrame]:
        end = packet.size == 0 and packet.dts is None
        if packet.size == 0 and not end:  # stands for a frame that was dropped
            return []
        try:
            frames = self._decoder.decode(None if end else packet)
        except EndOfFile:
            frames = []
        except BROKEN as exc:
            logger.debug("%s: packet skipped: %s", self.info.path, exc)
            self.damaged += 1
            frames = []
        if self.info.by_decoding:
            for frame in frames:
                frame.pts = frame.dts
        if self._fields is None:
            return frames
        return [whole for frame in frames for whole in self._fields.put(frame)] + (
            self._fields.end() if end else []
        )
