"""Decides from measured loads whether one more live session fits on this machine, and shares an overload."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from stream.cores import cores
from stream.errors import CapacityError
from stream.refused import refused

STEADY = 3  # a session's share is trusted after this many samples without a change of the live sessions
FRESH = 0.5  # weight of the newest sample
KEPT = 0.999  # share of the dearest session's load that is remembered each second: half after 11 minutes
CROWDED, EASY = 1.3, 1.1  # a frame takes this many times as long as alone: too many sessions; few enough
OWN = 0.5  # of the allowed load: below it, frame rates are not lowered, since other programs slow the frames
LEAST_STEP_S = 0.002  # shorter steps, as those without an edit, tell nothing about the machine
LEAST_FPS, LESS, MORE = 8.0, 0.9, 1.1  # how far an overload lowers the frame rate; change in a second


@dataclass(frozen=True, slots=True)
class Load:
    """What one live session was measured to take.

    Attributes:
        session: the session.
        step_s: time to edit one frame, seconds.
        step_cpu_s: processor time of the editing thread in it, seconds.
        fps: frames edited per second.
    """

    session: Hashable
    step_s: float
    step_cpu_s: float
    fps: float

    @property
    def share(self) -> float:
        """Share of its time in which the session edits, 0 to 1."""
        return self.step_s * self.fps

    @property
    def wait(self) -> float | None:
        """How many times its own processor time an edit takes. It grows when threads wait for a processor."""
        return self.step_s / self.step_cpu_s if self.step_s > LEAST_STEP_S and self.step_cpu_s > 0 else None


def machine_cpu_s() -> float | None:
    """Processor time of all programs since the machine started, seconds. None where it is not told.

    Programs with a lowered priority do not count, since they give way.
    """
    try:
        with open("/proc/stat", encoding="ascii") as file:
            ticks = [int(word) for word in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    user, _, system, _, _, irq, soft, steal = ticks
    return (user + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


class Admission:
    """Refuses a live session that would slow the others down, and lowers frame rates fairly in an overload.

    This process's processor time is divided among the live sessions by the time that their frames take. A new
    session is expected to take as much as the dearest one of late; what other programs take is not there for
    it. None is let in while the frames of those
    in place already take much longer than they would alone. The first live session is never refused, and
    nothing is refused before a measurement.

    Args:
        most: share of the processors that all live sessions may use together, (0, 1]. 0 refuses nobody.
        processors: number of processors. None counts those that this process may use.
        clock: wall clock, seconds.
        cpu_clock: processor time of this process, seconds.
        machine_clock: processor time of all programs, seconds. None where it is not known.
    """

    def __init__(
        self,
        most: float = 0.0,
        processors: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
        machine_clock: Callable[[], float | None] = machine_cpu_s,
    ) -> None:
        self.used = 0.0  # processors in use
        self.stretch = 1.0  # how many times as long as alone a frame takes, in the session that waits most
        self._alone: float | None = None  # the least `Load.wait` so far
        self._dearest = 0.0  # processors of the dearest session of late
        self._caps: dict[Hashable, float] = {}  # frames per second of sessions that are held back
        self._most, self._processors = most, processors or cores()
        self._clock, self._cpu_clock = clock, cpu_clock
        self._at_s, self._cpu_s = clock(), cpu_clock()
        self._machine_clock, self._machine_s = machine_clock, machine_clock()
        self._others = 0.0  # processors that other programs use
        self._live: set[Hashable] = set()
        self._fresh: set[Hashable] = set()  # live sessions whose load is not in the measurements yet
        self._steady = 0
        self._each: float | None = None  # processors that one session uses

    def sample(self, loads: Sequence[Load] = ()) -> None:
        """Measure the load. Call this about once a second.

        Args:
            loads: what each live session takes at present.
        """
        now_s, cpu_s = self._clock(), self._cpu_clock()
        if now_s <= self._at_s:
            return
        used = (cpu_s - self._cpu_s) / (now_s - self._at_s)
        machine_s, before_s = self._machine_clock(), self._machine_s
        if machine_s is not None and before_s is not None:
            others = max((machine_s - before_s) / (now_s - self._at_s) - used, 0.0)
            self._others += FRESH * (others - self._others)
        self._at_s, self._cpu_s, self._machine_s = now_s, cpu_s, machine_s
        self.used += FRESH * (used - self.used)
        self._steady += 1
        if self._live and self._steady >= STEADY:
            self._each = self.used / len(self._live)
            self._fresh.clear()
            together = sum(load.share for load in loads)
            dearest = max((load.share for load in loads), default=0.0) / together if together else 0.0
            self._dearest = max(self._dearest * KEPT, self._each, dearest * self.used)
        waits = [load.wait for load in loads if load.wait is not None]
        if waits:
            self._alone = min(waits) if self._alone is None else min(self._alone, *waits)
            self.stretch += FRESH * (max(waits) / self._alone - self.stretch)
        else:
            self.stretch = 1.0
        self._hold_back(loads)

    def _hold_back(self, loads: Sequence[Load]) -> None:
        """Lower the frame rates of the sessions that take most, while frames wait for each other."""
        caps = {load.session: self._caps[load.session] for load in loads if load.session in self._caps}
        crowded = self._most > 0 and self.stretch > CROWDED
        if len(loads) > 1 and crowded and self.used > OWN * self._most * self._processors:
            mean = sum(load.share for load in loads) / len(loads)
            for load in loads:
                if load.share >= 0.95 * mean:
                    present = min(caps.get(load.session, load.fps), load.fps)
                    caps[load.session] = max(LESS * present, LEAST_FPS)
        elif self.stretch < EASY or len(loads) < 2:
            raised = {load.session: MORE * caps[load.session] for load in loads if load.session in caps}
            caps = {load.session: raised[load.session] for load in loads
                    if load.session in raised and load.fps > 0.8 * caps[load.session]}  # fmt: skip
        self._caps = caps

    @property
    def free(self) -> float:
        """Processors that are left for further live sessions. Negative in an overload."""
        each = self._each or 0.0
        in_place = max(self.used, (len(self._live) - len(self._fresh)) * each)
        fresh = len(self._fresh) * max(self._dearest, each)
        return (self._most or 1.0) * self._processors - self._others - in_place - fresh

    @property
    def dearest(self) -> float | None:
        """Processors that one more live session is expected to use. None before a measurement."""
        return None if self._each is None else max(self._dearest, self._each)

    @property
    def held_back(self) -> int:
        """How many sessions are held back."""
        return len(self._caps)

    def most_fps(self, session: Hashable) -> float | None:
        """The frame rate to which a session is held back. None if it is not."""
        return self._caps.get(session)

    def check(self, session: Hashable) -> None:
        """Check whether a session that is not live yet fits.

        Raises:
            CapacityError: the session does not fit.
        """
        if session in self._live:
            return
        live, each, more = len(self._live), self._each, self.dearest
        if self._most > 0 and live and each is not None and more is not None:
            why = ""
            if more > self.free:
                besides = f", other programs {self._others:.1f}" if self._others >= 0.05 else ""
                why = (
                    f"{live} take {live * each:.1f} of its {self._processors} processors{besides}, and one "
                    "more would slow them all down"
                )
            elif self.stretch > CROWDED:
                why = f"a frame of those in place takes {self.stretch:.1f} times as long as it would alone"
            if why:
                refused.note("admission")
                raise CapacityError(
                    f"this machine has no room for another live session: {why}",
                    "try again when another one has ended, or raise --max-load",
                )

    def enter(self, session: Hashable) -> None:
        """Count a session as live. A second call for the same session does nothing.

        Raises:
            CapacityError: the session does not fit.
        """
        self.check(session)
        if session not in self._live:
            self._live.add(session)
            self._fresh.add(session)
            self._steady = 0

    def leave(self, session: Hashable) -> None:
        """Stop counting a session as live."""
        if session in self._live:
            self._live.discard(session)
            self._fresh.discard(session)
            self._steady = 0
            self.used = max(0.0, self.used - (self._each or 0.0))
