"""Interlaced video: converts fields to whole pictures, and marks frames as fields for an encoder."""

from __future__ import annotations

from fractions import Fraction

import av
from av.error import BlockingIOError as NotYet
from av.error import EOFError as EndOfFile
from av.filter import Graph
from av.video.stream import VideoStream


class _Filtered:
    """Passes frames through one FFmpeg filter. The graph is rebuilt when the frames' shape changes."""

    def __init__(self, name: str, options: str, time_base: Fraction) -> None:
        self._name, self._options = name, options
        self._time_base = time_base
        self._graph: Graph | None = None
        self._shape: tuple[int, int, str] | None = None

    def put(self, frame: av.VideoFrame) -> list[av.VideoFrame]:
        """Put a frame in. Returns the frames that are ready."""
        shape = frame.width, frame.height, frame.format.name
        before = []
        if shape != self._shape:
            before = self.end()
            self._graph, self._shape = self._made(frame), shape
        assert self._graph is not None
        frame.time_base = self._time_base
        self._graph.push(frame)
        return before + self._pulled()

    def end(self) -> list[av.VideoFrame]:
        """Return the frames that the filter held back."""
        if self._graph is None:
            return []
        self._graph.push(None)
        rest = self._pulled()
        self._graph = self._shape = None
        return rest

    def _made(self, frame: av.VideoFrame) -> Graph:
        graph = Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=self._time_base
        )
        made = graph.add(self._name, self._options)
        sink = graph.add("buffersink")
        source.link_to(made)
        made.link_to(sink)
        graph.configure()
        return graph

    def _pulled(self) -> list[av.VideoFrame]:
        assert self._graph is not None
        found: list[av.VideoFrame] = []
        while True:
            try:
                frame = self._graph.pull()
            except (NotYet, EndOfFile):
                return found
            assert isinstance(frame, av.VideoFrame)
            if frame.pts is not None and frame.time_base is not None:
                frame.pts = round(frame.pts * frame.time_base / self._time_base)
                frame.time_base = self._time_base
            frame.dts = frame.pts
            found.append(frame)


class Deinterlacer(_Filtered):
    """Converts interlaced pictures to the same number of whole pictures (BWDIF, a motion-adaptive filter)."""

    def __init__(self, stream: VideoStream) -> None:
        flagged = int(stream.codec_context.field_order) > 1
        which = "interlaced" if flagged else "all"
        super().__init__("bwdif", f"mode=send_frame:deint={which}", stream.time_base or Fraction(1, 1000))


class FieldMark(_Filtered):
    """Marks frames as two fields.

    Args:
        first: the field that comes first, "top" or "bottom".
        time_base: time base of the frames.
    """

    def __init__(self, first: str, time_base: Fraction) -> None:
        super().__init__("setfield", "tff" if first == "top" else "bff", time_base)

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Mark a frame."""
        return self.put(frame)[0]
