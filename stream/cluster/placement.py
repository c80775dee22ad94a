"""Which media host a session goes to, by what the hosts measure of their frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from stream.errors import CapacityError

GUESS = 0.5  # processors that a session is taken to use before any host has measured one
CROWDED = 1.3  # a frame takes this many times as long as alone: the host takes nobody; as in admission


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a media host says of itself, about once a second.

    Attributes:
        address: where its HTTP server listens, as in "http://192.0.2.7:40123".
        run: name of this start of the host. Another one means that the host has died in between.
        sessions: ids of the sessions in its memory.
        live: how many of them have a source.
        max_sessions: how many it holds at a time.
        free: processors that are left for further live sessions.
        dearest: processors that one more is expected to use. None before a measurement.
        stretch: how many times as long as alone a frame takes.
    """

    address: str
    run: str
    sessions: tuple[str, ...] = ()
    live: int = 0
    max_sessions: int = 8
    free: float = 1.0
    dearest: float | None = None
    stretch: float = 1.0

    @property
    def admits(self) -> bool:
        """Whether the host would admit another live session. The first one is never refused."""
        if not self.live or self.dearest is None:
            return True
        return self.dearest <= self.free and self.stretch <= CROWDED


@dataclass(slots=True, eq=False)
class Seat:
    """A host as a place for sessions.

    Attributes:
        name: the host's name.
        report: its newest report. None before the first one, and while it is lost.
        draining: whether it gets no more sessions.
        promised: sessions that were given to it since that report.
    """

    name: str
    report: Report | None = None
    draining: bool = False
    promised: set[str] = field(default_factory=set)

    @property
    def usable(self) -> bool:
        """Whether it may get sessions."""
        return self.report is not None and not self.draining


def ranked(seats: Iterable[Seat]) -> list[Seat]:
    """Return the hosts that may take another session, best first.

    The best one has the most processors left, after what its sessions that are not live yet are expected to
    use. Among equals it has the fewest sessions.
    """
    usable = [(seat, seat.report) for seat in seats if seat.usable and seat.report is not None]
    each = max((report.dearest or 0.0 for _, report in usable), default=0.0) or GUESS

    def left(seat: Seat, report: Report) -> tuple[bool, float, int, str]:
        sessions = len(seat.promised | set(report.sessions))
        idle = sessions - report.live
        return (not report.admits, idle * each - report.free, sessions, seat.name)

    room = [both for both in usable if len(both[0].promised | set(both[1].sessions)) < both[1].max_sessions]
    return [seat for seat, _ in sorted(room or usable, key=lambda both: left(*both))]


def best(seats: Iterable[Seat]) -> Seat:
    """Return the best host for another session.

    Raises:
        CapacityError: there is none at the moment.
    """
    found = ranked(seats)
    if not found:
        raise CapacityError("no media host is up at the moment", "try again in a moment", retry_after_s=2)
    return found[0]
