"""Copies, converts or leaves out the sound and subtitles of a clip. This is decided beforehand.

To test whether a container can hold a track, the track's first packets are written into one in memory. The
muxers refuse some codecs by name, others in the header and others at the first packet.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from stream.media.matroska import acm_room, set_acm
from stream.media.opening import open_clip
from stream.media.probe import VideoInfo
from stream.media.sound_track import COMPANDED, KEEPS_ALL, Converted, described
from stream.media.untrusted import BROKEN

TRIED = 12  # packets of a track that are written to test whether a container can hold it
SEARCHED = 4000  # packets of the whole file that are read to find them
KEEPERS = {".mkv": "matroska", ".mp4": "mp4", ".mov": "mov"}  # containers that may hold more codecs
TRIMMING = ("mp4", "mov")  # containers that can mark samples as not to be heard
LOSSY = {"mp4": "aac", "mov": "aac", "matroska": "flac", "webm": "libopus"}  # codecs for lossy sound
LOSSLESS = {"mp4": "aac", "mov": "alac", "matroska": "flac", "webm": "libopus"}
NAMES = {"aac": "AAC", "alac": "ALAC", "flac": "FLAC", "libopus": "Opus"}
CARRIER = "pcm_u8"  # codec whose packets FFmpeg's Matroska muxer writes as they are
WHOLE_CODECS = ("flac", "alac", "tta", "wavpack", "truehd", "mlp", "ape", "tak", "wmalossless", "shorten")


class Track(Protocol):
    """A track of the output other than the picture."""

    source: int

    def put(self, packet: Packet[Stream]) -> Sequence[Packet[Stream]]:
        """Return the packets to write for a packet of the input."""

    def end(self) -> Sequence[Packet[Stream]]:
        """Return the packets to write at the end."""

    def closed(self, path: Path) -> None:
        """Complete the track's description in the closed file."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done with the tracks other than the picture.

    Attributes:
        copied: indexes of the streams that are copied.
        converted: indexes of the streams that are converted, each with FFmpeg's name of the encoder.
        notes: what a user should know.
        kept: a sentence about each copied track.
    """

    copied: tuple[int, ...] = ()
    converted: tuple[tuple[int, str], ...] = ()
    notes: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def plan_tracks(info: VideoInfo, container: str, suffix: str) -> Plan:
    """Decide what is done with each track.

    Args:
        info: the input.
        container: FFmpeg's name of the output's container.
        suffix: suffix of the output as the user named it, such as .mp4.

    Raises:
        MediaError: the input cannot be read.
    """
    copied: list[int] = []
    converted: list[tuple[int, str]] = []
    notes: list[str] = []
    kept: list[str] = []
    left: dict[str, list[int]] = defaultdict(list)
    with open_clip(info.path) as source:
        heads = _heads(source)
        for stream in source.streams:
            if stream.type == "video":
                continue
            context = stream.codec_context
            if stream.type not in ("audio", "subtitle"):
                left[stream.type].append(stream.index)
            elif not heads[stream.index]:
                notes.append(f"{_named(stream)} is left out: it is empty")
            elif context is not None and _holds(container, stream, heads[stream.index]):
                copied.append(stream.index)
                kept.append(f"{_named(stream)} is kept as it is")
            elif stream.type == "audio" and context is not None and (to := _target(container, stream, heads)):
                converted.append((stream.index, to))
                notes.append(_conversion(stream, to, suffix, heads[stream.index]))
            else:
                notes.append(_left_out(stream, suffix, heads[stream.index]))
    for kind, indexes in left.items():
        several = (
            f"{len(indexes)} {kind} streams are" if len(indexes) > 1 else f"{kind} stream {indexes[0]} is"
        )
        notes.append(f"{several} left out: neither picture nor sound")
    return Plan(tuple(copied), tuple(converted), tuple(notes), tuple(kept))


def _heads(source: av.container.InputContainer) -> dict[int, list[Packet[Stream]]]:
    """Read the first packets of each track that an edit list does not hide."""
    heads: dict[int, list[Packet[Stream]]] = defaultdict(list)
    wanted = {stream.index for stream in source.streams if stream.type in ("audio", "subtitle")}
    try:
        for number, packet in enumerate(source.demux()):
            if packet.size and packet.stream_index in wanted and not packet.is_discard:
                heads[packet.stream_index].append(packet)
                if len(heads[packet.stream_index]) >= TRIED:
                    wanted.remove(packet.stream_index)
            if not wanted or (number > SEARCHED and all(heads[index] for index in wanted)):
                break
    except BROKEN:  # from here on
        pass
    return heads


def _named(stream: Stream) -> str:
    name = "" if stream.codec_context is None else f" ({stream.codec_context.name})"
    kind = {"audio": "sound", "subtitle": "subtitle"}.get(stream.type, stream.type)
    return f"{kind} track {stream.index}{name}"


def _left_out(stream: Stream, suffix: str, head: list[Packet[Stream]]) -> str:
    if stream.codec_context is None:
        return (
            f"{_named(stream)} is left out: its codec is not read here; convert that track first to keep it"
        )
    keep = [name for name, other in KEEPERS.items() if name != suffix and _holds(other, stream, head)]
    way = f"write {' or '.join(keep)}" if keep else "convert that track first"
    return f"{_named(stream)} is left out: {suffix} cannot hold it; {way} to keep it"


def _conversion(stream: Stream, to: str, suffix: str, head: list[Packet[Stream]]) -> str:
    loss = ", which loses nothing" if to in KEEPS_ALL else ""
    keep = [name for name, other in KEEPERS.items() if name != suffix and _holds(other, stream, head)]
    way = f"; write {' or '.join(keep)} to keep it as it is" if keep else ""
    return f"{_named(stream)} is converted to {NAMES[to]}{loss}: {suffix} cannot hold it{way}"


def _holds(container: str, stream: Stream, head: list[Packet[Stream]]) -> bool:
    """Whether a container takes a track's packets unchanged and players read them there."""
    if container == "mp4" and stream.codec_context.name.startswith("pcm_"):
        return False  # ISO/IEC 23003-5 allows it, but few players support it
    try:
        with av.open(io.BytesIO(), "w", format=container) as out:
            copy, _ = _place(out, stream, container)
            out.start_encoding()
            for packet in head:
                if packet.dts is not None:
                    out.mux(_retargeted(packet, copy))
    except (*BROKEN, ValueError):
        return False
    return True


def _place(out: OutputContainer, stream: Stream, container: str) -> tuple[Stream, bytes | None]:
    """Add a track for copied packets.

    Returns:
        The track. The WAVEFORMATEX that describes it in Matroska if the container has no name of its own for
        the codec, else None. PyAV refuses such tracks, so the packets travel as another codec's and
        `matroska.set_acm` describes them at the end.

    Raises:
        ValueError: the container cannot hold the codec.
    """
    try:
        return out.add_stream_from_template(stream), None
    except ValueError:
        description = _wave_format(stream) if container == "matroska" else None
        if description is None:
            raise
    context = cast(AudioStream, stream).codec_context
    carrier = out.add_stream(CARRIER, rate=context.sample_rate)
    assert isinstance(carrier, AudioStream)
    carrier.layout = context.layout
    return carrier, description


def _wave_format(stream: Stream) -> bytes | None:
    """The WAVEFORMATEX of a sound track. None if WAV has no number for its codec."""
    file = io.BytesIO()
    try:
        with av.open(file, "w", format="wav") as out:
            out.add_stream_from_template(stream)
            out.start_encoding()
    except (*BROKEN, ValueError):
        return None
    data = file.getvalue()
    at = data.find(b"fmt ")
    size = int.from_bytes(data[at + 4 : at + 8], "little")
    return data[at + 8 : at + 8 + size] if at > 0 else None


def _retargeted(packet: Packet[Stream], stream: Stream) -> Packet[Stream]:
    """Copy a packet for another stream. The original stays unchanged."""
    copy: Packet[Stream] = Packet(bytes(packet))
    copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
    copy.duration = packet.duration
    copy.is_keyframe = packet.is_keyframe
    copy.stream = stream
    return copy


def _target(container: str, stream: Stream, heads: dict[int, list[Packet[Stream]]]) -> str | None:
    """Choose the codec to convert a sound track to. None if it cannot be decoded or encoded."""
    name = stream.codec_context.name
    whole = (name.startswith("pcm_") and name not in COMPANDED) or name in WHOLE_CODECS
    to = (LOSSLESS if whole else LOSSY)[container]
    try:
        with av.open(io.BytesIO(), "w", format=container) as out:
            track = Converted(out, cast(AudioStream, stream), to)
            packets = [made for packet in heads[stream.index] for made in track.put(packet)]
            packets += track.end()
            for packet in packets:
                out.mux(packet)
    except (*BROKEN, ValueError):
        return None
    finally:
        stream.codec_context.flush_buffers()
    return to if packets else None


class Copied:
    """A track whose packets are copied.

    Packets that an edit list hides are left out. In .mp4 and .mov the packets that only prime a decoder stay.

    Args:
        out: the output.
        stream: the input's stream.
        info: the input.
        container: FFmpeg's name of the output's container.
    """

    def __init__(self, out: OutputContainer, stream: Stream, info: VideoInfo, container: str) -> None:
        self.source = stream.index
        self._stream, self._acm = _place(out, stream, container)
        described(self._stream, stream)
        self._title = stream.metadata.get("title", "")
        self._room = "" if self._acm is None else acm_room(stream.index, self._acm, self._title)
        if self._room:
            self._stream.metadata["title"] = self._room
        hides = container not in TRIMMING or info.survey.trimmed(stream.index)
        self._hides = bool(info.survey.hidden.get(stream.index)) and hides
        self._starts_late = self._hides and container not in TRIMMING
        self._last: int | None = None
        self._strict = stream.type == "audio"

    def put(self, packet: Packet[Stream]) -> Sequence[Packet[Stream]]:
        """Return the packet if it is not hidden and comes after the packet before."""
        if packet.dts is None or (self._hides and packet.is_discard):
            return []
        if self._starts_late and packet.dts < 0:  # its end would be heard, but its start must not
            return []
        if self._last is not None and packet.dts <= self._last and self._strict:
            return []  # where recordings were joined, or the clock is wrong
        self._last = packet.dts
        packet.stream = self._stream
        return [packet]

    def end(self) -> Sequence[Packet[Stream]]:
        """Return nothing, since no packets are held back."""
        return []

    def closed(self, path: Path) -> None:
        """Complete the track's description in the closed file."""
        if self._acm is not None:
            set_acm(path, self._room, self._acm, self._title)


def add_tracks(
    plan: Plan, out: OutputContainer, source: av.container.InputContainer, info: VideoInfo, container: str
) -> dict[int, Track]:
    """Add the planned tracks to the output. Returns them by index of the input's stream."""
    codecs = dict(plan.converted)
    tracks: dict[int, Track] = {}
    for stream in source.streams:
        if stream.index in plan.copied:
            tracks[stream.index] = Copied(out, stream, info, container)
        elif stream.index in codecs:
            tracks[stream.index] = Converted(out, cast(AudioStream, stream), codecs[stream.index])
    return tracks
