"""`livery bench crowd`: sessions come one after another, until one is refused; what those in place notice.

A server runs in a process of its own. Each session is a publisher of 640 x 360 pictures at 15 a second that
shows the demo's face, wears a preset, and has one viewer. After each arrival the benchmark waits until the
figures are fresh. It reports the 95th percentile of the time to the encoder in the first session, as the
server measures it, its frame rate, and the answer to the next publisher. Once one is refused, more are tried,
which must change nothing. Everything stays on this machine; the number of sessions is bounded.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
from aiortc.mediastreams import VIDEO_TIME_BASE

from benchmarks.common import print_table
from benchmarks.streams import live
from stream.colour.frames import to_frame
from stream.media.demo import DemoSource
from stream.rtc import aiortc_patch
from stream.rtc.codecs import LiveEncoder, LiveEncoderConfig

SIZE, FPS, LOOP_S = (360, 640), 15, 4
MOST_SESSIONS = 8
REFUSED = 503


def clip() -> live.EncodedClip:
    """The demo's pictures, encoded once, so that the publishers cost little."""
    encoder, source = LiveEncoder("H264", LiveEncoderConfig(keyframe_every_s=1.0)), DemoSource(SIZE, FPS)
    packets = []
    for number in range(FPS * LOOP_S):
        frame = to_frame(source.frame(number).copy(), number * 90_000 // FPS, VIDEO_TIME_BASE)
        packets.append(b"".join(bytes(packet) for packet in encoder.encode(frame)))
    return live.EncodedClip(packets, list(range(len(packets))))


class Visitor:
    """One session, from its opening to its viewer."""

    def __init__(self, http: aiohttp.ClientSession, origin: str, opened: dict[str, Any]) -> None:
        self._http, self._origin, self._id = http, origin, opened["id"]
        self._token: str = opened["token"]
        self._headers = {"Authorization": f"Bearer {self._token}"}

    async def post(self, path: str, body: dict[str, Any]) -> None:
        """POST JSON below the session's address. Raises aiohttp.ClientResponseError."""
        url = f"{self._origin}/api/sessions/{self._id}/{path}"
        async with self._http.post(url, json=body, headers=self._headers) as answer:
            answer.raise_for_status()

    async def enter(self, stack: contextlib.AsyncExitStack, pictures: live.EncodedClip) -> None:
        """Publish, dress and watch.

        Raises:
            RefusedError: the server did not let it in.
        """
        camera = await stack.enter_async_context(live.new_peer())
        camera.addTransceiver(live.ClipTrack(pictures, FPS), "sendonly")
        live.prefer_h264(camera)
        await live.offer_to(self._http, f"{self._origin}/whip/{self._id}", camera, self._token)
        await self.post("reference", {"auto": True})
        await self.post("preset", {"name": "lipstick"})
        viewer = await stack.enter_async_context(live.new_peer())
        viewer.addTransceiver("video", direction="recvonly")
        await live.offer_to(self._http, f"{self._origin}/whep/{self._id}", viewer, self._token)

    async def figures(self) -> dict[str, Any]:
        """The newest statistics of the session."""
        url = f"{self._origin}/api/sessions/{self._id}/events"
        async with self._http.ws_connect(url, protocols=("livery", f"bearer.{self._token}")) as socket:
            while True:
                message: dict[str, Any] = await socket.receive_json(timeout=10)
                if message["type"] == "stats":
                    return message


async def measure(origin: str, most: int, settle_s: float) -> list[list[str | float]]:
    """Let sessions in until one is refused, then try as often again. Returns the table's rows."""
    aiortc_patch.install()
    rows: list[list[str | float]] = []
    pictures, in_place, first = clip(), 0, None
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        for _ in range(most):
            async with http.post(f"{origin}/api/sessions") as answer:
                visitor = Visitor(http, origin, await answer.json())
            try:
                await visitor.enter(stack, pictures)
            except live.RefusedError as exc:
                if exc.status != REFUSED:
                    raise
                said = str(exc).partition('"error": "')[2].partition('"')[0]
            else:
                said, in_place, first = "let in", in_place + 1, first or visitor
            await asyncio.sleep(settle_s if said == "let in" else settle_s / 4)
            assert first is not None
            stats = await first.figures()
            latency = stats["latency_ms"] or {"p50": float("nan"), "p95": float("nan")}
            rows.append([said, in_place, latency["p50"], latency["p95"], stats["fps_out"]])
    return rows


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `livery bench crowd`."""
    parser.add_argument("--most", type=int, default=6, help=f"sessions to try, at most {MOST_SESSIONS}")
    parser.add_argument("--settle", type=float, default=22.0, help="seconds from an arrival to the figures")
    parser.add_argument("--max-load", default="0.95", help="the server's; 0 refuses nobody")


def run(args: argparse.Namespace) -> int:
    """Measure and print the table. Returns 0.

    Raises:
        ValueError: --most is out of range.
    """
    if not 1 <= args.most <= MOST_SESSIONS:
        raise ValueError(f"--most must lie in [1, {MOST_SESSIONS}], got {args.most}")
    arguments = ["server.py", "--port", "0", "--no-store", "--max-load", args.max_load]
    with (
        tempfile.TemporaryDirectory() as folder,
        live.server_process(arguments, Path(folder) / "log") as (origin, _),
    ):
        rows = asyncio.run(measure(origin, args.most, args.settle))
    print_table(["the next one", "in place", "p50 ms", "p95 ms", "fps"], rows)
    return 0
