"""Reads all packets of a clip before any is decoded: their number, their times and which are hidden.

Headers can be wrong. They announce frames that do not exist, and the clocks of joined recordings start over.
One pass over the packets costs little compared to decoding, and later steps can rely on its result.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from math import inf, isnan, nan

from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from stream.media.untrusted import BROKEN

BACK_S = 0.1  # a decoding time earlier than the one before by more than this starts a clock over
BACK_SHOWN_S = 1.0  # the same for presentation times, which B-frames put out of order
AHEAD_S = 10.0  # in containers of `JOINED`, a decoding time later by more than this does so too
JOINED = ("mpegts", "mpeg")  # made to be cut and joined, so their clocks may also jump ahead
NEAR_S = 1.0  # largest distance between the neighbours of a packet with a wrong time
SLOWEST = Fraction(1, 1001)  # frames per second: a lower rate counts as this one
PRIMING = 3  # packets at the start that only prime an audio decoder


@dataclass(frozen=True, slots=True)
class Survey:
    """Result of one pass over all packets. Streams are named by their index.

    Attributes:
        video: the stream to edit. Streams with more than one picture come first, then those with most pixels,
            then the container's default. None if no stream can be decoded.
        shown: number of packets that are shown, by stream.
        hidden: number of packets that an edit list hides, by stream.
        hidden_first: number of hidden packets before the first one shown, by stream.
        dropped: number of frames of `video` that were not recorded, by the gaps between those that were. Only
            AVI counts them too.
        clocks: for each piece of a joined recording, the number of its first packet and the seconds to add
            from there, by stream.
        odd: numbers of the packets whose time does not fit their neighbours', by stream.
        rate: frames per second of `video`, by its times. None without times.
        reordered: whether `video` shows its packets in another order than it stores them.
    """

    video: int | None
    shown: dict[int, int]
    hidden: dict[int, int]
    hidden_first: dict[int, int]
    dropped: int
    clocks: dict[int, tuple[tuple[int, float], ...]]
    odd: dict[int, frozenset[int]]
    rate: Fraction | None
    reordered: bool

    @property
    def pieces(self) -> int:
        """Number of recordings that were joined. 1 if the clock never starts over."""
        return max((len(clock) for clock in self.clocks.values()), default=1)

    @property
    def cut(self) -> bool:
        """Whether an edit list hides pictures, or more sound than primes a decoder."""
        return bool(self.hidden.get(-1 if self.video is None else self.video)) or any(
            self.trimmed(stream) for stream in self.hidden
        )

    def trimmed(self, stream: int) -> bool:
        """Whether more packets are hidden at a stream's start than prime its decoder."""
        return self.hidden_first.get(stream, 0) > PRIMING


NOTHING = Survey(
    video=None,
    shown={},
    hidden={},
    hidden_first={},
    dropped=0,
    clocks={},
    odd={},
    rate=None,
    reordered=False,
)


class Clock:
    """Puts the packets of a clip on one clock that never starts over. Pass each packet through it once."""

    def __init__(self, found: Survey) -> None:
        self._clocks, self._odd = found.clocks, found.odd
        self._seen: dict[int, int] = defaultdict(int)
        self._piece: dict[int, int] = defaultdict(int)

    def set(self, packet: Packet[Stream]) -> None:
        """Correct the packet's times. A packet with a wrong time loses it."""
        index, number = packet.stream_index, self._seen[packet.stream_index]
        self._seen[index] += 1
        if number in self._odd.get(index, ()):
            packet.pts = packet.dts = None
            return
        clock = self._clocks.get(index, ())
        while self._piece[index] + 1 < len(clock) and clock[self._piece[index] + 1][0] <= number:
            self._piece[index] += 1
        shift_s = clock[self._piece[index]][1] if clock else 0.0
        if shift_s:
            ticks = round(shift_s / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks


@dataclass(slots=True)
class _Times:
    """Times of one stream's packets in file order, seconds. NaN if a packet has no time."""

    decoded: array[float] = field(default_factory=lambda: array("d"))
    start: array[float] = field(default_factory=lambda: array("d"))  # shown from
    end: array[float] = field(default_factory=lambda: array("d"))  # shown until
    order: array[int] = field(default_factory=lambda: array("q"))  # place among all packets
    hides: array[int] = field(default_factory=lambda: array("b"))

    def add(self, packet: Packet[Stream], place: int) -> None:
        unit = float(packet.time_base)
        shown = packet.dts if packet.pts is None else packet.pts
        start = nan if shown is None else shown * unit
        self.decoded.append(nan if packet.dts is None else packet.dts * unit)
        self.start.append(start)
        self.end.append(start + (packet.duration or 0) * unit)
        self.order.append(place)
        self.hides.append(packet.is_discard)

    def odd(self) -> frozenset[int]:
        """Find the packets whose decoding time does not fit that of their neighbours."""
        found = set()
        for k in range(1, len(self.decoded) - 1):
            before, here, after = self.decoded[k - 1 : k + 2]
            line = k - 1 not in found and 0 <= after - before < NEAR_S
            if line and (here < before - BACK_S or here > after + NEAR_S):
                found.add(k)
        return frozenset(found)

    def restarts(self, odd: frozenset[int], ahead_s: float) -> Iterator[tuple[int, int]]:
        """Yield (place, number) of each packet at which the clock starts over."""
        decoded, shown = nan, nan
        for k, here in enumerate(self.decoded):
            if k in odd:
                continue
            start = self.start[k]
            back = start < shown - BACK_SHOWN_S if isnan(here) else here < decoded - BACK_S
            if back or here > decoded + ahead_s:
                yield self.order[k], k
                shown = start
            decoded = decoded if isnan(here) else here
            shown = start if isnan(shown) else max(shown, start)


def survey(container: InputContainer) -> Survey:
    """Read all packets of a clip once. Reading ends without an error where the file is broken."""
    times: dict[int, _Times] = defaultdict(_Times)
    for place, packet in enumerate(_packets(container)):
        if packet.size:
            times[packet.stream_index].add(packet, place)
    video = _chosen(container, times)
    odd = {index: one.odd() for index, one in times.items()}
    main = times.get(-1 if video is None else video)
    shown = [] if main is None else [t for t, h in zip(main.start, main.hides, strict=True) if not h]
    rate = _rate(shown)
    clocks = _clocks(times, odd, video, joined=container.format.name in JOINED)
    return Survey(
        video=video,
        shown={index: one.hides.count(0) for index, one in times.items()},
        hidden={index: one.hides.count(1) for index, one in times.items()},
        hidden_first={index: [*one.hides, 0].index(0) for index, one in times.items()},
        dropped=_dropped(container, times, odd, video),
        clocks=clocks or _from_0(times, shown, rate),
        odd={index: found for index, found in odd.items() if found},
        rate=rate,
        reordered=any(b < a for a, b in pairwise(shown)),
    )


def _packets(container: InputContainer) -> Iterator[Packet[Stream]]:
    packets = container.demux()
    while True:
        try:
            yield next(packets)
        except (StopIteration, *BROKEN):
            return


def _chosen(container: InputContainer, times: dict[int, _Times]) -> int | None:
    """Choose the stream to edit (see `Survey.video`)."""
    able = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic
    ]

    def worth(stream: Stream) -> tuple[bool, int, bool, int]:
        moves = len(times[stream.index].start) > 1 if stream.index in times else False
        pixels = stream.codec_context.width * stream.codec_context.height  # type: ignore[attr-defined]
        return moves, pixels, bool(stream.disposition & Disposition.default), -stream.index

    return max(able, key=worth).index if able else None


def _rate(shown: list[float]) -> Fraction | None:
    """Frames per second, by the median time between successive frames."""
    order = sorted(t for t in shown if not isnan(t))
    steps = sorted(b - a for a, b in pairwise(order) if b > a)
    return max(Fraction(1 / steps[len(steps) // 2]).limit_denominator(1001), SLOWEST) if steps else None


def _dropped(
    container: InputContainer, times: dict[int, _Times], odd: dict[int, frozenset[int]], video: int | None
) -> int:
    """Count the frames that an AVI stands for by empty packets, which FFmpeg leaves out."""
    stream = next((stream for stream in container.streams.video if stream.index == video), None)
    if container.format.name != "avi" or stream is None or stream.average_rate is None:
        return 0
    decoded = times[stream.index].decoded if stream.index in times else ()
    kept = [t for k, t in enumerate(decoded) if not isnan(t) and k not in odd.get(stream.index, ())]
    slots = round((max(kept) - min(kept)) * stream.average_rate) + 1 if kept else 0
    return max(0, slots - len(decoded))


def _from_0(
    times: dict[int, _Times], shown: list[float], rate: Fraction | None
) -> dict[int, tuple[tuple[int, float], ...]]:
    """Find the seconds to add if the picture starts before 0, where players and containers would hide it.

    FFmpeg's Matroska reader gives frames before 0 no time. They precede the first one that has a time.
    """
    known = [start for start in shown if not isnan(start)]
    if not known or rate is None:
        return {}
    untimed = next(k for k, start in enumerate(shown) if not isnan(start))
    first = min(known) - untimed / rate
    return dict.fromkeys(times, ((0, -first),)) if first < 0 else {}


def _clocks(
    times: dict[int, _Times], odd: dict[int, frozenset[int]], video: int | None, *, joined: bool
) -> dict[int, tuple[tuple[int, float], ...]]:
    """Find each stream's pieces and the seconds to add to their times. Empty if nothing is to be added.

    The pieces follow each other without a gap in the picture, and the sound of each stays in step. In
    containers of `JOINED`, whose clocks start anywhere, the first piece starts at 0.
    """
    ahead_s = AHEAD_S if joined else inf
    jumps = sorted(
        (place, index, number)
        for index, one in times.items()
        for place, number in one.restarts(odd[index], ahead_s)
    )
    if not jumps and not joined:
        return {}
    begins: list[int] = []  # places
    pieces: dict[int, list[tuple[int, int]]] = {}  # by stream: first packet's number, piece
    for place, index, number in jumps:
        mine = pieces.setdefault(index, [(0, 0)])
        if mine[-1][1] == len(begins):
            begins.append(place)
        mine.append((number, len(begins)))
    for index, one in times.items():
        first = sum(place <= one.order[0] for place in begins)  # a stream that joins in later
        if first and index not in pieces:
            pieces[index] = [(0, first)]
        elif first:
            pieces[index][0] = (0, first)
        pieces.setdefault(index, [(0, 0)])
    shifts = _shifts(times, odd, pieces, video, len(begins) + 1, from_0=joined)
    return {index: tuple((number, shifts[piece]) for number, piece in mine) for index, mine in pieces.items()}


def _shifts(
    times: dict[int, _Times],
    odd: dict[int, frozenset[int]],
    pieces: dict[int, list[tuple[int, int]]],
    video: int | None,
    count: int,
    *,
    from_0: bool,
) -> list[float]:
    """Compute the seconds to add in each piece."""
    spans: list[dict[int, tuple[float, float]]] = [{} for _ in range(count)]
    for index, mine in pieces.items():
        one = times[index]
        for k, (number, piece) in enumerate(mine):
            until = mine[k + 1][0] if k + 1 < len(mine) else len(one.start)
            kept = [n for n in range(number, until) if n not in odd[index] and not isnan(one.start[n])]
            if kept:
                spans[piece][index] = min(one.start[n] for n in kept), max(one.end[n] for n in kept)
    shifts = [-min((start for start, _ in spans[0].values()), default=0.0) if from_0 else 0.0]
    for before, after in pairwise(spans):
        lead = {video} if video in before and video in after else set(before) | set(after)
        end = max((span[1] for index, span in before.items() if index in lead), default=0.0)
        start = min((span[0] for index, span in after.items() if index in lead), default=end)
        shifts.append(shifts[-1] + end - start)
    return shifts
