"""Decodes a sound track and encodes it anew, if a container cannot hold it as it is."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import BlockingIOError as NotYet
from av.error import EOFError as EndOfFile
from av.filter import Graph
from av.packet import Packet
from av.stream import Disposition, Stream

from stream.media.untrusted import BROKEN

KEEPS_ALL = ("flac", "alac")
COMPANDED = ("pcm_mulaw", "pcm_alaw", "pcm_vidc")  # PCM by name, but no more than 14 bits by content
BITS_PER_S = {"aac": 96_000, "libopus": 80_000}  # per channel
AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)


class Converted:
    """A sound track that is decoded and encoded anew. Gaps become silence.

    Args:
        out: the output.
        stream: the input's stream.
        codec: FFmpeg's name of the encoder.
    """

    def __init__(self, out: OutputContainer, stream: AudioStream, codec: str) -> None:
        self.source = stream.index
        self._decoder = stream.codec_context
        rate, layout = _encodable(codec, stream)
        made: Any = out.add_stream(codec, rate=rate)
        self._stream = made
        self._stream.layout = layout
        if codec in BITS_PER_S:
            self._stream.bit_rate = BITS_PER_S[codec] * max(1, self._stream.codec_context.layout.nb_channels)
        self._format = _sample_format(codec, stream)
        self._stream.format = self._format
        described(self._stream, stream)
        self._graph: Graph | None = None
        self._end = -(1 << 40)  # end of the last packet, samples
        self._rate, self._layout = rate, layout

    def put(self, packet: Packet[Stream]) -> Sequence[Packet[Stream]]:
        """Convert a packet. Returns the packets to write. Damaged input packets are left out."""
        try:
            frames = self._decoder.decode(cast(Any, packet))
        except BROKEN:
            return []
        return self._encoded(frames)

    def end(self) -> Sequence[Packet[Stream]]:
        """Return the packets that decoder, filter and encoder held back."""
        try:
            frames = self._decoder.decode(None)
        except BROKEN:
            frames = []
        packets = list(self._encoded(frames))
        if self._graph is not None:
            self._graph.push(None)
            packets += self._pulled()
        return packets + self._timed(self._stream.encode(None))

    def closed(self, path: Path) -> None:
        """Do nothing, since the encoder described the track."""

    def _encoded(self, frames: list[av.AudioFrame]) -> Sequence[Packet[Stream]]:
        packets: list[Packet[Stream]] = []
        for frame in frames:
            if self._graph is None:
                self._graph = self._made(frame)
            self._graph.push(frame)
            packets += self._pulled()
        return packets

    def _made(self, frame: av.AudioFrame) -> Graph:
        graph = Graph()
        source = graph.add_abuffer(
            sample_rate=frame.sample_rate,
            format=frame.format,
            layout=frame.layout,
            time_base=frame.time_base or Fraction(1, frame.sample_rate),
        )
        nodes = [
            source,
            graph.add("aresample", "async=1000:min_hard_comp=0.05"),
            graph.add(
                "aformat",
                f"sample_fmts={self._format}:sample_rates={self._rate}:channel_layouts={self._layout}",
            ),
            graph.add("abuffersink"),
        ]
        for one, after in pairwise(nodes):
            one.link_to(after)
        graph.configure()
        return graph

    def _pulled(self) -> list[Packet[Stream]]:
        assert self._graph is not None
        packets: list[Packet[Stream]] = []
        while True:
            try:
                frame = self._graph.pull()
            except (NotYet, EndOfFile):
                return packets
            packets += self._timed(self._stream.encode(frame))

    def _timed(self, packets: Sequence[Packet[Stream]]) -> list[Packet[Stream]]:
        """Return the packets that hold sound. Those without a time, at the end, follow the packet before."""
        full = [packet for packet in packets if packet.size]
        for packet in full:
            if packet.pts is None or packet.pts < self._end:
                packet.pts = packet.dts = self._end
            self._end = packet.pts + (packet.duration or 0)
        return full


def _encodable(codec: str, stream: AudioStream) -> tuple[int, str]:
    """Choose the sample rate and channel layout that an encoder takes, nearest to the input's."""
    rate = stream.codec_context.sample_rate or 48000
    if codec == "libopus":
        rate = 48000
    elif codec == "aac" and rate not in AAC_RATES:
        rate = next((known for known in AAC_RATES if known > rate), 48000)
    channels = stream.codec_context.layout.nb_channels
    names = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
    return rate, names.get(channels, "stereo" if channels < 6 else "5.1")


def _sample_format(codec: str, stream: AudioStream) -> str:
    if codec in ("aac",):
        return "fltp"
    if codec == "libopus":
        return "flt"
    small = stream.codec_context.format.bytes <= 2 or stream.codec_context.name in COMPANDED
    return {"flac": ("s32", "s16"), "alac": ("s32p", "s16p")}[codec][small]


def described(made: Stream, stream: Stream) -> None:
    """Copy names and flags of an input's track to a track of the output."""
    made.metadata.update(stream.metadata)
    made.disposition = Disposition(stream.disposition)
