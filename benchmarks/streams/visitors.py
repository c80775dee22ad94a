"""Sessions of a live server, as their users see them: each publishes, wears a preset, and is watched."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import aiohttp
import av
from aiortc import MediaStreamTrack, RTCPeerConnection
from aiortc.mediastreams import VIDEO_TIME_BASE, MediaStreamError

from benchmarks.streams import live
from stream.colour.frames import to_frame
from stream.media.demo import DemoSource
from stream.rtc.codecs import LiveEncoder, LiveEncoderConfig

LOOP_S = 4
WIDTHS = {360: 640, 540: 960, 720: 1280}  # heights of the pictures, and their widths
Figures = dict[str, Any]


def demo_clip(height: int, fps: int) -> live.EncodedClip:
    """Encode the demo's pictures once, so that the publishers cost little.

    Args:
        height: a key of `WIDTHS`.
        fps: pictures a second.
    """
    encoder = LiveEncoder("H264", LiveEncoderConfig(keyframe_every_s=1.0))
    source, packets = DemoSource((height, WIDTHS[height]), fps), []
    for number in range(fps * LOOP_S):
        frame = to_frame(source.frame(number).copy(), number * 90_000 // fps, VIDEO_TIME_BASE)
        packets.append(b"".join(bytes(packet) for packet in encoder.encode(frame)))
    return live.EncodedClip(packets, list(range(len(packets))))


class Visitor:
    """One session, from its opening to its viewer.

    Attributes:
        seen: (monotonic time) of every picture that the viewer decoded. The caller may clear it.
    """

    def __init__(self, http: aiohttp.ClientSession, origin: str, opened: dict[str, Any]) -> None:
        self.seen: list[float] = []
        self._http, self._origin, self._id = http, origin, opened["id"]
        self._token: str = opened["token"]
        self._headers = {"Authorization": f"Bearer {self._token}"}

    async def post(self, path: str, body: dict[str, Any]) -> None:
        """POST JSON below the session's address. Raises aiohttp.ClientResponseError."""
        url = f"{self._origin}/api/sessions/{self._id}/{path}"
        async with self._http.post(url, json=body, headers=self._headers) as answer:
            answer.raise_for_status()

    async def enter(self, stack: contextlib.AsyncExitStack, pictures: live.EncodedClip, fps: int) -> None:
        """Publish, dress and watch, until `stack` ends.

        Raises:
            RefusedError: the server did not let it in.
        """
        camera = await stack.enter_async_context(live.new_peer())
        camera.addTransceiver(live.ClipTrack(pictures, fps), "sendonly")
        live.prefer_h264(camera)
        await live.offer_to(self._http, f"{self._origin}/whip/{self._id}", camera, self._token)
        await self.post("reference", {"auto": True})
        await self.post("preset", {"name": "lipstick"})
        viewer = await stack.enter_async_context(live.new_peer())
        viewer.addTransceiver("video", direction="recvonly")
        self._watch(viewer, stack)
        await live.offer_to(self._http, f"{self._origin}/whep/{self._id}", viewer, self._token)

    def _watch(self, viewer: RTCPeerConnection, stack: contextlib.AsyncExitStack) -> None:
        async def read(track: MediaStreamTrack) -> None:
            with contextlib.suppress(MediaStreamError):
                while isinstance(await track.recv(), av.VideoFrame):
                    self.seen.append(time.monotonic())

        def begin(track: MediaStreamTrack) -> None:
            stack.callback(asyncio.ensure_future(read(track)).cancel)

        viewer.on("track", begin)

    async def figures(self) -> Figures:
        """The newest statistics of the session."""
        url = f"{self._origin}/api/sessions/{self._id}/events"
        async with self._http.ws_connect(url, protocols=("livery", f"bearer.{self._token}")) as socket:
            while True:
                message: Figures = await socket.receive_json(timeout=10)
                if message["type"] == "stats":
                    return message


async def open_visitor(http: aiohttp.ClientSession, origin: str) -> Visitor:
    """Open a session. Raises aiohttp.ClientResponseError."""
    async with http.post(f"{origin}/api/sessions") as answer:
        answer.raise_for_status()
        return Visitor(http, origin, await answer.json())
