"""The pipeline held for five seconds, as a hanging model would: what viewers see, and the server's memory."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import numpy as np
import psutil

from benchmarks.streams import live
from benchmarks.streams.session import MeasuredSession

STALL_S = 5.0
SAMPLE_S = 0.25


@dataclass(slots=True)
class Stall:
    """A run in which the pipeline is held for five seconds.

    Attributes:
        began_s: when it was held. Times of `delays` and `rss` count from the same start.
        delays: (arrival, latency) of each frame, seconds.
        rss: (time in seconds, resident memory in bytes) of the server.
    """

    began_s: float
    delays: list[tuple[float, float]]
    rss: list[tuple[float, int]]

    def summary(self) -> dict[str, float]:
        """Return the latency before the stall, the time until it is normal again, and the memory."""
        before = [delay for at_s, delay in self.delays if at_s < self.began_s]
        normal_s = max(2 * float(np.percentile(before, 95)), 0.1) if before else float("nan")
        gap = longest_gap([at_s for at_s, _ in self.delays])
        after = [(at_s, delay) for at_s, delay in self.delays if at_s >= gap[1]]
        late = [at_s for at_s, delay in after if delay > normal_s and at_s < gap[1] + 2.0]
        back_s = next((at_s for at_s, _ in after if not late or at_s > late[-1]), float("nan"))
        grown = [size for at_s, size in self.rss if at_s >= self.began_s]
        held = [size for at_s, size in self.rss if at_s < self.began_s]
        return {
            "latency_before_ms_p50": 1000 * float(np.median(before)),
            "longest_gap_s": gap[1] - gap[0],
            "back_to_normal_ms": 1000 * (back_s - gap[1]),
            "rss_before_mb": float(np.median(held)) / 1e6,
            "rss_growth_mb": (max(grown) - float(np.median(held))) / 1e6,
        }


def longest_gap(times_s: list[float]) -> tuple[float, float]:
    """Return start and end of the longest time without an arrival."""
    gaps = np.diff(times_s)
    at = int(np.argmax(gaps))
    return times_s[at], times_s[at + 1]


async def hold(session: MeasuredSession, process: psutil.Process, warm_up_s: float) -> Stall:
    """Hold the server's pipeline, and watch latency and memory."""
    await asyncio.sleep(warm_up_s)
    start_s, rss = time.monotonic(), []
    began_s = float("nan")
    while (at_s := time.monotonic() - start_s) < 2 * STALL_S + 6.0:
        rss.append((at_s, process.memory_info().rss))
        if at_s >= STALL_S and np.isnan(began_s):
            await session.post("/debug/stall", {"seconds": STALL_S})
            began_s = at_s
        await asyncio.sleep(SAMPLE_S)
    delays, _, _ = live.match_frames(session.source.sent, session.arrivals.seen, start_s, time.monotonic())
    return Stall(began_s, [(at_s + delay, delay) for at_s, delay in delays], rss)
