"""A part of a clip, from one time to another, read as if it were a whole clip."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf, isfinite
from typing import TYPE_CHECKING

from av.packet import Packet
from av.stream import Stream

from stream.media.video import Frame

if TYPE_CHECKING:
    from av.container.core import Chapter

TIME = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d*)?|\.\d+)")  # [[hours:]minutes:]seconds


def read_time(text: str) -> float:
    """Read a time such as 75.5, 1:15.5 or 0:01:15.5. Returns seconds.

    Raises:
        ValueError: the text is not a time.
    """
    found = TIME.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a time: give seconds (75.5) or [hours:]minutes:seconds (1:15.5)")
    hours, minutes, seconds = found.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(seconds)


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a clip. The ranges are checked.

    Attributes:
        start_s: time of its start in the clip, seconds, 0 or more.
        end_s: time of its end, seconds, after the start. Infinite for the clip's end.
    """

    start_s: float = 0.0
    end_s: float = inf

    def __post_init__(self) -> None:
        if not (isfinite(self.start_s) and self.start_s >= 0):
            raise ValueError(f"the start must be 0 s or later, got {self.start_s:g} s")
        if not self.end_s > self.start_s:
            raise ValueError(f"the end, {self.end_s:g} s, must come after the start, {self.start_s:g} s")

    def cut(
        self, items: Iterator[Frame | Packet[Stream]], unit: Fraction
    ) -> Iterator[Frame | Packet[Stream]]:
        """Yield the frames and packets of the span, with times that count from its first frame.

        Frames keep their numbers. Packets of other streams that begin before the first frame or after the end
        are left out.

        Args:
            items: see `VideoReader.items`.
            unit: the frames' time base, seconds.
        """
        first: Frame | None = None
        early: list[Packet[Stream]] = []  # packets that came before the first frame did
        for item in items:
            if isinstance(item, Packet):
                if first is None:
                    early.append(item)
                else:
                    yield from _shifted([item], first.pts * unit, self.end_s)
            elif item.time_s >= self.end_s:
                return
            elif item.time_s >= self.start_s:
                if first is None:
                    first = item
                    yield from _shifted(early, first.pts * unit, self.end_s)
                    early = []
                pts = item.pts - first.pts
                yield replace(item, pts=pts, time_s=float(pts * unit))

    def chapters(self, chapters: list[Chapter]) -> list[Chapter]:
        """Return the chapters that lie in the span, cut at its borders, with times from its start."""
        kept: list[Chapter] = []
        for chapter in chapters:
            unit = chapter["time_base"] or Fraction(1, 1000)
            start, end = round(Fraction(self.start_s) / unit), chapter["end"]
            if isfinite(self.end_s):
                end = min(end, round(Fraction(self.end_s) / unit))
            if max(chapter["start"], start) < end:
                kept.append({**chapter, "start": max(0, chapter["start"] - start), "end": end - start})
        return kept


def _shifted(packets: list[Packet[Stream]], start_s: Fraction, end_s: float) -> Iterator[Packet[Stream]]:
    """Yield the packets of a span with times that count from its start."""
    for packet in packets:
        at = packet.dts if packet.pts is None else packet.pts
        if at is None or not start_s <= at * packet.time_base < end_s:
            continue
        shift = round(start_s / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.dts = None if packet.dts is None else packet.dts - shift
        yield packet
