"""Assembles RTP packets into frames, releases a frame when it is whole and asks again for missing packets.

aiortc's buffer releases a frame when the first packet of the *next* frame arrives, at most one frame per
packet, and sends each NACK once. Here the marker bit releases a frame with its own last packet (RFC 3550,
section 5.1; RFC 6184, section 5.1). All frames that a late packet completes leave together. NACKs are
repeated. A hole that stays is skipped at the next whole key frame, so that no broken picture is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtpPacket
from aiortc.utils import uint16_add, uint16_gt, uint32_add

HISTORY = 2048  # packets kept to reorder and to answer NACKs: 0.8 MB and 8 s at 2.5 Mb/s
RESET_GAP = 3000  # a larger jump of the sequence number is a new start (RFC 3550, A.1: MAX_DROPOUT)
PLI_AFTER_S = 0.3  # age of a hole at which a key frame is requested
PLI_MOST_S = 1.2  # time between two requests: `PLI_AFTER_S`, doubled each time up to this
AUDIO_WAIT = 3  # number of later packets that end the wait for a missing one; 60 ms of Opus
MAX_TRIES = 10  # most NACKs for one packet
RETRY_RTT = 1.25  # time from the first NACK for one packet to the second, in round trips
BACK_OFF = 1.5  # each further one comes this many times later: on a full path repeats only lengthen the queue
OVERTAKEN_S = 0.06  # most time that a packet is given which others may have overtaken
OVERTAKEN_UP_S, OVERTAKEN_DOWN_S = 0.005, 0.0005  # change of that time after a needless NACK, a needed one

H264_START = b"\x00\x00\x01"
VP8_START = b"\x9d\x01\x2a"


class FrameBatch(JitterFrame):
    """An encoded frame, together with later frames that the same packet completed.

    Attributes:
        data, timestamp: the first frame. aiortc maps its timestamp after release.
        later: (data, RTP ticks after the first frame) of the other frames, in order.
    """

    def __init__(self, frames: list[tuple[bytes, int]]) -> None:
        super().__init__(*frames[0])
        self.later = [(data, uint32_add(ticks, -frames[0][1])) for data, ticks in frames[1:]]

    def frames(self) -> list[JitterFrame]:
        """Return all frames, with mapped timestamps."""
        rest = [JitterFrame(data, self.timestamp + ticks) for data, ticks in self.later]
        return [JitterFrame(self.data, self.timestamp), *rest]


def is_keyframe(data: bytes) -> bool:
    """Whether an encoded frame is a key frame: H.264 (Annex B) with an IDR slice, or a VP8 key frame."""
    if data[3:6] == VP8_START:
        return not data[0] & 1
    at = data.find(H264_START, 0, 5)
    while 0 <= at < len(data) - 3:
        kind = data[at + 3] & 0x1F
        if kind == 5:
            return True
        if kind == 1:
            return False
        at = data.find(H264_START, at + 3)
    return False


def opens_keyframe(data: bytes) -> bool:
    """Whether a key frame visibly begins with this packet: by H.264 parameter sets or VP8's header."""
    if data[3:6] == VP8_START:
        return not data[0] & 1
    at = data.find(H264_START, 0, 5)
    return 0 <= at < len(data) - 3 and data[at + 3] & 0x1F in (7, 9)


def jitter_buffer(capacity: int, prefetch: int = 0, is_video: bool = False) -> VideoBuffer | AudioBuffer:
    """Make a buffer in place of aiortc's JitterBuffer. `capacity` and `prefetch` are ignored."""
    return VideoBuffer() if is_video else AudioBuffer()


class VideoBuffer:
    """Puts packets in order and releases whole frames.

    Args:
        clock: returns the time in seconds. It measures the age of holes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.skipped = 0  # number of frames given up, whole or not
        self._clock = clock
        self._packets: dict[int, RtpPacket] = {}
        self._next = 0  # sequence number of the first packet not yet released
        self._reach = 0  # one past the last packet of the unbroken sequence that begins there
        self._begun = False
        self._hole_since_s: float | None = None
        self._asked_at_s, self._ask_gap_s = float("-inf"), PLI_AFTER_S
        self._keyframe_only = False  # whether the following frames refer to a frame that was given up
        self._trust_marker = True
        self._last_end: tuple[int, int] | None = None  # (next sequence number, timestamp) of a marked frame

    def add(self, packet: RtpPacket) -> tuple[bool, FrameBatch | None]:
        """Take a depayloaded packet (`packet._data`).

        Returns:
            Whether a key frame should be requested, and the frames that this packet completes.
        """
        sequence = packet.sequence_number
        if not self._begun:
            self._begun, self._next, self._reach = True, sequence, sequence
        ahead = uint16_add(sequence, -self._next)
        if ahead >= 0x8000 and uint16_add(self._next, -sequence) <= RESET_GAP:
            return False, None  # already released or given up
        if ahead >= HISTORY:
            self._restart(sequence)
        self._packets[sequence] = packet
        frames = self._release()
        if not frames and self._blocked and (packet.marker or not self._trust_marker):
            frames = self._jump()
        return self._ask(), FrameBatch(frames) if frames else None

    @property
    def _blocked(self) -> bool:
        """Whether packets wait behind a hole."""
        return len(self._packets) > uint16_add(self._reach, -self._next)

    def _restart(self, sequence: int) -> None:
        """Give up all held packets, since the hole is too large or the sender began anew."""
        self.skipped += len({packet.timestamp for packet in self._packets.values()})
        self._packets.clear()
        self._next = self._reach = sequence
        self._keyframe_only, self._last_end, self._asked_at_s = True, None, float("-inf")

    def _release(self) -> list[tuple[bytes, int]]:
        """Release the frames that are whole and next in order."""
        frames: list[tuple[bytes, int]] = []
        while (end := self._end()) is not None:
            data, timestamp = self._cut(end)
            if not data:  # padding only
                continue
            if self._keyframe_only and not is_keyframe(data):
                self.skipped += 1
                continue
            self._keyframe_only = False
            frames.append((data, timestamp))
        return frames

    def _end(self) -> int | None:
        """Sequence number one past the last packet of the next frame. None while the frame is not whole."""
        first = self._packets.get(self._next)
        if first is None:
            return None
        if first._data and self._last_end == (self._next, first.timestamp):  # type: ignore[attr-defined]
            self._trust_marker = (
                False  # a frame went on after its marker, so wait for the next timestamp from now on
            )
        while (packet := self._packets.get(self._reach)) is not None:
            if packet.timestamp != first.timestamp:
                return self._reach
            self._reach = uint16_add(self._reach, 1)
            if packet.marker and self._trust_marker:
                self._last_end = self._reach, packet.timestamp
                return self._reach
        return None

    def _cut(self, end: int) -> tuple[bytes, int]:
        """Remove the packets up to `end`. Returns their data and timestamp."""
        packets = []
        while self._next != end:
            packets.append(self._packets.pop(self._next))
            self._next = uint16_add(self._next, 1)
        self._reach = end
        return b"".join(packet._data for packet in packets), packets[0].timestamp  # type: ignore[attr-defined]

    def _jump(self) -> list[tuple[bytes, int]]:
        """Continue at the first whole key frame after the hole, if there is one."""
        for start in sorted(self._packets, key=lambda held: uint16_add(held, -self._next)):
            packet, before = self._packets[start], self._packets.get(uint16_add(start, -1))
            first = before.timestamp != packet.timestamp if before else opens_keyframe(packet._data)  # type: ignore[attr-defined]
            if start != self._next and first and self._is_whole_keyframe(start):
                gone = [held for held in self._packets if uint16_gt(start, held)]
                self.skipped += len({self._packets.pop(held).timestamp for held in gone}) or 1
                self._next = self._reach = start
                self._keyframe_only, self._hole_since_s = False, None
                return self._release()
        return []

    def _is_whole_keyframe(self, start: int) -> bool:
        timestamp, data, at = self._packets[start].timestamp, b"", start
        while (packet := self._packets.get(at)) is not None:
            if packet.timestamp != timestamp:
                return is_keyframe(data)
            data += packet._data  # type: ignore[attr-defined]
            if packet.marker and self._trust_marker:
                return is_keyframe(data)
            at = uint16_add(at, 1)
        return False

    def _ask(self) -> bool:
        """Whether to request a key frame now, since a hole is old or only a key frame can be decoded."""
        now_s = self._clock()
        if not self._blocked:
            self._hole_since_s = None
        elif self._hole_since_s is None:
            self._hole_since_s = now_s
        old = self._hole_since_s is not None and now_s - self._hole_since_s >= PLI_AFTER_S
        if not (old or self._keyframe_only):
            self._ask_gap_s = PLI_AFTER_S
            return False
        if now_s - self._asked_at_s < self._ask_gap_s:
            return False
        if now_s - self._asked_at_s < 2 * PLI_MOST_S:  # a slow path needs its time for a key frame
            self._ask_gap_s = min(2 * self._ask_gap_s, PLI_MOST_S)
        self._asked_at_s = now_s
        return True


class AudioBuffer:
    """Puts audio packets in order. It waits for a missing packet until three later ones have arrived."""

    def __init__(self) -> None:
        self._packets: dict[int, RtpPacket] = {}
        self._next = 0
        self._begun = False

    def add(self, packet: RtpPacket) -> tuple[bool, FrameBatch | None]:
        """Take a packet. Returns False (audio has no key frames) and the packets that are due."""
        sequence = packet.sequence_number
        if not self._begun:
            self._begun, self._next = True, sequence
        ahead = uint16_add(sequence, -self._next)
        if ahead >= 0x8000 and uint16_add(self._next, -sequence) <= RESET_GAP:
            return False, None
        if ahead > HISTORY:
            self._packets.clear()
            self._next = sequence
        self._packets[sequence] = packet
        if self._next not in self._packets and len(self._packets) >= AUDIO_WAIT:
            self._next = min(self._packets, key=lambda held: uint16_add(held, -self._next))
        frames: list[tuple[bytes, int]] = []
        while (due := self._packets.pop(self._next, None)) is not None:
            frames.append((due._data, due.timestamp))  # type: ignore[attr-defined]
            self._next = uint16_add(self._next, 1)
        return False, FrameBatch(frames) if frames else None


@dataclass(slots=True)
class _Missing:
    asked_s: float
    next_s: float
    tries: int


class NackGenerator:
    """Finds missing packets and decides when to ask for them: after 1.25 round trips, then ever later.

    aiortc's receiver calls `add` for each packet. If that returns True, it sends a NACK for `missing`.
    The round trip is measured from the time until a first NACK is answered. A packet that arrives twice was
    asked for in vain, since it was only overtaken: packets then get more time before they are asked for.

    Args:
        clock: returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.max_seq: int | None = None
        self.rtt_s = 0.1  # first guess
        self.missing: list[int] = []  # sequence numbers to ask for now
        self.given_up = 0
        self.overtaken_s = 0.0  # time that a missing packet is given before the first NACK
        self._clock = clock
        self._holes: dict[int, _Missing] = {}
        self._measured = False

    def add(self, packet: RtpPacket) -> bool:
        """Take a packet. Returns whether a NACK for `missing` is due."""
        now_s, sequence = self._clock(), packet.sequence_number
        if self.max_seq is None or uint16_add(sequence, -self.max_seq) in range(
            RESET_GAP, 0x10000 - RESET_GAP
        ):
            self.max_seq = sequence
            self._holes.clear()
            return False
        if uint16_gt(sequence, self.max_seq):
            at = uint16_add(self.max_seq, 1)
            while at != sequence:
                self._holes[at] = _Missing(0.0, now_s + self.overtaken_s, 0)
                at = uint16_add(at, 1)
            self.max_seq = sequence
        elif (found := self._holes.pop(sequence, None)) is None:
            self.overtaken_s = min(self.overtaken_s + OVERTAKEN_UP_S, OVERTAKEN_S)
        elif found.tries:
            self.overtaken_s = max(self.overtaken_s - OVERTAKEN_DOWN_S, 0.0)
            self._measure(now_s - found.asked_s)
        if not self._holes:
            return False
        self.missing = self._due(now_s)
        return bool(self.missing)

    def _measure(self, sample_s: float) -> None:
        sample_s = min(max(sample_s, 0.005), 1.0)
        fresh = 0.125 if self._measured and sample_s < self.rtt_s else 0.5 if self._measured else 1.0
        self.rtt_s += fresh * (sample_s - self.rtt_s)  # up quickly: too short a time asks again in vain
        self._measured = True

    def _due(self, now_s: float) -> list[int]:
        """Sequence numbers to ask for now. Those asked for ten times or out of reach are given up."""
        due = []
        for sequence, hole in list(self._holes.items()):
            if now_s < hole.next_s:
                continue
            out_of_reach = uint16_add(self.max_seq or 0, -sequence) >= HISTORY
            if hole.tries >= MAX_TRIES or out_of_reach:
                del self._holes[sequence]
                self.given_up += 1
                continue
            hole.asked_s = hole.asked_s if hole.tries else now_s
            hole.next_s = now_s + RETRY_RTT * self.rtt_s * BACK_OFF**hole.tries
            hole.tries += 1
            due.append(sequence)
        return due
