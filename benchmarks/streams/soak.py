"""Sessions that stay for minutes: what the server holds, and what its viewers miss, minute by minute."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from dataclasses import asdict, dataclass
from typing import Any

import aiohttp
import numpy as np
import psutil

from benchmarks.common import print_table
from benchmarks.streams import live
from benchmarks.streams.visitors import Visitor, open_visitor
from stream.rtc import aiortc_patch

EVERY_S = 5.0  # between two looks at the process
SETTLE_S = 30.0  # before the first minute: models load, caches fill
WARM_MINUTES = 2  # that the slope leaves out, if there are at least as many more


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute, or the part of it that was measured.

    Attributes:
        memory_mb: median resident memory of the server and its children, MB.
        descriptors: most open files and sockets of the server.
        threads: most threads of the server.
        cpu: processor time over time; 1 is one core.
        fps: of each viewer: pictures a second.
        gap_s: of each viewer: longest time between two pictures, seconds.
        p95_ms: of each session: time from picture to encoder, at the minute's end.
    """

    memory_mb: float
    descriptors: int
    threads: int
    cpu: float
    fps: tuple[float, ...]
    gap_s: tuple[float, ...]
    p95_ms: tuple[float, ...]


async def watch(
    origin: str, process: psutil.Process, pictures: live.EncodedClip, fps: int, sessions: int, minutes: float
) -> list[Minute]:
    """Open sessions and keep them.

    Args:
        origin: address of the server.
        process: the server.
        pictures: what each publisher sends, at `fps` pictures a second.
        fps: see there.
        sessions: how many.
        minutes: how long, after `SETTLE_S`.

    Raises:
        RefusedError: the server did not let one in.
    """
    aiortc_patch.install()
    found = []
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        visitors = [await open_visitor(http, origin) for _ in range(sessions)]
        for visitor in visitors:
            await visitor.enter(stack, pictures, fps)
        await asyncio.sleep(SETTLE_S)
        left_s = minutes * 60
        while left_s > 0:
            found.append(await _minute(process, visitors, min(left_s, 60.0)))
            print(f"minute {len(found)}: {found[-1].memory_mb:.1f} MB", flush=True)
            left_s -= 60.0
    return found


async def _minute(process: psutil.Process, visitors: list[Visitor], seconds: float) -> Minute:
    began_s, began_cpu_s = time.monotonic(), live.cpu_s(process)
    for visitor in visitors:
        visitor.seen.clear()
    memory, descriptors, threads = list[float](), list[int](), list[int]()
    while time.monotonic() - began_s < seconds:
        memory.append(_resident(process) / 1e6)
        descriptors.append(process.num_fds() if hasattr(process, "num_fds") else process.num_handles())
        threads.append(process.num_threads())
        await asyncio.sleep(min(EVERY_S, max(began_s + seconds - time.monotonic(), 0.0)))
    took_s = time.monotonic() - began_s
    edges = [(began_s, *visitor.seen, began_s + took_s) for visitor in visitors]
    figures = [(await visitor.figures())["latency_ms"] for visitor in visitors]
    return Minute(
        float(np.median(memory)),
        max(descriptors),
        max(threads),
        (live.cpu_s(process) - began_cpu_s) / took_s,
        tuple((len(seen) - 2) / took_s for seen in edges),
        tuple(max(b - a for a, b in itertools.pairwise(seen)) for seen in edges),
        tuple(each["p95"] if each else float("nan") for each in figures),
    )


def _resident(process: psutil.Process) -> int:
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


def slope(minutes: list[Minute]) -> float:
    """Growth of the memory, MB a minute: least squares, without the first minutes. NaN below three."""
    kept = minutes[WARM_MINUTES:] if len(minutes) >= 2 * WARM_MINUTES else minutes
    if len(kept) < 3:
        return float("nan")
    return float(np.polyfit(np.arange(len(kept)), [one.memory_mb for one in kept], 1)[0])


def show(minutes: list[Minute], height: int) -> dict[str, Any]:
    """Print the table of one height. Returns what is kept of it."""
    print(f"{height} lines, {len(minutes[0].fps)} sessions")
    print_table(
        ["minute", "MB", "files", "threads", "CPU %", "lowest fps", "longest gap s", "slowest p95 ms"],
        [
            [
                str(n), one.memory_mb, str(one.descriptors), str(one.threads), 100 * one.cpu, min(one.fps),
                max(one.gap_s), max(one.p95_ms),
            ]
            for n, one in enumerate(minutes, start=1)
        ],
    )  # fmt: skip
    print(f"memory grows by {slope(minutes):.2f} MB a minute")
    return {"slope MB a minute": slope(minutes), "minutes": [asdict(one) for one in minutes]}
