"""`livery bench latency`: delay of the picture through the server, beside an echo of plain aiortc.

The delay is measured from glass to glass by a time code in the picture.

A client process publishes a 720p30 clip over WHIP. The clip is encoded beforehand, so that the client costs
little. The server edits it with a preset, and the same client receives it over WHEP and decodes it. Latency
is the time from handing the encoded frame to the client's sender until the edited frame is decoded. It does
not include camera, capture encoder and display. The echo is aiortc as installed, in its own process, and
edits nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import psutil

from benchmarks.common import metadata, percentiles, print_table, results_dir, write_results
from benchmarks.streams import live
from stream.rtc import aiortc_patch

CLIP = "lp_d6"
LOOP_S = 10.0
SERVE = (
    "import sys; from stream.http.app import serve; from stream.config import ServerConfig; "
    "serve(ServerConfig(port=0, debug=True, matcher=sys.argv[1], keyframes=sys.argv[2] == 'True'))"
)
STALL_S = 5.0
SAMPLE_S = 0.25


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark."""
    parser.add_argument("--seconds", type=float, default=60.0, help="measured time of each run")
    parser.add_argument("--warm-up", type=float, default=5.0, help="seconds before, not measured")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; the best by p95 is reported")
    parser.add_argument("--clip", default=CLIP, help="a clip of portraits/val, or 'demo'")
    parser.add_argument("--preset", default="lipstick", help="the edit that is worn, or 'none'")
    parser.add_argument("--matcher", default="auto", help="see `livery serve --matcher`")
    parser.add_argument("--keyframes", action="store_true", help="as `livery serve --keyframes`")
    parser.add_argument("--no-echo", action="store_true", help="leave the plain aiortc echo out")
    parser.add_argument(
        "--stall", action="store_true", help="also hold the pipeline for 5 s and see it recover"
    )
    parser.add_argument("--name", default="latency", help="of the files written to benchmarks/results/")


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, write JSON and a plot. Returns 1 if no frame came back."""
    aiortc_patch.install()
    clip = live.encode_clip(None if args.clip == "demo" else args.clip, LOOP_S)
    runs: list[Run] = []
    for number in range(args.repeat):
        runs.append(asyncio.run(measure_server(clip, args)))
        if not args.no_echo:
            runs.append(asyncio.run(measure_echo(clip, args)))
        print(f"run {number + 1} of {args.repeat} done", flush=True)
    best = [min(group, key=lambda one: one.latency()["p95"]) for group in grouped(runs)]
    headers = ["", "p50 ms", "p95 ms", "p99 ms", "fps", "drops %", "CPU %", "RSS MB", "frames"]
    print_table(headers, [row(one) for one in best])
    results: dict[str, Any] = {"best": [one.summary() for one in best], "runs": [o.summary() for o in runs]}
    stalled: Stall | None = None
    if args.stall:
        stalled = asyncio.run(measure_stall(clip, args))
        results["stall"] = stalled.summary()
        print_table(["stall", "value"], [[name, value] for name, value in stalled.summary().items()])
    write_results(args.name, results, metadata(vars(args)))
    plot(best, stalled, results_dir() / f"{args.name}.png")
    return 0 if all(one.delays for one in best) else 1


@dataclass(slots=True)
class Run:
    """One measured run.

    Attributes:
        name: name of the server.
        seconds: measured time.
        delays: (seconds since the start of the run, latency in seconds) of each frame received.
        sent, received: different frames sent and received in the measured time.
        cpu: CPU time of the server over wall time; 1 is one core.
        rss: resident memory at the end, bytes.
        told: the server's own statistics at the end.
    """

    name: str
    seconds: float
    delays: list[tuple[float, float]] = field(default_factory=list)
    sent: int = 0
    received: int = 0
    cpu: float = 0.0
    rss: int = 0
    told: dict[str, Any] = field(default_factory=dict)

    def latency(self) -> dict[str, float]:
        """Return percentiles of the latency, milliseconds. Infinite if no frame came back."""
        if not self.delays:
            return dict.fromkeys(("p50", "p95", "p99"), float("inf"))
        return percentiles(1000 * delay for _, delay in self.delays)

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


def row(one: Run) -> list[str | float]:
    """Return a line of the table."""
    summary, latency = one.summary(), one.latency()
    return [
        one.name,
        *latency.values(),
        summary["fps"],
        100 * summary["drops"],
        100 * one.cpu,
        one.rss / 1e6,
        str(one.received),
    ]


def grouped(runs: Iterable[Run]) -> list[list[Run]]:
    """Group runs by name, in the order in which the names first occur."""
    groups: dict[str, list[Run]] = {}
    for one in runs:
        groups.setdefault(one.name, []).append(one)
    return list(groups.values())


async def observe(
    one: Run, source: live.ClipTrack, arrivals: live.Arrivals, process: psutil.Process, warm_up_s: float
) -> None:
    """Wait while a run is measured, and fill in its figures."""
    await asyncio.sleep(warm_up_s)
    from_s, cpu_s = time.monotonic(), live.cpu_s(process)
    await asyncio.sleep(one.seconds)
    until_s = time.monotonic()
    one.cpu, one.rss = (live.cpu_s(process) - cpu_s) / (until_s - from_s), process.memory_info().rss
    await asyncio.sleep(1.0)  # for frames that are still on their way
    one.delays, one.sent, one.received = live.match_frames(source.sent, arrivals.seen, from_s, until_s)


async def measure_server(clip: live.EncodedClip, args: argparse.Namespace) -> Run:
    """Measure Livery: publish, wear the preset, watch."""
    one = Run("livery", args.seconds)
    async with contextlib.AsyncExitStack() as stack:
        session = await open_session(stack, clip, args)
        await observe(one, session.source, session.arrivals, session.process, args.warm_up)
        one.told = await session.tell()
    return one


async def measure_echo(clip: live.EncodedClip, args: argparse.Namespace) -> Run:
    """Measure aiortc's echo: the same source, sent back."""
    one = Run("aiortc echo", args.seconds)
    async with contextlib.AsyncExitStack() as stack:
        log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "echo.log"
        url, process = stack.enter_context(live.server_process(["-m", "benchmarks.streams.echo"], log))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        peer = await stack.enter_async_context(live.new_peer())
        source, arrivals = live.ClipTrack(clip), live.Arrivals()
        watching = live.watch_first(peer, arrivals)
        peer.addTransceiver(source, "sendrecv")
        live.prefer_h264(peer)
        await live.offer_to(http, f"{url}/offer", peer)
        await observe(one, source, arrivals, process, args.warm_up)
        watching.cancel()
    return one


@dataclass(slots=True)
class MeasuredSession:
    """A session that this process publishes, edits and watches."""

    http: aiohttp.ClientSession
    url: str
    token: str
    process: psutil.Process
    source: live.ClipTrack
    arrivals: live.Arrivals

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """POST JSON to a path of the session.

        Raises:
            RuntimeError: the server refused; the message is the server's.
        """
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.http.post(f"{self.url}{path}", json=body, headers=headers) as answer:
            if answer.status >= 300:
                raise RuntimeError(f"POST {path} answered {answer.status}: {await answer.text()}")
            return await answer.json() if answer.content_type == "application/json" else None

    async def live(self) -> None:
        """Wait until the server has seen some pictures. Raises TimeoutError after 30 s."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with asyncio.timeout(30):
            while True:
                async with self.http.get(self.url, headers=headers) as answer:
                    source = (await answer.json())["source"]
                if source is not None and source["fps"] > 0:
                    return
                await asyncio.sleep(0.2)

    async def tell(self) -> dict[str, Any]:
        """Return the session's own statistics, from its events socket."""
        protocols = ("livery", f"bearer.{self.token}")
        async with self.http.ws_connect(f"{self.url}/events", protocols=protocols) as events:
            async with asyncio.timeout(10):
                while True:
                    message = await events.receive_json()
                    if message.get("type") == "stats":
                        return dict(message)


async def open_session(
    stack: contextlib.AsyncExitStack, clip: live.EncodedClip, args: argparse.Namespace
) -> MeasuredSession:
    """Start the server, publish, take a reference, wear the preset, watch."""
    log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "server.log"
    url, process = stack.enter_context(
        live.server_process(["-c", SERVE, args.matcher, str(args.keyframes)], log)
    )
    http = await stack.enter_async_context(aiohttp.ClientSession())
    async with http.post(f"{url}/api/sessions") as answer:
        tickets = await answer.json()
    source, arrivals = live.ClipTrack(clip), live.Arrivals()
    session = MeasuredSession(
        http, f"{url}/api/sessions/{tickets['id']}", tickets["token"], process, source, arrivals
    )
    publisher = await stack.enter_async_context(live.new_peer())
    publisher.addTransceiver(source, "sendonly")
    live.prefer_h264(publisher)
    await live.offer_to(http, url + tickets["whip"], publisher, tickets["token"])
    await session.live()
    if args.preset != "none":
        await session.post("/reference", {})
        await session.post("/preset", {"name": args.preset})
    viewer = await stack.enter_async_context(live.new_peer())
    watching = live.watch_first(viewer, arrivals)
    stack.callback(watching.cancel)
    viewer.addTransceiver("video", "recvonly")
    live.prefer_h264(viewer)
    await live.offer_to(http, url + tickets["whep"], viewer, tickets["token"])
    return session


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


async def measure_stall(clip: live.EncodedClip, args: argparse.Namespace) -> Stall:
    """Hold the server's pipeline as a hanging model would, and watch latency and memory."""
    async with contextlib.AsyncExitStack() as stack:
        session = await open_session(stack, clip, args)
        await asyncio.sleep(args.warm_up)
        start_s, rss = time.monotonic(), []
        began_s = float("nan")
        while (at_s := time.monotonic() - start_s) < 2 * STALL_S + 6.0:
            rss.append((at_s, session.process.memory_info().rss))
            if at_s >= STALL_S and np.isnan(began_s):
                await session.post("/debug/stall", {"seconds": STALL_S})
                began_s = at_s
            await asyncio.sleep(SAMPLE_S)
        delays, _, _ = live.match_frames(
            session.source.sent, session.arrivals.seen, start_s, time.monotonic()
        )
        return Stall(began_s, [(at_s + delay, delay) for at_s, delay in delays], rss)


def plot(best: list[Run], stalled: Stall | None, path: Path) -> None:
    """Plot latency over time, its distribution, and the stall if measured, as PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2 + (stalled is not None), figsize=(6 * (2 + (stalled is not None)), 4))
    for one in best:
        times, delays = zip(*one.delays, strict=True) if one.delays else ((), ())
        ms = 1000 * np.array(delays)
        axes[0].plot(times, ms, ".", markersize=2, label=one.name)
        axes[1].plot(np.sort(ms), 100 * np.arange(1, len(ms) + 1) / max(len(ms), 1), label=one.name)
    axes[0].set(xlabel="time, s", ylabel="latency, ms", ylim=(0, None), title="Each frame")
    axes[1].set(xlabel="latency, ms", ylabel="frames below, %", xlim=(0, None), title="Distribution")
    axes[0].legend()
    axes[1].legend(loc="lower right")
    if stalled is not None:
        times, delays = zip(*stalled.delays, strict=True)
        axes[2].semilogy(times, 1000 * np.array(delays), ".", markersize=3)
        axes[2].axvspan(stalled.began_s, stalled.began_s + STALL_S, alpha=0.2, label="pipeline held")
        axes[2].set(xlabel="arrival, s", ylabel="latency, ms", title="Held for 5 s")
        axes[2].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    print(f"written: benchmarks/results/{path.name}")
