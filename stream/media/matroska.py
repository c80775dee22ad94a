"""Sets the display size of a Matroska or WebM file, which PyAV cannot pass to FFmpeg's muxer.

Elements have an id, a size and a body (RFC 8794, section 6). Tracks are described in RFC 9559, section 5.1.4.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

ROOM = "?" * 32  # name of the video track while the file is written; `set_display_size` uses its space
HEAD = 1 << 20  # bytes from the start that hold the tracks

SEGMENT, TRACKS, TRACK, TRACK_TYPE = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae", b"\x83"
NAME, VIDEO, CRC, VOID = b"\x53\x6e", b"\xe0", b"\xbf", b"\xec"
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
    with path.open("r+b") as file:
        data = bytearray(file.read(HEAD))
        try:
            tracks = _child(data, _child(data, (b"", 0, 0, len(data)), SEGMENT), TRACKS)
            track = next(
                found for found in _children(data, tracks)
                if found[0] == TRACK and int.from_bytes(_body(data, _child(data, found, TRACK_TYPE))) == 1
                and _body(data, _child(data, found, NAME)) == ROOM.encode()
            )  # fmt: skip
        except (StopIteration, IndexError) as exc:
            raise ValueError(f"{path}: has no video track with room for its display size") from exc
        _, _, start, end = track
        described = _described(data, track, size)
        data[start:end] = described + _element(VOID, bytes(end - start - len(described) - 9))
        for kind, _, body, stop in _children(data, tracks):
            if kind == CRC:
                data[body:stop] = zlib.crc32(data[stop : tracks[3]]).to_bytes(4, "little")
        file.seek(0)
        file.write(data)


def _described(data: bytearray, track: Element, size: tuple[int, int]) -> bytes:
    """Return the track's elements with the display size in place of the name."""
    kept = b""
    for child in _children(data, track):
        kind, start, _, end = child
        if kind == VIDEO:
            inside = b"".join(
                bytes(data[s:e])
                for k, s, _, e in _children(data, child)
                if k not in (DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT)
            )
            for k, side in ((DISPLAY_WIDTH, size[1]), (DISPLAY_HEIGHT, size[0])):
                inside += k + b"\x84" + side.to_bytes(4)
            kept += _element(VIDEO, inside)
        elif kind != NAME:
            kept += bytes(data[start:end])
    return kept


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
