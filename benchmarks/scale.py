"""`livery bench scale`: sessions against media hosts; signalling, placement, fairness, loss of a host, drain.

A front and its media hosts run on a Ray cluster whose nodes are processes of this machine, so that figures of
signalling and recovery are real, while the hosts share this machine's processors. For each number of hosts,
sessions are opened and wear a look each. Some go live with the demo, as far as they are admitted. Then a node
is killed, and the time is measured until each of its sessions answers again with its look. At last a host is
drained. Everything stays on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import psutil

from benchmarks.common import metadata, percentiles, print_table, write_results
from benchmarks.streams import live
from benchmarks.streams.nodes import Nodes, cluster_front, ray_nodes
from stream.media.demo import DemoSource
from stream.media.pictures import encode_png

MOST_HOSTS, MOST_SESSIONS, MOST_LIVE = 8, 200, 8
STILL = (256, 256)  # size of the references (H, W)
SETTLE_S, SOCKETS_S, BACK_S, UP_S = 12.0, 10.0, 30.0, 90.0
READS = 40  # of each way, to compare the front's with a host's own
LOOK = ("looks", "active", "settings", "edit", "reference", "layers")
Json = dict[str, Any]


class Visitor:
    """One session as its page sees it."""

    def __init__(self, http: aiohttp.ClientSession, origin: str, opened: Json) -> None:
        self.id: str = opened["id"]
        self.look: list[object] = []
        self.token: str = opened["token"]
        self._http, self._origin = http, origin

    async def call(self, method: str, path: str = "", origin: str = "", **more: Any) -> tuple[int, Json]:
        """Status and JSON of a request below the session's address."""
        url = f"{origin or self._origin}/api/sessions/{self.id}{path}"
        headers = {"Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        async with self._http.request(method, url, headers=headers, **more) as answer:
            return answer.status, await answer.json()

    async def dress(self, still: bytes, colour: str) -> None:
        """Give the session a look of its own."""
        kind = {"Content-Type": "image/png"}
        await self.call("POST", "/reference", data=still, headers=kind)
        _, state = await self.call("POST", "/preset", json={"name": "lipstick", "colour": colour})
        self.look = worn(state)

    async def back_s(self, began_s: float) -> float:
        """Wait until the session answers with its look. Returns the seconds since `began_s`.

        Raises:
            RuntimeError: it has ended or lost its look, or does not come back in time.
        """
        while time.monotonic() - began_s < BACK_S:
            status, state = await self.call("GET")
            if status == 200:
                if worn(state) != self.look:
                    raise RuntimeError(f"session {self.id[:6]} came back with another look")
                return time.monotonic() - began_s
            if status != 503:
                raise RuntimeError(f"session {self.id[:6]} answered {status}: {state}")
            await asyncio.sleep(0.1)
        raise RuntimeError(f"session {self.id[:6]} did not come back within {BACK_S:g} s")

    async def offer_s(self) -> float:
        """Seconds of one WHEP offer through the front, from request to answer."""
        async with live.new_peer() as peer:
            peer.addTransceiver("video", direction="recvonly")
            await peer.setLocalDescription(await peer.createOffer())
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/sdp"}
            began_s = time.monotonic()
            url, sdp = f"{self._origin}/whep/{self.id}", peer.localDescription.sdp
            async with self._http.post(url, data=sdp, headers=headers) as answer:
                answer.raise_for_status()
                took_s = time.monotonic() - began_s
                location = answer.headers["Location"]
            await (await self._http.delete(location, headers=headers)).release()
            return took_s

    async def listen(self, seconds: float) -> float:
        """Listen to the session's events. Returns the newest number of frames per second that go out."""
        url = f"{self._origin}/api/sessions/{self.id}/events"
        newest, end_s = 0.0, time.monotonic() + seconds
        async with self._http.ws_connect(url, protocols=("livery", f"bearer.{self.token}")) as socket:
            while time.monotonic() < end_s:
                message: Json = await socket.receive_json(timeout=10)
                if message["type"] == "stats":
                    newest = float(message["fps_out"])
        return newest


def worn(state: Json) -> list[object]:
    """What of a session's state is its look."""
    return [state[name] for name in LOOK]


def jain(values: Sequence[float]) -> float:
    """Jain's index of fairness: 1 if all values are equal, 1/n if one has all. NaN without values."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else float("nan")


def still() -> bytes:
    """The demo's face as a small PNG."""
    return encode_png(cv2.resize(DemoSource((480, 640), 15).frame(0), STILL[::-1]))


async def hosts_of(http: aiohttp.ClientSession, origin: str) -> list[Json]:
    """What the front tells of its media hosts."""
    async with http.get(f"{origin}/api/cluster") as answer:
        hosts: list[Json] = (await answer.json())["hosts"]
    return hosts


async def all_up(http: aiohttp.ClientSession, origin: str) -> float:
    """Wait until every host is up. Returns how long that took, seconds. Raises RuntimeError."""
    began_s = time.monotonic()
    while not all(host["up"] and not host["draining"] for host in await hosts_of(http, origin)):
        if time.monotonic() - began_s > UP_S:
            raise RuntimeError(f"a media host was not up again within {UP_S:g} s")
        await asyncio.sleep(0.2)
    return time.monotonic() - began_s


async def read_ms(visitor: Visitor, origin: str = "") -> float:
    """Median time to read a session's state, milliseconds."""
    took = []
    for _ in range(READS):
        began_s = time.monotonic()
        await visitor.call("GET", origin=origin)
        took.append(1000 * (time.monotonic() - began_s))
    return percentiles(took)["p50"]


async def measure(origin: str, front: psutil.Process, nodes: Nodes, sessions: int, most_live: int) -> Json:
    """Measure one cluster. The media host that is lost is that of the oldest node."""
    async with aiohttp.ClientSession() as http:
        await all_up(http, origin)
        opened_ms, visitors, picture = [], [], still()
        for number in range(sessions):
            began_s = time.monotonic()
            async with http.post(f"{origin}/api/sessions") as answer:
                answer.raise_for_status()
                visitors.append(Visitor(http, origin, await answer.json()))
            opened_ms.append(1000 * (time.monotonic() - began_s))
            await visitors[-1].dress(picture, f"#{0x18_28_80 + number:06x}")
        seats = await by_host(http, origin, visitors)
        placed = [len(there) for there in seats.values()]
        first = next(host for host in await hosts_of(http, origin) if seats[host["name"]])
        here = next(each for each in visitors if each.id in seats[first["name"]])
        result: Json = {
            "hosts": len(placed),
            "sessions": sessions,
            "placed": placed,
            "open_ms": percentiles(opened_ms),
            "offer_ms": percentiles([1000 * await each.offer_s() for each in visitors[:12]]),
            "read_front_ms": await read_ms(here),
            "read_host_ms": await read_ms(here, first["address"]),
        }
        result |= await front_cost(front, visitors)
        result |= await live_ones(visitors[:most_live])
        result |= await lose_one(http, origin, nodes, visitors) if len(placed) > 1 else {}
        result |= await drain_one(http, origin, visitors) if len(placed) > 1 else {}
    return result


async def front_cost(front: psutil.Process, visitors: list[Visitor]) -> Json:
    """Processor time of the front: for reading a state, and for each event socket that it passes on."""
    before_s = live.cpu_s(front)
    for visitor in visitors:
        for _ in range(READS):
            await visitor.call("GET")
    read_s = (live.cpu_s(front) - before_s) / (READS * len(visitors))
    listening = [asyncio.create_task(visitor.listen(SOCKETS_S)) for visitor in visitors for _ in range(4)]
    await asyncio.sleep(1)  # they are connected by then
    before_s, began_s = live.cpu_s(front), time.monotonic()
    await asyncio.sleep(SOCKETS_S - 2)
    share = (live.cpu_s(front) - before_s) / (time.monotonic() - began_s) / len(listening)
    await asyncio.gather(*listening)
    return {"front_read_cpu_ms": 1000 * read_s, "front_socket_cpu": share, "sockets": len(listening)}


async def by_host(http: aiohttp.ClientSession, origin: str, visitors: list[Visitor]) -> dict[str, list[str]]:
    """Ids of the sessions of each host, by the hosts' own word."""
    found: dict[str, list[str]] = {}
    for host in await hosts_of(http, origin):
        if host["up"]:
            answers = await asyncio.gather(*(each.call("GET", origin=host["address"]) for each in visitors))
            found[host["name"]] = [
                v.id for v, (status, _) in zip(visitors, answers, strict=True) if status == 200
            ]
    return found


async def live_ones(visitors: list[Visitor]) -> Json:
    """Let sessions go live with the demo, as far as they are admitted, and compare their frame rates."""
    answers = Counter[int]()
    playing = []
    for visitor in visitors:
        status, _ = await visitor.call("POST", "/demo")
        answers[status] += 1
        if status == 200:
            playing.append(visitor)
        await asyncio.sleep(4)  # the hosts measure what it takes before the next one comes
    rates = await asyncio.gather(*(visitor.listen(SETTLE_S) for visitor in playing))
    for visitor in playing:
        await visitor.call("DELETE", "/demo")
    refused = sum(count for status, count in answers.items() if status == 503)
    return {"live": len(playing), "refused": refused, "fps": rates, "fairness": jain(rates)}


async def lose_one(http: aiohttp.ClientSession, origin: str, nodes: Nodes, visitors: list[Visitor]) -> Json:
    """Kill a node, and measure when each session of its host is back."""
    before = await by_host(http, origin, visitors)
    for visitor in visitors:  # as it is worn now
        visitor.look = worn((await visitor.call("GET"))[1])
    began_s = time.monotonic()
    nodes.kill()
    killed_s = time.monotonic() - began_s
    while all(host["up"] for host in await hosts_of(http, origin)):
        if time.monotonic() - began_s > BACK_S:
            raise RuntimeError("the front did not notice that a node was killed")
        await asyncio.sleep(0.05)
    noticed_s = time.monotonic() - began_s
    gone = {host["name"] for host in await hosts_of(http, origin) if not host["up"]}
    lost = [each for each in visitors if any(each.id in before[name] for name in gone)]
    times = await asyncio.gather(*(visitor.back_s(began_s) for visitor in lost))
    await asyncio.gather(
        *(visitor.back_s(began_s) for visitor in visitors)
    )  # the others were there all along
    nodes.add()
    up_s = await all_up(http, origin)
    return {
        "lost": len(lost), "kill_s": killed_s, "noticed_s": noticed_s, "back_s": percentiles(times),
        "last_back_s": max(times), "host_again_s": up_s,
    }  # fmt: skip


async def drain_one(http: aiohttp.ClientSession, origin: str, visitors: list[Visitor]) -> Json:
    """Drain the host with most sessions, and check that every session has its look."""
    name, there = max((await by_host(http, origin, visitors)).items(), key=lambda both: len(both[1]))
    began_s = time.monotonic()
    async with http.post(f"{origin}/api/cluster/hosts/{name}/drain", json={}) as answer:
        answer.raise_for_status()
        moved = (await answer.json())["moved"]
    took_s = time.monotonic() - began_s
    await asyncio.gather(*(visitor.back_s(time.monotonic()) for visitor in visitors))
    return {"drained": moved, "drain_s": took_s, "drained_of": len(there)}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `livery bench scale`."""
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 2, 3], help="numbers of media hosts")
    parser.add_argument("--sessions", type=int, default=12, help=f"of each, at most {MOST_SESSIONS}")
    parser.add_argument("--live", type=int, default=3, help=f"that try to go live, at most {MOST_LIVE}")
    parser.add_argument("--matcher", default="classical", help="the hosts' matcher")


def run(args: argparse.Namespace) -> int:
    """Measure and print the tables. Returns 0.

    Raises:
        ValueError: an option is out of range.
    """
    for name, values, most in (
        ("--hosts", args.hosts, MOST_HOSTS),
        ("--sessions", [args.sessions], MOST_SESSIONS),
        ("--live", [args.live], MOST_LIVE),
    ):
        if not all(1 <= value <= most for value in values):
            raise ValueError(f"{name} must lie in [1, {most}], got {values}")
    results = []
    for hosts in args.hosts:
        with tempfile.TemporaryDirectory() as folder, ray_nodes(hosts) as nodes:
            more = ("--matcher", args.matcher, "--max-sessions", "200", "--opens-per-minute", "1000")
            with cluster_front(nodes.address, Path(folder), *more) as (origin, front):
                results.append(asyncio.run(measure(origin, front, nodes, args.sessions, args.live)))
    show(results)
    write_results("scale", results, metadata(vars(args)))
    return 0


def show(results: list[Json]) -> None:
    """Print the tables."""
    signalling = ("open p50 ms", "p95", "WHEP p50 ms", "p95", "read, front ms", "host ms")
    costs = ("front CPU ms a read", "% a socket")
    print_table(
        ["hosts", "sessions", "on each", *signalling, *costs],
        [
            [
                str(r["hosts"]), str(r["sessions"]), ", ".join(map(str, r["placed"])), r["open_ms"]["p50"],
                r["open_ms"]["p95"], r["offer_ms"]["p50"], r["offer_ms"]["p95"], r["read_front_ms"],
                r["read_host_ms"], r["front_read_cpu_ms"], 100 * r["front_socket_cpu"],
            ]
            for r in results
        ],
    )  # fmt: skip
    after = ("lost", "noticed s", "back p50 s", "last back s", "drained", "s")
    print_table(
        ["hosts", "live", "refused", "fps", "fairness", *after],
        [
            [
                str(r["hosts"]), str(r["live"]), str(r["refused"]), ", ".join(f"{v:.1f}" for v in r["fps"]),
                r["fairness"], str(r.get("lost", "-")), r.get("noticed_s", float("nan")),
                r.get("back_s", {}).get("p50", float("nan")), r.get("last_back_s", float("nan")),
                str(r.get("drained", "-")), r.get("drain_s", float("nan")),
            ]
            for r in results
        ],
    )  # fmt: skip
