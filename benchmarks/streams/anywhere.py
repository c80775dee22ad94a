"""Measures any server that speaks WHIP and WHEP: what is published to one address is watched at another."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

import aiohttp
from yarl import URL

from benchmarks.streams import live, session
from benchmarks.streams.relay import Condition

READY_S, AGAIN_S = 15.0, 0.5  # longest wait for the published stream to be there; pause between attempts
NOT_YET = {404, 409, 425, 503}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where to publish and where to watch.

    Attributes:
        publish: WHIP address, or the address of a Livery server.
        watch: WHEP address. None for a Livery server, which is asked for a session of its own.
        token, watch_token: bearer tokens of both; empty for none.
    """

    publish: str
    watch: str | None
    token: str = ""
    watch_token: str = ""


def endpoints(url: str, watch_url: str | None, token: str, watch_token: str | None) -> Endpoints:
    """Read the addresses of `--url` and `--watch-url`.

    A path that holds "whip" is a WHIP address; its WHEP address is the same with "whep", unless it is given.
    An address without a path is a Livery server's.

    Raises:
        ValueError: an address is not http or https, or there is no WHEP address.
    """
    for each in filter(None, (url, watch_url)):
        if URL(each).scheme not in ("http", "https") or not URL(each).host:
            raise ValueError(f"an address must begin with http:// or https:// and name a host, got {each!r}")
    if watch_url is None and URL(url).path not in ("", "/"):
        head, mark, tail = url.rpartition("whip")
        if not mark:
            raise ValueError(f"{url}: name the WHEP address too, with --watch-url")
        watch_url = f"{head}whep{tail}"
    if watch_url is None:
        return Endpoints(url.rstrip("/"), None, token)
    return Endpoints(url, watch_url, token, token if watch_token is None else watch_token)


async def connect(
    stack: contextlib.AsyncExitStack,
    http: aiohttp.ClientSession,
    where: Endpoints,
    clip: live.EncodedClip,
    network: Condition | None,
) -> tuple[live.ClipTrack, live.Arrivals]:
    """Publish and watch until the stack ends.

    Raises:
        RefusedError: the server did not take an offer, the viewer's not within 15 s.
    """
    assert where.watch is not None
    source, arrivals = live.ClipTrack(clip), live.Arrivals()
    made = await session.publish(stack, http, where.publish, source, where.token, network)
    stack.push_async_callback(_end, http, made, where.token)
    deadline_s = time.monotonic() + READY_S
    while True:
        try:
            made = await session.watch(stack, http, where.watch, arrivals, where.watch_token, network)
            break
        except live.RefusedError as refused:
            if refused.status not in NOT_YET or time.monotonic() > deadline_s:
                raise
        await asyncio.sleep(AGAIN_S)
    stack.push_async_callback(_end, http, made, where.watch_token)
    return source, arrivals


async def _end(http: aiohttp.ClientSession, resource: str, token: str) -> None:
    """DELETE a resource that a server made, as WHIP and WHEP ask for."""
    if not resource:
        return
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with contextlib.suppress(aiohttp.ClientError):
        async with http.delete(resource, headers=headers):
            pass
