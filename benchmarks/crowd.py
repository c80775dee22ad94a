"""`livery bench crowd`: sessions come one after another, until one is refused; what those in place notice.

A server runs in a process of its own. Each session is a publisher that shows the demo's face, wears a preset,
and has one viewer. After each arrival the benchmark waits until the figures are fresh. It reports the answer
to the newest publisher, and of those in place the time from picture to encoder, as the server measures it,
and the frame rate. Once one is refused, more are tried, which must change nothing. Each of these rounds
follows a calm one in which nobody asks, so that both are compared under the same load. With `--soak` a number
of sessions stays for minutes instead; memory, descriptors, threads and pictures are counted. Everything stays
on this machine; the number of sessions and the time are bounded.
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
ASKED_S = 1.5  # from a refusal to the figures, which are of the last 3 s and of 1 s more if they come late
CALM_S = 5.0  # a calm round: as long as it takes until the figures hold nothing of the last refusal


@dataclass(frozen=True, slots=True)
class Arrival:
    """What followed when one more session came, or in a calm round.

    Attributes:
        height: lines of the pictures.
        calm: nobody asked.
        refused: what the server said. Empty if it let the session in, or if nobody asked.
        in_place: sessions that are live now.
        p50: median time from picture to encoder, ms, of the session where it is longest.
        p95: of each session in place, in the order of their coming, ms.
        fps: the lowest frame rate of those in place.
    """

    height: int
    calm: bool
    refused: str
    in_place: int
    p50: float
    p95: tuple[float, ...]
    fps: float


async def measure(origin: str, most: int, settle_s: float, height: int, fps: int) -> list[Arrival]:
    """Let sessions in until one is refused, then go on trying, by turns with calm rounds.

    Args:
        origin: address of the server.
        most: how many are tried in all.
        settle_s: from an arrival to the figures, seconds.
        height: lines of the pictures.
        fps: pictures a second.
    """
    aiortc_patch.install()
    rows: list[Arrival] = []
    pictures, in_place = demo_clip(height, fps), list[Visitor]()
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        for _ in range(most):
            if rows and rows[-1].refused:
                await asyncio.sleep(CALM_S)
                rows.append(_arrival(height, "", await _figures(in_place), calm=True))
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
            await asyncio.sleep(ASKED_S if said else settle_s)
            rows.append(_arrival(height, said, await _figures(in_place)))
    return rows


async def _figures(visitors: list[Visitor]) -> list[dict[str, Any]]:
    return list(await asyncio.gather(*(each.figures() for each in visitors)))


def _arrival(height: int, said: str, figures: list[dict[str, Any]], *, calm: bool = False) -> Arrival:
    times = [each["latency_ms"] or {"p50": float("nan"), "p95": float("nan")} for each in figures]
    return Arrival(
        height,
        calm,
        said,
        len(figures),
        max((each["p50"] for each in times), default=float("nan")),
        tuple(each["p95"] for each in times),
        min((each["fps_out"] for each in figures), default=float("nan")),
    )


def harm(rows: list[Arrival]) -> list[float]:
    """How much longer frames take while others are refused: median p95 over that of the calm rounds.

    One value for each session in place. Only rounds with the last number of sessions count, since one may be
    let in after another was refused. Empty if none was let in, none was refused, or no round was calm.
    """
    kept = [row for row in rows if row.in_place == rows[-1].in_place]
    calm, asked = [row.p95 for row in kept if row.calm], [row.p95 for row in kept if row.refused]
    if not calm or not asked:
        return []
    columns = zip(zip(*calm, strict=True), zip(*asked, strict=True), strict=True)
    return [median(during) / median(before) for before, during in columns]


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
                "nobody" if r.calm else r.refused or "let in",
                str(r.in_place),
                r.p50,
                max(r.p95, default=float("nan")),
                r.fps,
            ]
            for r in rows
        ],
    )
    fit, refused = sum(not r.refused and not r.calm for r in rows), sum(bool(r.refused) for r in rows)
    ratios = harm(rows)
    if ratios:
        told = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(
            f"{fit} fit; {refused} more were refused: p95 of those in place was {told} x that of calm rounds"
        )
    return {
        "fit": fit,
        "refused": refused,
        "p95 ratios": ratios,
        "arrivals": [
            {
                "calm": r.calm,
                "refused": r.refused,
                "in place": r.in_place,
                "p50 ms": r.p50,
                "p95 ms": list(r.p95),
                "fps": r.fps,
            }
            for r in rows
        ],
    }
