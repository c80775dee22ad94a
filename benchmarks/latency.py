"""`livery bench latency`: delay of the picture through a server, beside an echo of plain aiortc.

The delay is measured from glass to glass by a time code in the picture.

A client process publishes a 720p30 clip over WHIP. The clip is encoded beforehand, so that the client costs
little. The server edits it with a preset, and the same client receives it over WHEP and decodes it. Latency
is the time from handing the encoded frame to the client's sender until the edited frame is decoded. It does
not include camera, capture encoder and display. The echo is aiortc as installed, in its own process, and
edits nothing; it is measured once more with what Livery replaces in aiortc. The runs of each alternate. The
table shows the run of each with the median p95, then the best. `--url` measures a server that runs already,
`--camera` the way from camera to virtual camera, `--beside` another checkout's server.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import psutil

from benchmarks.common import ROOT, commit, metadata, print_table, results_dir, shown, write_results
from benchmarks.reports import limits, schemas
from benchmarks.streams import anywhere, booth, echo, live
from benchmarks.streams.neighbour import neighbour
from benchmarks.streams.profiles import HELP, parse_network
from benchmarks.streams.runs import FIGURES, HEADERS, Run, best, middle, observe, of_each
from benchmarks.streams.session import open_session, relay_of, start_server
from benchmarks.streams.stall import STALL_S, Stall, hold
from stream.config import with_cores
from stream.rtc import aiortc_patch

CLIP = "lp_d6"
LOOP_S = 10.0
ECHO, PATCHED_ECHO = "aiortc echo", "aiortc echo, Livery's changes"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark."""
    parser.add_argument("--seconds", type=float, default=60.0, help="measured time of each run")
    parser.add_argument("--warm-up", type=float, default=5.0, help="seconds before, not measured")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, by turns")
    parser.add_argument("--clip", default=CLIP, help="a clip of portraits/val, or 'demo'")
    parser.add_argument("--preset", default="lipstick", help="the edit that is worn, or 'none'")
    parser.add_argument("--matcher", default="auto", help="see `livery serve --matcher`")
    parser.add_argument("--keyframes", action=argparse.BooleanOptionalAction, help="as of `livery serve`")
    parser.add_argument("--no-echo", action="store_true", help="leave the two aiortc echoes out")
    parser.add_argument(
        "--stall", action="store_true", help="also hold the pipeline for 5 s and see it recover"
    )
    parser.add_argument("--network", type=parse_network, metavar="NETWORK", help=HELP)
    parser.add_argument(
        "--neighbour", type=float, metavar="SHARE",
        help="also measure beside a process that keeps one core busy for this share of the time",
    )  # fmt: skip
    parser.add_argument(
        "--camera", action="store_true", help="also measure `livery camera`, from camera to virtual camera"
    )
    parser.add_argument(
        "--beside", nargs=2, metavar=("PYTHON", "FOLDER"), default=[],
        help="also measure the server of another checkout, and the interpreter with its packages",
    )  # fmt: skip
    other = parser.add_argument_group("a server that runs already, of any kind")
    other.add_argument("--url", help="its WHIP address, or a Livery server's address; nothing is started")
    other.add_argument("--watch-url", metavar="URL", help="its WHEP address (default: --url's with whep)")
    other.add_argument("--token", default="", help="bearer token of --url")
    other.add_argument("--watch-token", metavar="TOKEN", help="that of --watch-url (default: --token)")
    other.add_argument("--pid", type=int, help="its process, if it runs here: its CPU time and memory")
    limits.configure(parser, FIGURES)
    parser.add_argument("--name", default="latency", help="of the files written to benchmarks/results/")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of the results and stop")


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, write JSON and a plot.

    Returns:
        1 if no frame came back or a limit of --fail-if was broken, else 0.

    Raises:
        ValueError: an option is out of range, or does not go with another.
        RuntimeError: a server did not start, or refused something.
    """
    if args.schema:
        print(json.dumps(schemas.SCHEMAS[schemas.LATENCY], indent=1))
        return 0
    _check(args)
    args.keyframes = with_cores(args.keyframes)
    aiortc_patch.install()
    clip = live.encode_clip(None if args.clip == "demo" else args.clip, LOOP_S)
    runs: list[Run] = []
    for number in range(args.repeat):
        runs += measure_each(clip, args)
        print(f"run {number + 1} of {args.repeat} done", flush=True)
    chosen = {"median": of_each(runs, middle), "best": of_each(runs, best)}
    results: dict[str, Any] = {"runs": [one.summary() for one in runs]}
    for name, rows in chosen.items():
        print_table((f"{name} of {args.repeat}", *HEADERS[1:]), [one.row() for one in rows])
        results[name] = [one.summary() for one in rows]
    stalled: Stall | None = None
    if args.stall:
        stalled = asyncio.run(measure_stall(clip, args))
        results["stall"] = stalled.summary()
        print_table(["stall", "value"], [[name, value] for name, value in stalled.summary().items()])
    told = {name: value for name, value in vars(args).items() if "token" not in name}  # never kept
    told["network"], told["fail_if"] = str(args.network), [limit.text for limit in args.fail_if]
    told["beside"] = commit(Path(args.beside[1])) if args.beside else None  # no path
    write_results(args.name, results, metadata(told), schemas.LATENCY)
    plot(chosen["median"], stalled, results_dir() / f"{args.name}.png")
    limited = {one.name: one.figures() for one in chosen["median"] if one.name not in (ECHO, PATCHED_ECHO)}
    return max(limits.verdict(args.fail_if, limited), int(not all(one.delays for one in chosen["median"])))


def _check(args: argparse.Namespace) -> None:
    """Raise ValueError for options that are out of range or do not go together."""
    for name, least in (("seconds", 0.5), ("warm_up", 0.0), ("repeat", 1)):
        if not getattr(args, name) >= least:
            raise ValueError(
                f"--{name.replace('_', '-')} must be at least {least:g}, got {getattr(args, name)}"
            )
    if args.neighbour is not None and not 0 < args.neighbour <= 1:
        raise ValueError(f"--neighbour must lie in (0, 1], got {args.neighbour:g}")
    if args.url is None and (args.watch_url or args.token or args.watch_token or args.pid):
        raise ValueError("--watch-url, --token, --watch-token and --pid belong to --url, which is missing")
    if args.beside and not (Path(args.beside[1]) / "stream").is_dir():
        raise ValueError(f"--beside: {args.beside[1]} is no checkout of Livery: it has no folder stream")
    if args.url is not None:
        if args.stall:
            raise ValueError("--stall holds a server of its own; leave --url out")
        anywhere.endpoints(args.url, args.watch_url, args.token, args.watch_token)
        if args.pid is not None and not psutil.pid_exists(args.pid):
            raise ValueError(f"--pid {args.pid}: there is no such process here")


def measure_each(clip: live.EncodedClip, args: argparse.Namespace) -> list[Run]:
    """Measure everything that was asked for once."""
    measure = measure_server if args.url is None else measure_url
    runs = [asyncio.run(measure(clip, args))]
    if args.neighbour is not None:
        with neighbour(args.neighbour):
            beside = asyncio.run(measure(clip, args))
        beside.name += f", neighbour of {args.neighbour:g}"
        runs.append(beside)
    if args.beside:
        python, folder = args.beside
        runs.append(asyncio.run(measure_server(clip, args, python, Path(folder).resolve())))
    if args.camera:
        pictures = live.source_pictures(None if args.clip == "demo" else args.clip, round(LOOP_S * live.FPS))
        arguments = [args.preset, args.matcher, str(args.keyframes)]
        source = booth.Pictures(pictures)
        runs.append(asyncio.run(booth.measure(source, arguments, args.seconds, args.warm_up)))
    if not args.no_echo:
        runs += [asyncio.run(measure_echo(clip, args, patched)) for patched in (False, True)]
    return runs


async def measure_server(
    clip: live.EncodedClip, args: argparse.Namespace, python: str = sys.executable, folder: Path = ROOT
) -> Run:
    """Measure the server of a checkout in a process of its own: publish, wear the preset, watch."""
    async with contextlib.AsyncExitStack() as stack:
        made = args.keyframes
        origin, process = start_server(stack, args.matcher, keyframes=made, python=python, folder=folder)
        one = await measure_session(stack, clip, args, origin, process)
    if folder != ROOT:
        one.name = f"livery {commit(folder)}"
    return one


async def measure_session(
    stack: contextlib.AsyncExitStack,
    clip: live.EncodedClip,
    args: argparse.Namespace,
    origin: str,
    process: psutil.Process | None,
) -> Run:
    """Measure a session of the Livery server at `origin`."""
    one = Run("livery", args.seconds)
    http = await stack.enter_async_context(aiohttp.ClientSession())
    preset = None if args.preset == "none" else args.preset
    session = await open_session(
        stack, http, origin, clip, preset=preset, network=args.network, token=args.token
    )
    await observe(one, session.source.sent, session.arrivals.seen, process, args.warm_up)
    one.told = await session.tell()
    return one


async def measure_url(clip: live.EncodedClip, args: argparse.Namespace) -> Run:
    """Measure the server of --url: what is published there is watched there."""
    where = anywhere.endpoints(args.url, args.watch_url, args.token, args.watch_token)
    process = None if args.pid is None else psutil.Process(args.pid)
    async with contextlib.AsyncExitStack() as stack:
        if where.watch is None:
            return await measure_session(stack, clip, args, where.publish, process)
        one = Run(where.publish, args.seconds)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        source, arrivals = await anywhere.connect(stack, http, where, clip, args.network)
        await observe(one, source.sent, arrivals.seen, process, args.warm_up)
        return one


async def measure_echo(clip: live.EncodedClip, args: argparse.Namespace, patched: bool) -> Run:
    """Measure aiortc's echo: the same source, sent back. `patched`: with what Livery replaces in aiortc."""
    one = Run(PATCHED_ECHO if patched else ECHO, args.seconds)
    arguments = ["-m", "benchmarks.streams.echo", *([echo.PATCHED] if patched else [])]
    async with contextlib.AsyncExitStack() as stack:
        log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "echo.log"
        url, process = stack.enter_context(live.server_process(arguments, log))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        peer = await stack.enter_async_context(live.new_peer())
        source, arrivals = live.ClipTrack(clip), live.Arrivals()
        watching = live.watch_first(peer, arrivals)
        peer.addTransceiver(source, "sendrecv")
        live.prefer_h264(peer)
        await live.offer_to(http, f"{url}/offer", peer, relay=relay_of(stack, args.network, rated=1))
        await observe(one, source.sent, arrivals.seen, process, args.warm_up)
        watching.cancel()
    return one


async def measure_stall(clip: live.EncodedClip, args: argparse.Namespace) -> Stall:
    """Measure a pipeline that is held, see `benchmarks.streams.stall`."""
    async with contextlib.AsyncExitStack() as stack:
        origin, process = start_server(stack, args.matcher, keyframes=args.keyframes)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        preset = None if args.preset == "none" else args.preset
        session = await open_session(stack, http, origin, clip, preset=preset)
        return await hold(session, process, args.warm_up)


def plot(rows: list[Run], stalled: Stall | None, path: Path) -> None:
    """Plot latency over time, its distribution, and the stall if measured, as PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2 + (stalled is not None), figsize=(6 * (2 + (stalled is not None)), 4))
    for one in rows:
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
    print(f"written: {shown(path)}")
