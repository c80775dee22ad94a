"""Reads packets of Open Sound Control 1.0. They come from anybody who reaches the port."""

from __future__ import annotations

import struct
from dataclasses import dataclass

MOST_BYTES = 1024  # of a packet; Livery's own messages have under a hundred
MOST_TEXT = 80  # bytes of a text
BUNDLE = b"#bundle\0"
NUMBERS = {"i": ">i", "h": ">q", "f": ">f", "d": ">d"}  # tag of an argument, and how it is coded
CONSTANTS = {"T": True, "F": False}

Argument = int | float | bool | str


class PacketError(ValueError):
    """A packet cannot be read."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its address, taken literally, and its arguments."""

    address: str
    arguments: tuple[Argument, ...]


def read_packet(data: bytes) -> list[Message]:
    """Return the messages of a packet, also of bundles in bundles, in order.

    The time of a bundle is ignored: what arrives is meant for now.

    Args:
        data: one UDP datagram.

    Raises:
        PacketError: the packet is too long, malformed, or has arguments that no message here takes.
    """
    if len(data) > MOST_BYTES:
        raise PacketError(f"it has {len(data)} bytes; at most {MOST_BYTES} are read")
    waiting, messages = [data], list[Message]()
    while waiting:
        part = waiting.pop()
        if part.startswith(BUNDLE):
            waiting.extend(reversed(_elements(part)))
        else:
            messages.append(_message(part))
    return messages


def _elements(bundle: bytes) -> list[bytes]:
    """Return the elements of a bundle: after its name and its time, each with its size before it."""
    found, at = list[bytes](), len(BUNDLE) + 8
    while at < len(bundle):
        size = int.from_bytes(bundle[at : at + 4], "big")
        at += 4
        if not 0 < size <= len(bundle) - at:
            raise PacketError("an element of a bundle has a wrong size")
        found.append(bundle[at : at + size])
        at += size
    return found


def _message(data: bytes) -> Message:
    if not data.startswith(b"/"):
        raise PacketError("it is neither a message nor a bundle")
    address, at = _text(data, 0)
    tags, at = _text(data, at) if at < len(data) else (",", at)
    if not tags.startswith(","):
        raise PacketError("its arguments have no types")
    arguments = list[Argument]()
    for tag in tags[1:]:
        if tag in CONSTANTS:
            arguments.append(CONSTANTS[tag])
        elif tag == "s":
            text, at = _text(data, at)
            arguments.append(text)
        elif tag in NUMBERS:
            form = NUMBERS[tag]
            try:
                arguments.extend(struct.unpack_from(form, data, at))
            except struct.error as exc:
                raise PacketError("an argument is cut short") from exc
            at += struct.calcsize(form)
        else:
            raise PacketError(f"arguments of type {tag!r} are not read")
    return Message(address, tuple(arguments))


def _text(data: bytes, at: int) -> tuple[str, int]:
    """Return the text at a place, which ends with zeros up to a multiple of four bytes, and where it ends."""
    end = data.find(b"\0", at)
    if not 0 <= end - at <= MOST_TEXT:
        raise PacketError(f"a text has no end, or more than {MOST_TEXT} bytes")
    try:
        return data[at:end].decode("ascii"), at + (end - at) // 4 * 4 + 4
    except UnicodeDecodeError as exc:
        raise PacketError("a text is not ASCII") from exc
