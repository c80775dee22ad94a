"""Transport-wide congestion control feedback: which packets of a connection arrived, and when.

The sender numbers its packets in a header extension. The receiver reports arrival times about every 0.1 s.
The format is that of draft-holmer-rmcat-transport-wide-cc-extensions-01, which browsers use: RTCP transport
feedback (packet type 205) of format 15. It is kept free of aiortc here.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from struct import error, pack, unpack, unpack_from

URI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
PACKET_TYPE, FORMAT = 205, 15
DELTA_S, REFERENCE_S = 0.00025, 0.064
WRAP_S = REFERENCE_S * (1 << 24)  # the reference time begins anew after this time, 12 days
FEEDBACK_S = 0.1  # time between two reports
MAX_HELD = 512  # arrivals that one report holds at most
SENT_KEPT = 8192  # sent packets whose fate is awaited
LATE_S = 0.3  # a packet is lost if one that was sent so much later has arrived and it has not
PAUSE_S = 0.5  # a sender that paused for so long is not waiting for reports
GAP_S = 8.0  # a longer time between two arrivals begins a new report: its delta has 16 bits


class FeedbackError(ValueError):
    """A report that cannot be read."""


def unpack_feedback(data: bytes) -> list[tuple[int, float]]:
    """Read a report.

    Args:
        data: the RTCP packet without its 12 bytes of header and sources.

    Returns:
        (16-bit transport sequence number, arrival time) of each packet that arrived. The time is in seconds
        on the receiver's clock, modulo `WRAP_S`. The work is bounded by the length of `data`.

    Raises:
        FeedbackError: the report is malformed.
    """
    try:
        base, count, reference = unpack_from("!HHI", data)
        found, at = _received(data, count)
        arrived_s, out = (reference >> 8) * REFERENCE_S, []
        for offset, is_large in found:
            if is_large:
                (delta,) = unpack_from("!h", data, at)
            else:
                (delta,) = unpack_from("!B", data, at)
            at += 2 if is_large else 1
            arrived_s += delta * DELTA_S
            out.append(((base + offset) & 0xFFFF, arrived_s))
    except error as exc:
        raise FeedbackError(f"a transport feedback ends too early: {len(data)} bytes") from exc
    return out


def _received(data: bytes, count: int) -> tuple[list[tuple[int, bool]], int]:
    """Offsets of the packets that arrived and whether their delta is large; where the deltas begin."""
    found: list[tuple[int, bool]] = []
    at, offset = 8, 0
    while offset < count:
        (chunk,) = unpack_from("!H", data, at)
        at += 2
        if not chunk & 0x8000:
            symbol, length = chunk >> 13 & 3, min(chunk & 0x1FFF, count - offset)
            if symbol == 3 or not length:
                raise FeedbackError(f"a transport feedback holds the chunk {chunk:#06x}")
            if symbol:
                if len(found) + length > len(data):  # each of them needs a byte of delta
                    raise FeedbackError("a transport feedback reports more packets than it has deltas for")
                found += [(offset + step, symbol == 2) for step in range(length)]
            offset += length
            continue
        wide = bool(chunk & 0x4000)
        for step in range(7 if wide else 14):
            symbol = chunk >> (12 - 2 * step) & 3 if wide else chunk >> (13 - step) & 1
            if symbol == 3:
                raise FeedbackError("a transport feedback holds a reserved symbol")
            if symbol and offset + step < count:
                found.append((offset + step, symbol == 2))
        offset += 7 if wide else 14
    return found, at


def pack_feedback(arrivals: list[tuple[int, float]], number: int, ssrc: int, media_ssrc: int) -> bytes:
    """Write a report as a whole RTCP packet.

    Args:
        arrivals: (unwrapped transport sequence number, arrival time, seconds, not negative), by ascending
            number. At least one. Two arrivals that follow each other differ by less than `GAP_S`.
        number: counts the reports, modulo 256.
        ssrc, media_ssrc: the receiver's own source and the one it reports on.
    """
    base, last = arrivals[0][0], arrivals[-1][0]
    reference = int(arrivals[0][1] // REFERENCE_S)
    previous = round(reference * REFERENCE_S / DELTA_S)
    symbols, deltas = [0] * (last - base + 1), b""
    for sequence, arrived_s in arrivals:
        ticks = round(arrived_s / DELTA_S)
        delta, previous = ticks - previous, ticks
        small = 0 <= delta <= 255
        symbols[sequence - base] = 1 if small else 2
        deltas += pack("!B", delta) if small else pack("!h", max(min(delta, 32767), -32768))
    chunks = b"".join(
        pack("!H", _chunk(symbols[at : at + 7])) for at in range(0, len(symbols), 7)
    )  # two bits a packet
    head = pack("!HHI", base & 0xFFFF, len(symbols), (reference & 0xFFFFFF) << 8 | number & 0xFF)
    body = pack("!II", ssrc, media_ssrc) + head + chunks + deltas
    missing = -len(body) % 4
    body += b"\x00" * (missing - 1) + bytes([missing]) if missing else b""
    return pack("!BBH", 0x80 | (0x20 if missing else 0) | FORMAT, PACKET_TYPE, len(body) // 4) + body


def _chunk(symbols: list[int]) -> int:
    chunk = 0xC000
    for step, symbol in enumerate(symbols):
        chunk |= symbol << (12 - 2 * step)
    return chunk


def split_feedback(data: bytes) -> tuple[list[bytes], bytes]:
    """Separate reports from the other packets of a compound RTCP packet.

    Returns:
        What follows the sources in each report, without padding; the other packets, unchanged.
    """
    reports, rest, at = [], b"", 0
    while len(data) - at >= 4:
        first, kind, words = unpack("!BBH", data[at : at + 4])
        end = at + 4 + 4 * words
        if kind == PACKET_TYPE and first & 0x1F == FORMAT and first >> 6 == 2 and end <= len(data):
            padding = data[end - 1] if first & 0x20 and words else 0
            reports.append(data[at + 12 : end - padding])
        else:
            rest += data[at:end]
        at = end
    return reports, rest + data[at:]


def unwrapped(low: int, near: int, bits: int = 16) -> int:
    """The number nearest to `near` whose lowest `bits` bits are `low`."""
    size = 1 << bits
    return near + (low - near + size // 2) % size - size // 2


class ArrivalLog:
    """Collects the arrivals of one connection and writes its reports."""

    def __init__(self) -> None:
        self._held: dict[int, float] = {}  # not reported yet
        self._newest: int | None = None
        self._number = 0
        self._reported_s = float("-inf")

    def add(self, low: int, now_s: float) -> None:
        """Note a packet.

        Args:
            low: its 16-bit transport sequence number.
            now_s: when it arrived, seconds, not negative.
        """
        sequence = (low | 0x10000) if self._newest is None else unwrapped(low, self._newest)
        self._newest = max(sequence, self._newest or sequence)
        if len(self._held) < MAX_HELD:
            self._held[sequence] = now_s

    def reports(self, now_s: float, ssrc: int, media_ssrc: int) -> list[bytes]:
        """Return the reports that are due, as RTCP packets. None are until `FEEDBACK_S` after the last."""
        if not self._held or now_s - self._reported_s < FEEDBACK_S:
            return []
        self._reported_s = now_s
        parts: list[list[tuple[int, float]]] = []
        for sequence, arrived_s in sorted(self._held.items()):
            last = parts[-1][-1] if parts else None
            if last is None or sequence - last[0] > MAX_HELD or abs(arrived_s - last[1]) >= GAP_S:
                parts.append([])
            parts[-1].append((sequence, arrived_s))
        self._held.clear()
        packed = []
        for part in parts:
            packed.append(pack_feedback(part, self._number, ssrc, media_ssrc))
            self._number += 1
        return packed


@dataclass(slots=True)
class _Sent:
    sequence: int
    sent_s: float
    size: int
    arrived_s: float | None = None


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a sent packet. `arrived_s` is None if it was lost; its clock is the receiver's."""

    sent_s: float
    arrived_s: float | None
    size: int


class SentLog:
    """Numbers the packets of one connection and learns from reports what became of them."""

    def __init__(self) -> None:
        self._next = 0
        self._waiting: deque[_Sent] = deque(maxlen=SENT_KEPT)
        self._sent: dict[int, _Sent] = {}
        self._time_s: float | None = None  # unwrapped receiver's time of the last report
        self._reported = -1  # highest sequence number reported so far
        self._last_s = self._unanswered_from_s = 0.0  # last packet; first one since the last report
        self._is_answered = True
        self._reported_sent_s = float("-inf")  # when the newest of the packets reported so far was sent

    @property
    def unanswered_s(self) -> float:
        """For how long packets have been sent without a report on any, seconds."""
        return self._last_s - self._unanswered_from_s

    def number(self, now_s: float) -> int:
        """Return the 16-bit transport sequence number of the next packet."""
        if self._is_answered or now_s - self._last_s > PAUSE_S:
            self._unanswered_from_s, self._is_answered = now_s, False
        self._last_s = now_s
        if len(self._waiting) == SENT_KEPT:
            self._sent.pop(self._waiting[0].sequence, None)
        sent = _Sent(self._next, now_s, 0)
        self._waiting.append(sent)
        self._sent[sent.sequence] = sent
        self._next += 1
        return sent.sequence & 0xFFFF

    def sized(self, size: int) -> None:
        """Note the size of the packet that was numbered last, bytes."""
        if self._waiting and not self._waiting[-1].size:
            self._waiting[-1].size = size

    def take(self, report: bytes) -> list[Fate]:
        """Read a report (see `unpack_feedback`). Returns the packets whose fate is known now.

        Raises:
            FeedbackError: the report is malformed.
        """
        fates = []
        self._is_answered = True
        self._unanswered_from_s = self._last_s
        for low, time_s in unpack_feedback(report):
            self._time_s = time_s if self._time_s is None else _nearest(time_s, self._time_s)
            sequence = unwrapped(low, max(self._reported, 0))
            sent = self._sent.pop(sequence, None)
            if sent is None:
                continue  # never sent, or known already
            self._reported = max(self._reported, sequence)
            self._reported_sent_s = max(self._reported_sent_s, sent.sent_s)
            sent.arrived_s = self._time_s
            fates.append(Fate(sent.sent_s, sent.arrived_s, sent.size))
        while self._waiting and self._is_decided(self._waiting[0]):
            sent = self._waiting.popleft()
            if self._sent.pop(sent.sequence, None) is not None:
                fates.append(Fate(sent.sent_s, None, sent.size))
        return fates

    def _is_decided(self, sent: _Sent) -> bool:
        """Whether a packet arrived, or one that was sent `LATE_S` later did."""
        return sent.arrived_s is not None or self._reported_sent_s - sent.sent_s > LATE_S


def _nearest(time_s: float, near_s: float) -> float:
    """The time nearest to `near_s` that is `time_s` modulo `WRAP_S`."""
    return near_s + (time_s - near_s + WRAP_S / 2) % WRAP_S - WRAP_S / 2
