"""A session of Livery that this process publishes, edits and watches."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from benchmarks.common import ROOT
from benchmarks.streams import live
from benchmarks.streams.relay import Condition, Relay

WAIT_S = 120.0  # for a server; a busy machine is slow
SERVE = (
    "import sys; from stream.http.app import serve; from stream.config import ServerConfig; "
    "serve(ServerConfig(port=0, debug=True, matcher=sys.argv[1], keyframes=sys.argv[2] == 'True'))"
)


@dataclass(slots=True)
class MeasuredSession:
    """A session that this process publishes, edits and watches."""

    http: aiohttp.ClientSession
    url: str
    token: str
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
        """Wait until the server has seen some pictures. Raises TimeoutError after `WAIT_S`."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with asyncio.timeout(WAIT_S):
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
            async with asyncio.timeout(WAIT_S):
                while True:
                    message = await events.receive_json()
                    if message.get("type") == "stats":
                        return dict(message)

    async def end(self) -> None:
        """End the session and delete what it kept."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.http.delete(self.url, headers=headers):
            pass


def start_server(
    stack: contextlib.AsyncExitStack,
    matcher: str,
    *,
    keyframes: bool,
    python: str = sys.executable,
    folder: Path = ROOT,
) -> tuple[str, psutil.Process]:
    """Start Livery in a process of its own until the stack ends.

    Args:
        stack: ends the server.
        matcher: see `livery serve --matcher`.
        keyframes: whether new keyframes are made.
        python: the interpreter.
        folder: the checkout whose code runs.

    Returns:
        The server's address and process.

    Raises:
        RuntimeError: the server did not start.
    """
    log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "server.log"
    arguments = ["-c", SERVE, matcher, str(keyframes)]
    return stack.enter_context(live.server_process(arguments, log, python=python, folder=folder))


async def open_session(
    stack: contextlib.AsyncExitStack,
    http: aiohttp.ClientSession,
    origin: str,
    clip: live.EncodedClip,
    *,
    preset: str | None,
    network: Condition | None = None,
    token: str = "",
) -> MeasuredSession:
    """Publish to a Livery server, take a reference, wear a preset, watch.

    Args:
        stack: ends the connections and the session.
        http: client.
        origin: address of the server.
        clip: what is published.
        preset: name of the preset that is worn. None for none.
        network: network between this process and the server. None for the machine's own.
        token: token of a server that asks for one.

    Raises:
        RuntimeError: the server refused something; the message is the server's.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with http.post(f"{origin}/api/sessions", headers=headers) as answer:
        if answer.status >= 300:
            raise live.RefusedError(str(answer.url), answer.status, await answer.text())
        tickets = await answer.json()
    source, arrivals = live.ClipTrack(clip), live.Arrivals()
    session = MeasuredSession(
        http, f"{origin}/api/sessions/{tickets['id']}", tickets["token"], source, arrivals
    )
    stack.push_async_callback(session.end)
    await publish(stack, http, origin + tickets["whip"], source, session.token, network)
    await session.live()
    if preset is not None:
        await session.post("/reference", {})
        await session.post("/preset", {"name": preset})
    await watch(stack, http, origin + tickets["whep"], arrivals, session.token, network)
    return session


async def publish(
    stack: contextlib.AsyncExitStack,
    http: aiohttp.ClientSession,
    url: str,
    source: live.ClipTrack,
    token: str,
    network: Condition | None,
) -> str:
    """Publish a clip at a WHIP address. Returns the address of its resource; see `live.offer_to`."""
    peer = await stack.enter_async_context(live.new_peer())
    peer.addTransceiver(source, "sendonly")
    live.prefer_h264(peer)
    return await live.offer_to(http, url, peer, token, relay_of(stack, network, rated=None))


async def watch(
    stack: contextlib.AsyncExitStack,
    http: aiohttp.ClientSession,
    url: str,
    arrivals: live.Arrivals,
    token: str,
    network: Condition | None,
) -> str:
    """Watch a WHEP address. Returns the address of its resource; see `live.offer_to`."""
    peer = await stack.enter_async_context(live.new_peer())
    watching = live.watch_first(peer, arrivals)
    stack.callback(watching.cancel)
    peer.addTransceiver("video", "recvonly")
    live.prefer_h264(peer)
    return await live.offer_to(http, url, peer, token, relay_of(stack, network, rated=1))


def relay_of(stack: contextlib.AsyncExitStack, network: Condition | None, rated: int | None) -> Relay | None:
    """Make the network of one connection. Its rate holds for what side `rated` sends."""
    if network is None:
        return None
    relay = Relay(replace(network, rate_bps=None))
    if rated is not None:
        relay.set(network, (rated,))
    stack.callback(relay.close)
    return relay
