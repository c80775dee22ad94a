"""A client that measures a live server from outside, with a time-coded source, WHIP and WHEP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import av
import cv2
import numpy as np
import psutil
from aioice.ice import get_host_addresses
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import VIDEO_TIME_BASE, MediaStreamError
from yarl import URL

from benchmarks.common import ROOT, portraits_dir, read_clip
from benchmarks.streams import timecode
from benchmarks.streams.relay import Relay
from correspondence import Image
from stream.colour.frames import to_frame
from stream.media.demo import DemoSource
from stream.rtc import ice
from stream.rtc.codecs import LiveEncoder, LiveEncoderConfig

FPS = 30
SIZE = (720, 1280)
KEYFRAME_EVERY_S = 2.0
START_S = 120.0  # longest start of a server


@dataclass(frozen=True, slots=True)
class EncodedClip:
    """A loop of encoded frames, each with its own time code.

    Attributes:
        packets: H.264 access units. The first one is a key frame.
        codes: the time code of each frame: milliseconds since the loop's start.
    """

    packets: list[bytes]
    codes: list[int]


def source_pictures(name: str | None, count: int) -> Iterator[Image]:
    """Return 720p pictures: a portrait clip played forward and backward, or the demo without a clip."""
    if name is None:
        demo = DemoSource(SIZE, FPS)
        yield from (demo.frame(index).copy() for index in range(count))
        return
    frames = read_clip(portraits_dir() / "val" / f"{name}.mp4", limit=count // 2 + 1)
    order = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    for index in range(count):
        yield widen(frames[order[index % len(order)]])


def widen(image: Image) -> Image:
    """Scale to 720 lines and fill the sides with the picture itself, enlarged and blurred."""
    height, width = SIZE
    side = cv2.resize(image, (height * image.shape[1] // image.shape[0], height))
    wide = cv2.resize(cv2.blur(cv2.resize(image, (64, 36)), (5, 5)), (width, height))
    left = (width - side.shape[1]) // 2
    wide[:, left : left + side.shape[1]] = side
    return np.asarray(wide, dtype=np.uint8)


def encode_clip(name: str | None, seconds: float, bitrate_bps: int = 4_000_000) -> EncodedClip:
    """Draw the codes and encode, before anything is measured, so that the client costs little."""
    encoder = LiveEncoder(
        "H264", LiveEncoderConfig(bitrate_bps=bitrate_bps, keyframe_every_s=KEYFRAME_EVERY_S)
    )
    packets, codes = [], []
    for index, picture in enumerate(source_pictures(name, round(seconds * FPS))):
        code = round(1000 * index / FPS)
        timecode.draw(picture, code)
        frame = to_frame(picture, index * 90_000 // FPS, VIDEO_TIME_BASE)
        packets.append(b"".join(bytes(packet) for packet in encoder.encode(frame)))
        codes.append(code)
    return EncodedClip(packets, codes)


class ClipTrack(MediaStreamTrack):
    """Sends a clip repeatedly at its rate. `sent_s` holds when each code was last sent."""

    kind = "video"

    def __init__(self, clip: EncodedClip, fps: float = FPS) -> None:
        super().__init__()
        self.sent: list[tuple[float, int]] = []  # (monotonic time, code) of every frame
        self.started = asyncio.Event()
        self._clip, self._fps = clip, fps
        self._start_s: float | None = None

    async def recv(self) -> Any:
        """Return the next packet at its time."""
        if self.readyState != "live":
            raise MediaStreamError
        count = len(self.sent)
        if self._start_s is None:
            self._start_s = time.monotonic()
            self.started.set()
        await asyncio.sleep(max(self._start_s + count / self._fps - time.monotonic(), 0.0))
        at = count % len(self._clip.packets)
        packet = av.Packet(self._clip.packets[at])
        packet.pts, packet.time_base = round(count * 90_000 / self._fps), VIDEO_TIME_BASE
        self.sent.append((time.monotonic(), self._clip.codes[at]))
        return packet


@dataclass(slots=True)
class Arrivals:
    """The frames that a viewer saw: (monotonic time, code or None) of every decoded frame."""

    seen: list[tuple[float, int | None]] = field(default_factory=list)

    async def watch(self, track: MediaStreamTrack) -> None:
        """Read a track until it ends."""
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                now_s = time.monotonic()
                if isinstance(frame, av.VideoFrame):
                    self.seen.append((now_s, read_code(frame)))


def match_frames(
    sent: list[tuple[float, int]], seen: list[tuple[float, int | None]], from_s: float, until_s: float
) -> tuple[list[tuple[float, float]], int, int]:
    """Compute the latency of each frame that was sent in [from_s, until_s).

    Codes repeat with the loop. An arrival belongs to the last sending of its code before it.

    Returns: (time of sending since `from_s`, latency) of each frame that arrived, seconds; the number of
        frames sent; the number of different frames that arrived.
    """
    sendings: dict[int, list[float]] = {}
    for at_s, code in sent:
        sendings.setdefault(code, []).append(at_s)
    first: dict[float, float] = {}
    for at_s, found in seen:
        before = [s for s in sendings.get(found, []) if s <= at_s] if found is not None else []
        if before:
            first.setdefault(before[-1], at_s)
    delays = [(s - from_s, at_s - s) for s, at_s in sorted(first.items()) if from_s <= s < until_s]
    return delays, sum(from_s <= at_s < until_s for at_s, _ in sent), len(delays)


def watch_first(peer: RTCPeerConnection, arrivals: Arrivals | None) -> asyncio.Task[None]:
    """Watch the first track that the peer receives. With None the track is left unread."""
    arrived: asyncio.Future[MediaStreamTrack] = asyncio.get_running_loop().create_future()

    def on_track(track: MediaStreamTrack) -> None:
        if not arrived.done():
            arrived.set_result(track)

    async def watch() -> None:
        track = await arrived
        if arrivals is not None:
            await arrivals.watch(track)

    peer.on("track", on_track)
    return asyncio.ensure_future(watch())


def read_code(frame: av.VideoFrame) -> int | None:
    """Read the time code of a decoded frame from its top rows."""
    plane = frame.planes[0]
    rows = timecode.code_height(frame.height)
    strip = np.frombuffer(memoryview(plane)[: rows * plane.line_size], np.uint8).reshape(
        rows, plane.line_size
    )
    return timecode.read_rows(strip[:, : frame.width])


def prefer_h264(peer: RTCPeerConnection) -> None:
    """Offer H.264 first on every video transceiver."""
    codecs = RTCRtpSender.getCapabilities("video").codecs
    for transceiver in peer.getTransceivers():
        wanted = [c for c in codecs if c.name == "H264"] + [c for c in codecs if c.name != "H264"]
        transceiver.setCodecPreferences(wanted)


class RefusedError(RuntimeError):
    """A server did not take an offer.

    Args:
        url: where the offer went.
        status: HTTP status of the answer.
        said: body of the answer.
    """

    def __init__(self, url: str, status: int, said: str) -> None:
        super().__init__(f"POST {url} answered {status}: {said.strip()[:300]}")
        self.status = status


async def offer_to(
    http: aiohttp.ClientSession,
    url: str,
    peer: RTCPeerConnection,
    token: str = "",
    relay: Relay | None = None,
) -> str:
    """POST the peer's offer and take the answer.

    Args:
        http: client.
        url: WHIP or WHEP address.
        peer: connection with its transceivers.
        token: bearer token; empty for none.
        relay: makes the network between both sides. The peer is its side 0. None connects directly.

    Returns:
        Address of the resource that the server made, which DELETE ends. Empty if the server named none.

    Raises:
        RefusedError: the server did not answer 201.
    """
    await peer.setLocalDescription(await peer.createOffer())
    offer = peer.localDescription.sdp
    if relay is not None:
        await relay.start(get_host_addresses(use_ipv4=True, use_ipv6=False)[0])
        offer = relay.route(offer, 0)
    headers = {"Content-Type": "application/sdp"} | ({"Authorization": f"Bearer {token}"} if token else {})
    async with http.post(url, data=offer, headers=headers) as answer:
        text = await answer.text()
        if answer.status != 201:
            raise RefusedError(url, answer.status, text)
        resource = answer.headers.get("Location", "")
        made = str(answer.url.join(URL(resource))) if resource else ""
    await peer.setRemoteDescription(
        RTCSessionDescription(text if relay is None else relay.route(text, 1), "answer")
    )
    return made


@contextlib.asynccontextmanager
async def new_peer() -> AsyncIterator[RTCPeerConnection]:
    """Make a peer connection that is closed when the block ends."""
    peer = RTCPeerConnection(ice.peer_configuration())
    try:
        yield peer
    finally:
        await peer.close()


@contextlib.contextmanager
def server_process(
    arguments: list[str], log: Path, *, python: str = sys.executable, folder: Path = ROOT
) -> Iterator[tuple[str, psutil.Process]]:
    """Start a server and wait for the address that it prints. It is ended after the block.

    Args:
        arguments: arguments of `python`.
        log: receives the server's standard error.
        python: the interpreter.
        folder: the checkout whose code runs.

    Raises:
        RuntimeError: the server ended before it printed an address.
    """
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    command, environ = [python, *arguments], {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with (
        log.open("w", encoding="utf-8") as errors,
        subprocess.Popen(
            command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as child,
    ):
        too_long = threading.Timer(START_S, child.kill)
        too_long.start()
        try:
            assert child.stdout is not None
            line = child.stdout.readline()
            too_long.cancel()
            if " is at http" not in line:
                raise RuntimeError(f"the server did not start; it said {line!r}, see {log}")
            yield line.split(" is at ")[1].strip().rstrip("/"), psutil.Process(child.pid)
        finally:
            too_long.cancel()
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()


def cpu_s(process: psutil.Process) -> float:
    """CPU time that a process and its children have used so far, seconds."""
    everyone = [process, *process.children(recursive=True)]
    return sum(times.user + times.system for times in (one.cpu_times() for one in everyone))
