"""One measured run of a stream, and its figures."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import psutil

from benchmarks.common import percentiles
from benchmarks.streams import live

HEADERS = ("", "p50 ms", "p95 ms", "p99 ms", "fps", "drops %", "CPU %", "RSS MB", "frames")
FIGURES = ("p50", "p95", "p99", "fps", "drops", "cpu", "rss", "frames")  # names for --fail-if


@dataclass(slots=True)
class Run:
    """One measured run.

    Attributes:
        name: name of what was measured.
        seconds: measured time.
        delays: (seconds since the start of the run, latency in seconds) of each frame received.
        sent, received: different frames sent and received in the measured time.
        cpu: CPU time of the server over wall time; 1 is one core. NaN for a process that is not ours.
        rss: resident memory at the end, bytes. NaN for a process that is not ours.
        told: the server's own statistics at the end.
    """

    name: str
    seconds: float
    delays: list[tuple[float, float]] = field(default_factory=list)
    sent: int = 0
    received: int = 0
    cpu: float = math.nan
    rss: float = math.nan
    told: dict[str, Any] = field(default_factory=dict)

    def latency(self) -> dict[str, float]:
        """Return percentiles of the latency, milliseconds. Infinite if no frame came back."""
        if not self.delays:
            return dict.fromkeys(("p50", "p95", "p99"), math.inf)
        return percentiles(1000 * delay for _, delay in self.delays)

    def figures(self) -> dict[str, float]:
        """Return the table's figures: latency in ms, frames a second, drops and CPU in %, memory in MB.

        Their names are `FIGURES`.
        """
        values = (
            *self.latency().values(),
            self.received / self.seconds,
            100 * (1 - self.received / max(self.sent, 1)),
            100 * self.cpu,
            self.rss / 1e6,
            float(self.received),
        )
        return dict(zip(FIGURES, values, strict=True))

    def row(self) -> list[str | float]:
        """Return a line of the table under `HEADERS`."""
        figures = list(self.figures().values())
        return [self.name, *figures[:-1], str(self.received)]

    def summary(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {
            "server": self.name,
            **{f"latency_ms_{name}": value for name, value in self.latency().items()},
            "fps": self.received / self.seconds,
            "drops": 1 - self.received / max(self.sent, 1),
            "cpu": self.cpu,
            "rss_bytes": self.rss,
            "frames": self.received,
            "told": self.told,
        }


def of_each(runs: Iterable[Run], choose: Callable[[list[Run]], Run]) -> list[Run]:
    """Choose one run of each name, in the order in which the names first occur.

    Args:
        runs: all runs.
        choose: chooses from the runs of one name, which are sorted by their p95.
    """
    groups: dict[str, list[Run]] = {}
    for one in runs:
        groups.setdefault(one.name, []).append(one)
    return [choose(sorted(group, key=lambda one: one.latency()["p95"])) for group in groups.values()]


def best(ordered: list[Run]) -> Run:
    """Choose the run with the lowest p95, for `of_each`."""
    return ordered[0]


def middle(ordered: list[Run]) -> Run:
    """Choose the run with the median p95, the lower of two, for `of_each`."""
    return ordered[(len(ordered) - 1) // 2]


async def observe(
    one: Run,
    sent: list[tuple[float, int]],
    seen: list[tuple[float, int | None]],
    process: psutil.Process | None,
    warm_up_s: float,
) -> None:
    """Wait while a run is measured, and fill in its figures.

    Args:
        one: receives the figures.
        sent: grows with each frame sent: monotonic time and code, see `live.ClipTrack`.
        seen: grows with each frame that came back, see `live.Arrivals`.
        process: the server's process. None leaves CPU and memory out.
        warm_up_s: seconds before the measured time.
    """
    await asyncio.sleep(warm_up_s)
    from_s, cpu_s = time.monotonic(), live.cpu_s(process) if process else math.nan
    await asyncio.sleep(one.seconds)
    until_s = time.monotonic()
    if process:
        one.cpu = (live.cpu_s(process) - cpu_s) / (until_s - from_s)
        one.rss = process.memory_info().rss
    await asyncio.sleep(1.0)  # for frames that are still on their way
    one.delays, one.sent, one.received = live.match_frames(sent, list(seen), from_s, until_s)
