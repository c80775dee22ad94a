"""A server on loopback and clients for it, for the tests of the live path."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import aiohttp
import av
import cv2
import numpy as np
from aiohttp import web
from aiortc import (
    AudioStreamTrack,
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError

from correspondence import Image, Landmarks, detect_landmarks
from reference.face.parts import INNER_LIPS, OUTER_LIPS
from stream.colour.frames import to_frame, to_rgb
from stream.config import ServerConfig
from stream.http.app import create_app
from stream.http.base import STORE
from stream.http.running import make_runner
from stream.media.demo import DemoSource
from stream.session.services import Services, load_services
from stream.session.session import Session

ROOT = Path(__file__).resolve().parent.parent.parent
SIZE = (480, 640)
FPS = 15
BUSY_S = 60.0  # what a busy machine may take
BLUE = "#1828e0"  # a lip colour no face has by itself
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; `app` where it runs in this process."""

    app: web.Application | None
    http: aiohttp.ClientSession
    origin: str

    async def open(self) -> Client:
        """A new session."""
        async with self.http.post(f"{self.origin}/api/sessions") as answer:
            assert answer.status == 201, await answer.text()
            opened = await answer.json()
        return Client(self, opened["id"], opened["token"], opened["view_token"])

    def session(self, client: Client) -> Session:
        """The server's side of a session."""
        assert self.app is not None
        return self.app[STORE].find(client.id, client.token)


@dataclass(frozen=True, slots=True)
class Client:
    """A session as its page sees it."""

    server: Server
    id: str
    token: str
    view_token: str

    async def call(
        self, method: str, path: str = "", *, token: str | None = None, **more: Any
    ) -> tuple[int, Json]:
        """Status and JSON of a request below `/api/sessions/ID`."""
        headers = {"Authorization": f"Bearer {token or self.token}", **more.pop("headers", {})}
        url = f"{self.server.origin}/api/sessions/{self.id}{path}"
        async with self.server.http.request(method, url, headers=headers, **more) as answer:
            return answer.status, await answer.json() if answer.content_type == "application/json" else {}

    async def ok(self, method: str, path: str = "", **more: Any) -> Json:
        """The JSON of a request that must succeed."""
        status, body = await self.call(method, path, **more)
        assert status < 300, (method, path, status, body)
        return body

    async def picture(self, name: str) -> Image:
        """`reference`, `edit` or `frame`, uint8 (H, W, 3)."""
        url = f"{self.server.origin}/api/sessions/{self.id}/{name}.png"
        async with self.server.http.get(url, headers={"Authorization": f"Bearer {self.token}"}) as answer:
            assert answer.status == 200, await answer.text()
            data = np.frombuffer(await answer.read(), np.uint8)
        return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    def events(self, token: str | None = None, **more: Any) -> Any:
        """The session's socket, as its page opens it."""
        url = f"{self.server.origin}/api/sessions/{self.id}/events"
        return self.server.http.ws_connect(url, protocols=("livery", f"bearer.{token or self.token}"), **more)

    async def signal(self, kind: str, body: str, **headers: str) -> tuple[int, str, dict[str, str]]:
        """Status, body and headers of an offer posted to "whip" or "whep"."""
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/sdp", **headers}
        url = f"{self.server.origin}/{kind}/{self.id}"
        async with self.server.http.post(url, data=body, headers=sent) as answer:
            return answer.status, await answer.text(), dict(answer.headers)

    async def connect(self, kind: str, peer: RTCPeerConnection, token: str | None = None) -> str:
        """Offer, answer; returns the connection's Location."""
        await peer.setLocalDescription(await peer.createOffer())
        offer = peer.localDescription.sdp
        more = {"Authorization": f"Bearer {token}"} if token else {}
        status, answer, headers = await self.signal(kind, offer, **more)
        assert status == 201, answer
        await peer.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
        return headers["Location"]


@contextlib.asynccontextmanager
async def serving(services: Services | None = None, **config: Any) -> AsyncIterator[Server]:
    """A server on a free port of loopback with the classical matcher."""
    if services is None:
        services = load_services(ServerConfig(matcher="classical", port=0, **config))
    runner = make_runner(create_app(services))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
            yield Server(runner.app, http, f"http://127.0.0.1:{port}")
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def server_process(*arguments: str) -> AsyncIterator[tuple[Server, asyncio.subprocess.Process]]:
    """`python server.py` on a free port, as a user starts it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "server.py", "--port", "0", "--matcher", "classical", "--max-load", "0",
        *([] if "--data" in arguments else ["--no-store"]), *arguments,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            line = (await process.stdout.readline()).decode()
        assert line.startswith("Livery is at http://"), line
        origin = line.split()[-1].rstrip("/")
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
            yield Server(None, http, origin), process
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.communicate(), 10)
        except TimeoutError:
            process.kill()
            await process.communicate()
            raise


class Pictures(MediaStreamTrack):
    """Publishes what `draw` makes of each frame's number, paced."""

    kind = "video"

    def __init__(self, draw: Callable[[int], Image], fps: int = FPS) -> None:
        super().__init__()
        self._draw = draw
        self._fps = fps
        self._number = 0
        self._start_s: float | None = None

    async def recv(self) -> av.VideoFrame:
        """The next frame, when it is due."""
        if self.readyState != "live":
            raise MediaStreamError
        if self._start_s is None:
            self._start_s = time.monotonic()
        await asyncio.sleep(max(self._start_s + self._number / self._fps - time.monotonic(), 0))
        image = self._draw(self._number)
        frame = to_frame(image, self._number * 90_000 // self._fps, Fraction(1, 90_000))
        self._number += 1
        return frame


def new_peer() -> RTCPeerConnection:
    """A connection that asks no STUN server."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


@contextlib.asynccontextmanager
async def publishing(
    client: Client, draw: Callable[[int], Image] | None = None, *, audio: bool = False, fps: int = FPS
) -> AsyncIterator[tuple[RTCPeerConnection, str]]:
    """A WHIP publisher, the moving astronaut unless told otherwise; gives its connection and Location."""
    peer = new_peer()
    peer.addTrack(Pictures(draw or DemoSource(SIZE, fps).frame, fps))
    if audio:
        peer.addTrack(AudioStreamTrack())
    try:
        location = await client.connect("whip", peer)
        await until(lambda: peer.connectionState == "connected")
        yield peer, location
    finally:
        await peer.close()


class Screen:
    """Reads a WHEP connection's video without end and keeps the newest picture."""

    def __init__(self, peer: RTCPeerConnection, location: str) -> None:
        self.peer = peer
        self.location = location
        self.count = 0
        self.image: Image | None = None
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        track = self.peer.getReceivers()[0].track
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.VideoFrame)
                self.image = to_rgb(frame)
                self.count += 1

    async def after(self, frames: int, limit_s: float = BUSY_S) -> Image:
        """The picture when `frames` more have arrived."""
        wanted = self.count + frames
        await until(lambda: self.count >= wanted, limit_s)
        assert self.image is not None
        return self.image

    async def shows(self, wanted: Callable[[Image], bool], limit_s: float = BUSY_S) -> None:
        """Wait for a picture that meets a condition."""
        end_s = time.monotonic() + limit_s
        while not wanted(await self.after(3)):
            assert time.monotonic() < end_s, f"no such picture within {limit_s:g} s"

    async def close(self) -> None:
        """Stop reading and hang up."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self.peer.close()


@contextlib.asynccontextmanager
async def watching(client: Client, token: str | None = None) -> AsyncIterator[Screen]:
    """A WHEP viewer."""
    peer = new_peer()
    peer.addTransceiver("video", direction="recvonly")
    location = await client.connect("whep", peer, token)
    screen = Screen(peer, location)
    try:
        yield screen
    finally:
        await screen.close()


async def until_state(client: Client, condition: Callable[[Json], bool], limit_s: float = BUSY_S) -> Json:
    """Wait until a session's state meets a condition; returns it."""
    end_s = time.monotonic() + limit_s
    while not condition(state := await client.ok("GET")):
        assert time.monotonic() < end_s, f"it did not happen within {limit_s:g} s: {state}"
        await asyncio.sleep(0.1)
    return state


async def until(condition: Callable[[], bool], limit_s: float = BUSY_S) -> None:
    """Wait for a condition; fails after `limit_s`."""
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, f"it did not happen within {limit_s:g} s"
        await asyncio.sleep(0.02)


def lip_colour(image: Image, landmarks: Landmarks) -> tuple[float, float, float]:
    """Mean RGB of the lips of the face in `image`."""
    mask = np.zeros(image.shape[:2], np.uint8)
    for part, value in ((OUTER_LIPS, 255), (INNER_LIPS, 0)):
        points = np.rint(landmarks.points[list(part), :2]).astype(np.int32)
        cv2.fillPoly(mask, [points], value)
    r, g, b, _ = cv2.mean(image, mask)
    return r, g, b


def is_blue(image: Image) -> bool:
    """Whether there are lips, more blue than red, which none are by themselves."""
    landmarks = detect_landmarks(image)
    if landmarks is None:
        return False
    red, _, blue = lip_colour(image, landmarks)
    return blue > red + 25


@contextlib.asynccontextmanager
async def raw(server: Server) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TCP connection to the server."""
    host, port = server.origin.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
