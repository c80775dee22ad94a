"""Reads a source's frames in a thread. A source that is lost is opened again when it is back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import av
import numpy as np
from av.container import InputContainer
from av.error import EOFError as EndOfFile
from av.error import FFmpegError, InvalidDataError
from av.video.stream import VideoStream

from correspondence.types import Image
from stream.camera.clocks import Pace, SleepWatch
from stream.camera.source import Source, Wish, open_source
from stream.colour.frames import to_rgb
from stream.live.pipeline import LiveFrame
from stream.media.untrusted import MediaError

logger = logging.getLogger(__name__)

PAUSE_S = 1.0  # interval between two attempts to open a lost source
JOIN_S = 8.0  # longer than a read may take
MAX_FPS = 60.0
DEFAULT_FPS = 30.0
Opener = Callable[[Source, Wish], InputContainer]


@dataclass(frozen=True, slots=True)
class Opened:
    """What an open source delivers: (H, W) of its pictures, pixels, and its frames a second."""

    size: tuple[int, int]
    fps: float


@dataclass(slots=True)
class _Episode:
    """One period in which a source is open."""

    frames: int = 0
    pace: Pace = field(default_factory=Pace)
    sleep: SleepWatch = field(default_factory=SleepWatch)


class Capture:
    """Reads a source until `close`.

    A recording is played at its own rate, again and again. If a source ends, fails or falls silent, or the
    machine was suspended, opening it is tried every `PAUSE_S` seconds. `say` is called once when it is lost
    and once when it is back.

    Args:
        source: what to read.
        wish: format that a camera is asked for.
        submit: called with each frame, on the thread.
        lost: called on the thread when the source is lost.
        say: called on the thread with a line for the user.
        opener: opens the source.
        watch: makes the object that notices a suspended machine.

    Raises:
        MediaError: the source cannot be opened.
    """

    def __init__(
        self,
        source: Source,
        wish: Wish,
        submit: Callable[[LiveFrame], None],
        lost: Callable[[], None],
        say: Callable[[str], None],
        opener: Opener = open_source,
        watch: Callable[[], SleepWatch] = SleepWatch,
    ) -> None:
        self.source = source
        self._wish = wish
        self._submit = submit
        self._lost = lost
        self._say = say
        self._opener = opener
        self._watch = watch
        self._stop = threading.Event()
        self._container: InputContainer | None = opener(source, wish)
        self.opened = _opened(self._container)
        self._size = self.opened.size
        self._missing = False
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self) -> None:
        """End the thread and wait for it."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)
        elif self._container is not None:
            self._container.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            episode = _Episode(sleep=self._watch())
            try:
                container = self._container or self._opener(self.source, self._wish)
                self._container = None
                with container:
                    self._read(container, episode)
                reason = "it ended" if episode.frames == 0 or self.source.kind != "file" else None
            except (FFmpegError, OSError, MediaError) as exc:
                reason = getattr(exc, "strerror", None) or str(exc).removeprefix(f"{self.source.name}: ")
            if reason is not None and not self._stop.is_set():
                self._note_loss(reason)
                self._stop.wait(PAUSE_S)

    def _note_loss(self, reason: str) -> None:
        if self._missing:
            logger.debug("%s is still missing: %s", self.source.name, reason)
            return
        self._missing = True
        self._lost()
        self._say(f"the {self.source.kind} {self.source.name} has gone ({reason}); waiting for it")

    def _read(self, container: InputContainer, episode: _Episode) -> None:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO" if self.source.kind == "file" else "SLICE"  # frame threads delay
        for packet in container.demux(stream):
            for frame in _decode(stream, packet):
                if self._stop.is_set():
                    return
                if self.source.kind != "file" and episode.sleep.slept():
                    self._say(f"the machine slept; opening the {self.source.kind} again")
                    return
                self._take(frame, stream, episode)

    def _take(self, frame: av.VideoFrame, stream: VideoStream, episode: _Episode) -> None:
        if self.source.kind == "file":
            step_s = 1 / _fps(stream)
            time_s = episode.frames * step_s if frame.time is None else frame.time
            wait_s = episode.pace.wait_s(time_s)
            if wait_s > 0:
                self._stop.wait(wait_s)
            episode.frames += 1
            if wait_s < -step_s:
                return  # late; the next frame keeps the pace
        else:
            episode.frames += 1
        image = _upright(frame)
        self._note_picture(image)
        self._submit(LiveFrame(image, time.monotonic()))

    def _note_picture(self, image: Image) -> None:
        size = (image.shape[0], image.shape[1])
        if self._missing:
            self._missing = False
            self._say(f"the {self.source.kind} {self.source.name} is back, {size[1]}x{size[0]}")
        elif size != self._size:
            self._say(f"the {self.source.kind}'s pictures are {size[1]}x{size[0]} now")
        self._size = size


def _decode(stream: VideoStream, packet: av.Packet[VideoStream]) -> list[av.VideoFrame]:
    """Return a packet's frames. A damaged packet has none."""
    try:
        return stream.decode(packet)
    except (InvalidDataError, EndOfFile) as exc:
        logger.debug("packet skipped: %s", exc)
        return []


def _upright(frame: av.VideoFrame) -> Image:
    """Convert a frame to RGB uint8 (H, W, 3), rotated as the recording says."""
    image = to_rgb(frame, None)
    quarters = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image


def _fps(stream: VideoStream) -> float:
    rate = float(stream.average_rate or stream.guessed_rate or DEFAULT_FPS)
    return min(rate, MAX_FPS) if rate >= 1 else DEFAULT_FPS


def _opened(container: InputContainer) -> Opened:
    stream = container.streams.video[0]
    size = (stream.codec_context.height, stream.codec_context.width)
    if not all(size):
        container.close()
        raise MediaError("the source does not say how large its pictures are; no picture arrived")
    return Opened(size, _fps(stream))
