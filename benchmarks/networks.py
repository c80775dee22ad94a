"""`livery bench networks`: what a person sees over a poor network, and how fast the stream recovers.

A server runs in a process of its own. A client publishes 640 x 360 pictures with much detail and watches the
edited stream. A relay in user space makes the network poor on the way from the publisher (up) or to the
viewer (down); the other way is left good. The picture freezes for the longest time between two pictures that
the viewer gets. Rates are those of the datagrams that pass the relay.

Rows: loss and jitter; a link that falls to 300 kb/s and comes back; black-outs. The client's congestion
control is this project's (transport-wide feedback) or aiortc's own (REMB, which is what other clients have).
Everything stays on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import aiohttp
import av
import cv2
import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import VIDEO_TIME_BASE, MediaStreamError

from benchmarks.common import metadata, print_table, write_results
from benchmarks.streams import live
from benchmarks.streams.relay import Condition, Relay
from correspondence import Image
from stream.colour.frames import to_frame
from stream.rtc import aiortc_patch

Row = dict[str, str | float]
Direction = Literal["down", "up"]
DIRECTIONS: tuple[Direction, ...] = ("down", "up")
SIZE, FPS = (360, 640), 15
GOOD = Condition(delay_s=0.02)
WARM_S, RECOVERY_S = 8.0, 12.0
PARTS = {
    "transport-wide": tuple(aiortc_patch.PARTS),
    "REMB": tuple(part for part in aiortc_patch.PARTS if part != "congestion"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A bad time of a network: `bad` for `seconds`, then `GOOD` or `link` again.

    Attributes:
        link: what the network takes before and after, bits per second. None for no limit.
    """

    name: str
    bad: Condition
    seconds: float
    link: float | None = None
    direction: Direction = "down"
    client: str = "transport-wide"

    @property
    def usual(self) -> Condition:
        """The network before and after."""
        return Condition(delay_s=GOOD.delay_s, rate_bps=self.link)


def cases(seconds: float) -> list[Case]:
    """The rows, for both directions and both kinds of client."""
    bad = {
        "5 % loss, 50 ms jitter": (Condition(delay_s=0.02, jitter_s=0.05, loss=0.05), seconds, None),
        "1 Mb/s to 300 kb/s": (Condition(delay_s=0.02, rate_bps=300_000), seconds, 1e6),
        "black-out of 2 s": (Condition(down=True), 2.0, None),
    }
    return [
        Case(name=name, bad=condition, seconds=length, link=link, direction=direction, client=client)
        for name, (condition, length, link) in bad.items()
        for direction in DIRECTIONS
        for client in PARTS
    ]


class Detail(MediaStreamTrack):
    """Moving pictures with as much detail as a busy room, so that the encoder uses the rate that it may."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        drawn = np.random.default_rng(1).normal(128, 60, (SIZE[0] * 2, SIZE[1] * 2, 3))
        self._wide: Image = np.clip(cv2.GaussianBlur(drawn, (0, 0), 1.5) * 3 - 256, 0, 255).astype(np.uint8)
        self._number, self._start_s = 0, 0.0

    async def recv(self) -> av.VideoFrame:
        """The next picture, when it is due."""
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        self._start_s = self._start_s or loop.time()
        await asyncio.sleep(max(self._start_s + self._number / FPS - loop.time(), 0))
        self._number += 1
        near, far = self._part(7), self._part(13)  # two layers: no single motion predicts their sum
        picture = cv2.addWeighted(near, 0.5, far, 0.5, 0.0)
        return to_frame(np.asarray(picture, np.uint8), self._number * 90_000 // FPS, VIDEO_TIME_BASE)

    def _part(self, step: int) -> Image:
        """A part of the wide picture that sways."""
        x, y = (round(100 + 90 * np.sin(self._number / slow)) for slow in (step, 1.3 * step))
        return self._wide[y : y + SIZE[0], x : x + SIZE[1]]


class Screen:
    """Notes when each picture of a track arrives, and its size."""

    def __init__(self, track: MediaStreamTrack) -> None:
        self.seen: list[tuple[float, tuple[int, int]]] = []
        self._task = asyncio.create_task(self._watch(track))

    async def _watch(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while isinstance(frame := await track.recv(), av.VideoFrame):
                self.seen.append((asyncio.get_running_loop().time(), (frame.height, frame.width)))

    def freeze_s(self, from_s: float, until_s: float) -> float:
        """The longest time without a new picture in a period."""
        times = [from_s, *(at_s for at_s, _ in self.seen if from_s < at_s < until_s), until_s]
        return float(np.diff(times).max())

    def first_s(self, after_s: float) -> float:
        """How long after a time the next picture came, seconds. Infinite if none did."""
        return next((at_s - after_s for at_s, _ in self.seen if at_s > after_s), float("inf"))

    def heights(self, from_s: float, until_s: float) -> list[int]:
        """The heights of pictures in a period, each once, ascending."""
        return sorted({size[0] for at_s, size in self.seen if from_s < at_s < until_s})


async def measure(case: Case, origin: str) -> Row:
    """Run one case against a server at `origin`."""
    aiortc_patch.install(PARTS[case.client])
    loop = asyncio.get_running_loop()
    up, down = Relay(GOOD), Relay(GOOD)
    relay, to = (down, 0) if case.direction == "down" else (up, 1)
    sides = (1 - to,) if not case.bad.down else (0, 1)
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        async with http.post(f"{origin}/api/sessions") as answer:
            opened = await answer.json()
        relay.set(case.usual, sides)
        for one in (up, down):
            stack.callback(one.close)
        camera = await stack.enter_async_context(live.new_peer())
        viewer = await stack.enter_async_context(live.new_peer())
        camera.addTrack(Detail())
        live.prefer_h264(camera)
        await live.offer_to(http, f"{origin}/whip/{opened['id']}", camera, opened["token"], up)
        viewer.addTransceiver("video", direction="recvonly")
        live.prefer_h264(viewer)
        await live.offer_to(http, f"{origin}/whep/{opened['id']}", viewer, opened["token"], down)
        screen = Screen(viewer.getReceivers()[0].track)
        await asyncio.sleep(WARM_S)
        from_s = loop.time()
        relay.set(case.bad, sides)
        await asyncio.sleep(case.seconds)
        until_s = loop.time()
        relay.set(case.usual, sides)
        await asyncio.sleep(RECOVERY_S)
    return figures(case, screen, relay, to, from_s, until_s)


def figures(case: Case, screen: Screen, relay: Relay, to: int, from_s: float, until_s: float) -> Row:
    """Sum up one case. The bad time lasted from `from_s` until `until_s` on the loop's clock."""
    settled_s = from_s + min(2.0, case.seconds / 4)  # the rate has had time to follow
    before = relay.rate_bps(to, from_s - 3, from_s)
    return {
        "": case.name,
        "way": case.direction,
        "client": case.client,
        "kb/s before": before / 1000,
        "kb/s": relay.rate_bps(to, settled_s, until_s) / 1000,
        "heights": "/".join(map(str, screen.heights(settled_s, until_s))) or "-",
        "freeze s": screen.freeze_s(from_s, until_s),
        "picture after s": screen.first_s(until_s),
        "80 % after s": recovery_s(relay, to, before, until_s),
    }


def recovery_s(relay: Relay, to: int, before_bps: float, until_s: float) -> float:
    """Time after which the rate over a second reached 80 % of what it was, seconds. Infinite if never."""
    for step in range(round(10 * (RECOVERY_S - 1))):
        after_s = step / 10
        if relay.rate_bps(to, until_s + after_s, until_s + after_s + 1) >= 0.8 * before_bps:
            return after_s + 0.5  # the middle of that second
    return float("inf")


def run_case(case: Case) -> Row:
    """Run one case in this process, with a server of its own."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [
            "server.py",
            "--port",
            "0",
            "--no-store",
            "--matcher",
            "classical",
            "--log-level",
            "warning",
        ]
        with live.server_process(arguments, Path(folder) / "log") as (origin, _):
            return asyncio.run(measure(case, origin))


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `livery bench networks`."""
    parser.add_argument("--seconds", type=float, default=15.0, help="length of a bad time")
    parser.add_argument("--only", default="", help="run only rows whose name, way or client holds this text")


def run(args: argparse.Namespace) -> int:
    """Measure, print the table and write JSON. Returns 0.

    Raises:
        ValueError: no row holds the text of --only.
    """
    wanted = [c for c in cases(args.seconds) if args.only in f"{c.name} {c.direction} {c.client}"]
    if not wanted:
        raise ValueError(f"--only {args.only!r} matches no row")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        # one after the other, since each needs the processor
        rows = [pool.submit(run_case, case).result(timeout=300) for case in wanted]
    print_table(list(rows[0]), [list(row.values()) for row in rows])
    if not args.only:
        write_results("networks", rows, metadata(vars(args)))
    return 0
