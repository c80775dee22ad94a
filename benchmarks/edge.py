"""`livery bench edge`: each change to aiortc before and after: latency, loss, encoders, unread tracks.

Two aiortc peers on this machine, in a process of their own for each case, one sending a 720p clip that was
encoded before (2.5 Mb/s, a key frame each 2 s; it cannot answer a request for one, as OBS does not). For the
loss a relay in user space delays and loses their datagrams.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import time
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
from aioice.ice import get_host_addresses
from aiortc import RTCSessionDescription, rtcpeerconnection, rtp
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.mediastreams import VIDEO_TIME_BASE
from aiortc.rtcrtpparameters import RTCRtcpParameters, RTCRtpCodecParameters, RTCRtpSendParameters

from benchmarks.common import metadata, percentiles, print_table, write_results
from benchmarks.streams import live
from benchmarks.streams.relay import Condition, Relay
from stream.colour.frames import to_frame
from stream.rtc import aiortc_patch
from stream.rtc.codecs import H264Sender, Vp8Sender

Figures = dict[str, Any]
ALL = tuple(aiortc_patch.PARTS)
LOOP_S = 6.0
RTT_S = 0.08


@dataclass(frozen=True, slots=True)
class Case:
    """A connection of two peers, with the settings of source, patch and relay.

    Attributes:
        name: name in the table.
        parts: installed parts of the patch.
        fps: frames per second of the source.
        delay_s: delay of the relay in each direction, seconds.
        loss: share of datagrams that the relay loses in each direction.
        seconds: measured time.
        read: whether anybody reads the track.
    """

    name: str
    parts: tuple[str, ...]
    fps: float = 30.0
    delay_s: float = 0.0
    loss: float = 0.0
    seconds: float = 6.0
    read: bool = True


def cases(seconds: float) -> dict[str, list[Case]]:
    """All connections that are measured, by table."""
    steps = {
        "aiortc": (),
        "+ marker, jump": ("jitter",),
        "+ NACK retry": ("jitter", "nack"),
        "+ history (all)": ALL,
    }
    return {
        "latency": [
            Case(f"{name}, {fps:g} fps", parts, fps=fps, seconds=seconds / 2)
            for fps in (15.0, 30.0)
            for name, parts in (("aiortc", ()), ("marker bit", ("jitter",)), ("all", ALL))
        ],
        "loss": [
            Case(f"{name}, {loss:.0%} loss", parts, delay_s=RTT_S / 2, loss=loss, seconds=2 * seconds)
            for loss in (0.01, 0.02)
            for name, parts in steps.items()
        ],
        "unread": [
            Case(name, parts, seconds=seconds / 2, read=False)
            for name, parts in (("aiortc", ()), ("all", ALL))
        ],
    }


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark."""
    parser.add_argument("--seconds", type=float, default=8.0, help="scales the measured time of each case")
    parser.add_argument("--clip", default="demo", help="a clip of portraits/val, or 'demo'")
    parser.add_argument(
        "--at-once", type=int, default=2, help="cases of the loss table measured side by side"
    )


def run(args: argparse.Namespace) -> int:
    """Measure, print the tables and write JSON. Returns 0."""
    clip = live.encode_clip(None if args.clip == "demo" else args.clip, LOOP_S, bitrate_bps=2_500_000)
    results: dict[str, list[Figures]] = {}
    for table, wanted in cases(args.seconds).items():
        results[table] = measure(wanted, clip, args.at_once if table == "loss" else 1)
        show(table, results[table])
    for table, function in (("encoders", encoders), ("history", history)):
        results[table] = function()
        show(table, results[table])
    write_results("edge", results, metadata(vars(args)))
    return 0


def show(title: str, rows: list[Figures]) -> None:
    """Print one table."""
    print(f"\n{title}")
    print_table(list(rows[0]), [list(one.values()) for one in rows])


def measure(wanted: list[Case], clip: live.EncodedClip, at_once: int) -> list[Figures]:
    """Run each case in a process of its own, since the patch changes the whole process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, mp_context=context, max_tasks_per_child=1) as pool:
        running: list[Future[Figures]] = [pool.submit(measure_case, case, clip) for case in wanted]
        return [one.result(timeout=300) for one in running]


def measure_case(case: Case, clip: live.EncodedClip) -> Figures:
    """Run one case in this process."""
    aiortc_patch.install(case.parts)
    return asyncio.run(connection(case, clip))


async def connection(case: Case, clip: live.EncodedClip) -> Figures:
    """Send through the relay and note what arrives, and when."""
    address = get_host_addresses(use_ipv4=True, use_ipv6=False)[0]
    relay, source, arrivals = Relay(), live.ClipTrack(clip, case.fps), live.Arrivals()
    relay.set(Condition(delay_s=case.delay_s))
    await relay.start(address)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(relay.close)
        near = await stack.enter_async_context(live.new_peer())
        far = await stack.enter_async_context(live.new_peer())
        watching = live.watch_first(far, arrivals if case.read else None)
        stack.callback(watching.cancel)
        near.addTransceiver(source, "sendonly")
        live.prefer_h264(near)
        await near.setLocalDescription(await near.createOffer())
        offer = relay.route(near.localDescription.sdp, 0)
        await far.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await far.setLocalDescription(await far.createAnswer())
        answer = relay.route(far.localDescription.sdp, 1)
        await near.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await asyncio.wait_for(source.started.wait(), 20)
        await asyncio.sleep(1.0)
        relay.set(Condition(delay_s=case.delay_s, loss=case.loss))
        from_s, rss = time.monotonic(), psutil.Process().memory_info().rss
        await asyncio.sleep(case.seconds)
        until_s, grown = time.monotonic(), psutil.Process().memory_info().rss - rss
        await asyncio.sleep(1.0)
    if not case.read:
        return {"": case.name, "memory MB/s": grown / 1e6 / case.seconds}
    return figures(case, source, arrivals, from_s, until_s)


def figures(
    case: Case, source: live.ClipTrack, arrivals: live.Arrivals, from_s: float, until_s: float
) -> Figures:
    """Compute the latency, the longest freeze, and the numbers of broken and missing frames."""
    delays, sent, received = live.match_frames(source.sent, arrivals.seen, from_s, until_s)
    shown_s = [at_s for at_s, _ in arrivals.seen if from_s <= at_s < until_s + 1.0]
    broken = sum(code is None for at_s, code in arrivals.seen if from_s <= at_s < until_s)
    freeze = max(np.diff([from_s, *shown_s]), default=until_s - from_s)
    ms = percentiles(1000 * delay for _, delay in delays)
    row: Figures = {"": case.name, **{f"{name} ms": value for name, value in ms.items()}}
    if case.loss:
        row |= {
            "longest freeze s": float(freeze),
            "not shown %": 100 * (1 - received / max(sent, 1)),
            "broken": str(broken),
        }
    return row


def encoders() -> list[Figures]:
    """Measure the CPU time of a 720p frame and the effect of a step of the bit rate."""
    rows = []
    pictures = list(live.source_pictures(None, 60))
    for name, encoder in (
        ("aiortc H.264", H264Encoder()),
        ("x264 superfast", H264Sender()),
        ("aiortc VP8", Vp8Encoder()),
        ("libvpx", Vp8Sender()),
    ):
        encoder.target_bitrate = 2_500_000
        sizes, cpu = [], []
        for index, picture in enumerate(pictures):
            frame = to_frame(picture, index * 3000, VIDEO_TIME_BASE)
            if index == 30:
                encoder.target_bitrate = 1_200_000  # as a receiver's estimate (REMB) would
            start_s = time.process_time()
            payloads, _ = encoder.encode(frame)
            cpu.append(time.process_time() - start_s)
            sizes.append(sum(map(len, payloads)))
        rows.append(
            {
                "": name,
                "CPU ms/frame": 1000 * float(np.median(cpu)),
                "kB/frame before": float(np.median(sizes[10:30])) / 1e3,
                "kB at the step": sizes[30] / 1e3,
            }
        )
    return rows


def history() -> list[Figures]:
    """Count the packets of a large key frame (170 kB) that the sender can still repeat."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        return [
            pool.submit(repeatable, name, parts).result(timeout=60)
            for name, parts in (("aiortc", ()), ("history", ("history",)))
        ]


def repeatable(name: str, parts: tuple[str, ...]) -> Figures:
    """Send one key frame without a receiver and ask for each of its packets, in this process."""
    aiortc_patch.install(parts)
    return {"": name, **asyncio.run(_repeat(170_000))}


class _Void:
    """A transport that stores what is sent."""

    state = "connected"

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def _send_rtp(self, data: bytes) -> None:
        self.sent.append(data)

    def _register_rtp_sender(self, *_: object) -> None: ...
    def _unregister_rtp_sender(self, *_: object) -> None: ...


async def _repeat(size: int) -> Figures:
    made: Any = rtcpeerconnection
    clip = live.EncodedClip([b"\0\0\0\1\x65" + bytes([7]) * size], [0])
    void = _Void()
    sender = made.RTCRtpSender(live.ClipTrack(clip, fps=0.1), void)
    h264 = RTCRtpCodecParameters(mimeType="video/H264", clockRate=90000, payloadType=101)
    await sender.send(RTCRtpSendParameters(codecs=[h264], rtcp=RTCRtcpParameters(cname="x")))
    await asyncio.sleep(0.3)
    numbers = [rtp.RtpPacket.parse(data).sequence_number for data in void.sent if not rtp.is_rtcp(data)]
    before = len(void.sent)
    for number in numbers:
        await sender._retransmit(number)
    repeated = len(void.sent) - before
    await sender.stop()
    return {"packets": str(len(numbers)), "repeatable": str(repeated)}
