"""A network path and a sender that follows an estimate of it, in simulated time."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

PACKET = 1200  # bytes
FRAME_S = 1 / 30
STEP_S = 0.1  # time between two reports of the receiver


@dataclass
class Link:
    """A link of `bps` with a drop-tail queue, a constant delay, jitter and random loss."""

    bps: float = 3e6
    queue_s: float = 0.4
    delay_s: float = 0.03
    jitter_s: float = 0.0
    loss: float = 0.0
    down: bool = False
    random: random.Random = field(default_factory=lambda: random.Random(1))
    free_s: float = 0.0  # when the link has sent what it holds

    def carry(self, now_s: float, size: int) -> float | None:
        """When a packet that is sent now arrives. None if it is lost."""
        if self.down or self.random.random() < self.loss or self.free_s - now_s > self.queue_s:
            return None
        self.free_s = max(self.free_s, now_s) + 8 * size / self.bps
        return self.free_s + self.delay_s + self.random.random() * self.jitter_s


@dataclass
class Run:
    """What happened: the sender's rate, and the delay of each packet, over time."""

    rates: list[tuple[float, float]] = field(default_factory=list)
    delays: list[tuple[float, float]] = field(default_factory=list)

    def rate(self, from_s: float, until_s: float) -> float:
        """Mean rate in a period."""
        held = [rate for at_s, rate in self.rates if from_s <= at_s < until_s]
        return sum(held) / len(held)

    def reached(self, bps: float, from_s: float) -> float:
        """Time from `from_s` until the rate is at least `bps`."""
        return next((at_s for at_s, rate in self.rates if at_s >= from_s and rate >= bps), 1e9) - from_s

    def fell(self, bps: float, from_s: float) -> float:
        """Time from `from_s` until the rate is at most `bps`."""
        return next((at_s for at_s, rate in self.rates if at_s >= from_s and rate <= bps), 1e9) - from_s

    def longest(self, from_s: float, until_s: float) -> float:
        """Largest delay in a period."""
        return max(delay_s for at_s, delay_s in self.delays if from_s <= at_s < until_s)


Packet = tuple[float, float | None, int]  # sent, arrived, bytes


def simulate(
    link: Link,
    seconds: float,
    follow: Callable[[float, list[Packet]], float],
    change: Callable[[Link, float], None] = lambda link, now_s: None,
    most_bps: float = 4e6,
) -> Run:
    """Send frames at the rate that `follow` returns.

    Args:
        follow: takes the time and the packets whose fate became known since the last call.
        change: may change the link at any time.
        most_bps: what the pictures need at most.
    """
    run, count = Run(), 0
    told: list[tuple[float, int, Packet]] = []
    rate, next_frame_s, next_step_s, now_s = follow(0.0, []), 0.0, STEP_S, 0.0
    while now_s < seconds:
        change(link, now_s)
        if next_frame_s <= next_step_s:
            now_s = next_frame_s
            left = max(round(min(rate, most_bps) * FRAME_S / 8), 50)
            while left > 0:
                size = min(left, PACKET)
                left -= size
                arrived_s = link.carry(now_s, size)
                known_s = (arrived_s if arrived_s is not None else now_s + 0.3) + link.delay_s
                if not link.down:
                    count += 1
                    heapq.heappush(told, (known_s, count, (now_s, arrived_s, size)))
                if arrived_s is not None:
                    run.delays.append((now_s, arrived_s - now_s))
            next_frame_s += FRAME_S
        else:
            now_s = next_step_s
            news = []
            while told and told[0][0] <= now_s:
                news.append(heapq.heappop(told)[2])
            rate = follow(now_s, [] if link.down else news)
            run.rates.append((now_s, min(rate, most_bps)))
            next_step_s += STEP_S
    return run
