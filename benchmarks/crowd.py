"""`livery bench crowd`: sessions come one after another, until one is refused; what those in place notice.

A server runs in a process of its own. Each session is a publisher that shows the demo's face, wears a preset,
and has one viewer. After each arrival the benchmark waits until the figures are fresh. It reports the answer
to the newest publisher, and of those in place the time from picture to encoder, as the server measures it,
and the frame rate. Once one is refused, more are tried, which must change nothing. With `--soak` a number of
sessions stays for minutes instead; memory, descriptors, threads and pictures are counted. Everything stays on
this machine; the number of sessions and the time are bounded.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

from benchmarks.common import metadata, print_table, write_results
from benchmarks.streams import live, soak
from benchmarks.streams.visitors import WIDTHS, Visitor, demo_clip, open_visitor
from stream.rtc import aiortc_patch

MOST_SESSIONS, MOST_MINUTES = 64, 120
REFUSED = 503


@dataclass(frozen=True, slots=True)
class Arrival:
    """What followed when one more session came.

    Attributes:
        height: lines of the pictures.
        refused: what the server said. Empty if it let the session in.
        in_place: sessions that are live now.
        p50: median time from picture to encoder, ms, of the session where it is longest.
        p95: of each session in place, in the order of their coming, ms.
        fps: the lowest frame rate of those in place.
    """

    height: int
    refused: str
    in_place: int
    p50: float
    p95: tuple[float, ...]
    fps: float


async def measure(origin: str, most: int, settle_s: float, height: int, fps: int) -> list[Arrival]:
    """Let sessions in until one is refused, then go on trying. `most` are tried in all."""
    aiortc_patch.install()
    rows: list[Arrival] = []
    pictures, in_place = demo_clip(height, fps), list[Visitor]()
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        for _ in range(most):
            visitor = await open_visitor(http, origin)
            said = ""
            try:
                await visitor.enter(stack, pictures, fps)
            except live.RefusedError as exc:
                if exc.status != REFUSED:
                    raise
                said = str(exc).partition('"error": "')[2].partition('"')[0]
            else:
                in_place.append(visitor)
            await asyncio.sleep(settle_s / 4 if said else settle_s)
            rows.append(_arrival(height, said, [await each.figures() for each in in_place]))
    return rows


def _arrival(height: int, said: str, figures: list[dict[str, Any]]) -> Arrival:
    times = [each["latency_ms"] or {"p50": float("nan"), "p95": float("nan")} for each in figures]
    return Arrival(
        height,
        said,
        len(figures),
        max((each["p50"] for each in times), default=float("nan")),
        tuple(each["p95"] for each in times),
        min((each["fps_out"] for each in figures), default=float("nan")),
    )


def harm(rows: list[Arrival]) -> list[float]:
    """How much longer frames take once others are refused: p95 over p95 before, of each session in place.

    Before is when the last session had been let in; afterwards is the median over all that were refused.
    Empty if none was let in or none was refused.
    """
    before = next((row for row in reversed(rows) if not row.refused), None)
    after = [row.p95 for row in rows if row.refused]
    if before is None or not after:
        return []
    return [median(each) / was for was, each in zip(before.p95, zip(*after, strict=True), strict=True)]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `livery bench crowd`."""
    parser.add_argument("--most", type=int, default=6, help=f"sessions to try, at most {MOST_SESSIONS}")
    parser.add_argument("--settle", type=float, default=22.0, help="seconds from an arrival to the figures")
    parser.add_argument("--max-load", default="0.95", help="the server's; 0 refuses nobody")
    parser.add_argument(
        "--height",
        type=int,
        nargs="+",
        default=[360],
        choices=WIDTHS,
        help="lines of the pictures",
    )
    parser.add_argument("--fps", type=int, default=15, help="pictures a second, at most 60")
    parser.add_argument("--soak", type=float, default=0.0, metavar="MINUTES", help="keep them for so long")
    parser.add_argument("--sessions", type=int, default=3, help="with --soak: sessions that stay")


def run(args: argparse.Namespace) -> int:
    """Measure and print the tables. Returns 0.

    Raises:
        ValueError: an option is out of range.
        RefusedError: with --soak: the server did not let a session in.
    """
    for name, value, least, most in (
        ("--most", args.most, 1, MOST_SESSIONS),
        ("--sessions", args.sessions, 1, MOST_SESSIONS),
        ("--fps", args.fps, 1, 60),
        ("--soak", args.soak, 0, MOST_MINUTES),
    ):
        if not least <= value <= most:
            raise ValueError(f"{name} must lie in [{least}, {most}], got {value}")
    arguments = ["server.py", "--port", "0", "--no-store", "--max-load", args.max_load]
    arguments += ["--max-sessions", str(max(args.most, args.sessions))]
    found: dict[str, Any] = {}
    for height in args.height:
        with (
            tempfile.TemporaryDirectory() as folder,
            live.server_process(arguments, Path(folder) / "log") as (origin, process),
        ):
            if args.soak:
                pictures = demo_clip(height, args.fps)
                minutes = asyncio.run(
                    soak.watch(origin, process, pictures, args.fps, args.sessions, args.soak)
                )
                found[str(height)] = soak.show(minutes, height)
            else:
                rows = asyncio.run(measure(origin, args.most, args.settle, height, args.fps))
                found[str(height)] = show(rows)
    write_results("soak" if args.soak else "crowd", found, metadata(vars(args)))
    return 0


def show(rows: list[Arrival]) -> dict[str, Any]:
    """Print the table of one height. Returns what is kept of it."""
    print_table(
        ["lines", "the next one", "in place", "slowest p50 ms", "slowest p95 ms", "lowest fps"],
        [
            [
                str(r.height),
                r.refused or "let in",
                str(r.in_place),
                r.p50,
                max(r.p95, default=float("nan")),
                r.fps,
            ]
            for r in rows
        ],
    )
    fit, refused, ratios = sum(not r.refused for r in rows), sum(bool(r.refused) for r in rows), harm(rows)
    if ratios:
        told = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"{fit} fit; while {refused} more were refused, p95 of those in place was {told} x as before")
    return {
        "fit": fit,
        "refused": refused,
        "p95 ratios": ratios,
        "arrivals": [
            {
                "refused": r.refused,
                "in place": r.in_place,
                "p50 ms": r.p50,
                "p95 ms": list(r.p95),
                "fps": r.fps,
            }
            for r in rows
        ],
    }
