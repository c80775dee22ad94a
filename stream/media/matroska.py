"""Rewrites track descriptions of a Matroska or WebM file that PyAV cannot pass to FFmpeg's muxer.

Elements have an id, a size and a body (RFC 8794, section 6). Tracks are described in RFC 9559, section 5.1.4.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

ROOM = "?" * 32  # name of the video track while the file is written; `set_display_size` uses its space
ACM_ROOM = 48  # bytes of a sound track's name while the file is written, besides what it is to hold
HEAD = 1 << 20  # bytes from the start that hold the tracks

SEGMENT, TRACKS, TRACK = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae"
NAME, VIDEO, CRC, VOID = b"\x53\x6e", b"\xe0", b"\xbf", b"\xec"
CODEC_ID, CODEC_PRIVATE, AUDIO, BIT_DEPTH = b"\x86", b"\x63\xa2", b"\xe1", b"\x62\x64"
DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT = b"\x54\xb0", b"\x54\xba", b"\x54\xb2"

Element = tuple[bytes, int, int, int]  # id, start, start of the body, end; in bytes


def set_display_size(path: Path, size: tuple[int, int]) -> None:
    """Write the display size of the video into a finished file. Nothing else moves.

    Args:
        path: an .mkv or .webm file whose video track is named `ROOM`. The name is removed.
        size: display size (H, W), pixels.

    Raises:
        ValueError: there is no such track.
        OSError: the file cannot be changed.
    """

    def described(data: bytearray, track: Element) -> bytes:
        kept = b""
        for child in _children(data, track):
            if child[0] == VIDEO:
                inside = _without(data, child, DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT)
                for kind, side in ((DISPLAY_WIDTH, size[1]), (DISPLAY_HEIGHT, size[0])):
                    inside += kind + b"\x84" + side.to_bytes(4)
                kept += _element(VIDEO, inside)
            elif child[0] != NAME:
                kept += bytes(data[child[1] : child[3]])
        return kept

    _rewrite(path, ROOM, described)


def acm_room(index: int, description: bytes, title: str) -> str:
    """The name of sound track `index` while the file is written, so that `set_acm` has the space it needs."""
    return f"?{index}".ljust(ACM_ROOM + len(description) + len(title.encode()), "?")


def set_acm(path: Path, room: str, description: bytes, title: str) -> None:
    """Describe a sound track by a WAVEFORMATEX in a finished file, as codec A_MS/ACM (RFC 9559, section 27).

    FFmpeg's muxer writes such tracks, but PyAV does not ask it to.

    Args:
        path: an .mkv file.
        room: name of the sound track, made by `acm_room`. It is replaced.
        description: the WAVEFORMATEX, little-endian.
        title: the track's name from now on. Empty for none.

    Raises:
        ValueError: there is no such track.
        OSError: the file cannot be changed.
    """

    def described(data: bytearray, track: Element) -> bytes:
        kept = _element(CODEC_ID, b"A_MS/ACM") + _element(CODEC_PRIVATE, description)
        if title:
            kept += _element(NAME, title.encode())
        for child in _children(data, track):
            if child[0] == AUDIO:
                kept += _element(AUDIO, _without(data, child, BIT_DEPTH))
            elif child[0] not in (NAME, CODEC_ID, CODEC_PRIVATE):
                kept += bytes(data[child[1] : child[3]])
        return kept

    _rewrite(path, room, described)


def _rewrite(path: Path, name: str, described: Callable[[bytearray, Element], bytes]) -> None:
    """Replace the description of the track that has a name. What remains of its space becomes void."""
    with path.open("r+b") as file:
        data = bytearray(file.read(HEAD))
        try:
            tracks = _child(data, _child(data, (b"", 0, 0, len(data)), SEGMENT), TRACKS)
            track = next(
                found for found in _children(data, tracks)
                if found[0] == TRACK
                and any(c[0] == NAME and _body(data, c) == name.encode() for c in _children(data, found))
            )  # fmt: skip
        except (StopIteration, IndexError) as exc:
            raise ValueError(f"{path}: has no track with room for its description") from exc
        _, _, start, end = track
        new = described(data, track)
        data[start:end] = new + _element(VOID, bytes(end - start - len(new) - 9))
        for kind, _, body, stop in _children(data, tracks):
            if kind == CRC:
                data[body:stop] = zlib.crc32(data[stop : tracks[3]]).to_bytes(4, "little")
        file.seek(0)
        file.write(data)


def _without(data: bytearray, parent: Element, *kinds: bytes) -> bytes:
    """Return the body of an element without its children of some kinds."""
    return b"".join(bytes(data[s:e]) for kind, s, _, e in _children(data, parent) if kind not in kinds)


def _element(kind: bytes, body: bytes) -> bytes:
    return kind + (1 << 56 | len(body)).to_bytes(8) + body


def _body(data: bytearray, element: Element) -> bytes:
    return bytes(data[element[2] : element[3]])


def _child(data: bytearray, parent: Element, kind: bytes) -> Element:
    return next(found for found in _children(data, parent) if found[0] == kind)


def _children(data: bytearray, parent: Element) -> Iterator[Element]:
    at = parent[2]
    while at < parent[3]:
        size_at = at + 9 - data[at].bit_length()
        body = size_at + 9 - data[size_at].bit_length()
        length = int.from_bytes(data[size_at:body]) & ((1 << 7 * (body - size_at)) - 1)
        yield bytes(data[at:size_at]), at, body, body + length
        at = body + length
