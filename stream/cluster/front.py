"""The front of a cluster: serves the pages, places sessions, and passes requests on to their media hosts."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator

from aiohttp import ClientResponse, web

from stream.cluster.fleet import Fleet
from stream.cluster.placement import Seat, ranked
from stream.cluster.proxy import Proxy
from stream.config import ServerConfig
from stream.errors import CapacityError, ConflictError, ForbiddenError, NotFoundError, RequestError
from stream.http.base import (
    CENSUS,
    CONFIG,
    JSON_BYTES,
    LIMITS,
    REGISTRY,
    check_server_token,
    errors_as_json,
    is_here,
    json_of,
    known_host,
    limited_body,
    same_site,
)
from stream.http.figures import check_open
from stream.http.running import add_pages, identified, prepare
from stream.metrics import process_gauges
from stream.refused import refused
from stream.rtc.sdp_bounds import MAX_SDP_BYTES

logger = logging.getLogger(__name__)

FLEET: web.AppKey[Fleet] = web.AppKey("fleet", Fleet)
PROXY: web.AppKey[Proxy] = web.AppKey("proxy", Proxy)
ROOMS: web.AppKey[asyncio.Lock] = web.AppKey("rooms", asyncio.Lock)
FULL = 503
MOST_HOSTS = 3  # hosts that are tried for one new session


def create_front(config: ServerConfig, fleet: Fleet) -> web.Application:
    """Create the front's application. The fleet starts and ends with it."""
    app = web.Application(
        middlewares=[identified, errors_as_json, known_host, same_site],
        client_max_size=config.upload_bytes,
    )
    prepare(app, config, fleet.registry)
    app[FLEET] = fleet
    app[ROOMS] = asyncio.Lock()
    app.cleanup_ctx.append(_parts)
    one = "/api/sessions/{id}"
    app.add_routes(
        [
            web.get("/healthz", health),
            web.get("/readyz", ready),
            web.get("/metrics", metrics),
            web.get("/api/cluster", describe_cluster),
            web.post("/api/cluster/hosts/{name}/drain", drain_host),
            web.post("/api/sessions", open_session),
            web.delete(one, end_session),
            web.put(f"{one}/room", name_room),
            web.post(f"{one}/demo", go_live),
            web.post("/whip/{id}", go_live),
            web.get("/api/rooms/{room}", read_room),
            web.route("*", f"{one}{{tail:.*}}", to_its_host),
            web.route("*", "/whip/{id}{tail:.*}", to_its_host),
            web.route("*", "/whep/{id}{tail:.*}", to_its_host),
            web.get("/api/{tail:.*}", to_any_host),
        ]
    )
    add_pages(app)
    return app


async def _parts(app: web.Application) -> AsyncIterator[None]:
    app[PROXY] = Proxy()
    await app[FLEET].start()
    yield
    await app[FLEET].close()
    await app[PROXY].close()


def _address(seat: Seat) -> str:
    if seat.report is None:
        raise CapacityError("the session's machine was lost", "try again in a moment", retry_after_s=1)
    return seat.report.address


async def _ask(request: web.Request, seat: Seat, body: bytes | None = None) -> ClientResponse:
    """Ask a host, and count how long it took to answer."""
    began_s = time.monotonic()
    answer = await request.app[PROXY].ask(request, _address(seat), body)
    request.app[REGISTRY].stage("host_answer", time.monotonic() - began_s)
    return answer


async def to_its_host(request: web.Request) -> web.StreamResponse:
    """Pass a request on to the host of its session."""
    seat = await request.app[FLEET].find(request.match_info["id"])
    if "Upgrade" in request.headers:
        return await request.app[PROXY].socket(request, _address(seat))
    return await request.app[PROXY].pass_back(request, await _ask(request, seat))


async def to_any_host(request: web.Request) -> web.StreamResponse:
    """Pass on a request that every host answers alike."""
    return await request.app[PROXY].pass_back(request, await _ask(request, request.app[FLEET].place()))


async def open_session(request: web.Request) -> web.StreamResponse:
    """Open a session on the host with the most processors left."""
    check_server_token(request, "to open a session")
    check_open(request)
    request.app[LIMITS].open(request)
    fleet, proxy = request.app[FLEET], request.app[PROXY]
    body = await limited_body(request, JSON_BYTES)
    answered: web.Response | None = None
    for seat in ranked(fleet.seats.values())[:MOST_HOSTS]:
        try:
            answered = await proxy.whole(await _ask(request, seat, body))
        except CapacityError:
            continue
        if answered.status == 201:
            fleet.settle(str(json.loads(answered.body)["id"]), seat)  # type: ignore[arg-type]
        if answered.status != FULL:
            return answered
    if answered is None:
        fleet.place()  # says that none is up
        raise CapacityError("no media host answers at the moment", "try again in a moment", retry_after_s=2)
    return answered


async def go_live(request: web.Request) -> web.StreamResponse:
    """Pass on what makes a session live. If its host has no room, the session moves to one that has."""
    fleet, proxy, session = request.app[FLEET], request.app[PROXY], request.match_info["id"]
    seat = await fleet.find(session)
    body = await limited_body(request, MAX_SDP_BYTES)
    answered = await proxy.whole(await _ask(request, seat, body))
    if answered.status != FULL or not await fleet.has_room_elsewhere(seat):
        return answered
    logger.info("session %s moves: its media host %s is full", session[:6], seat.name)
    return await proxy.whole(await _ask(request, await fleet.move(session), body))


async def end_session(request: web.Request) -> web.StreamResponse:
    """End a session and delete what is stored of it."""
    fleet, session = request.app[FLEET], request.match_info["id"]
    answered = await request.app[PROXY].whole(await _ask(request, await fleet.find(session)))
    if answered.status == 200:
        fleet.forget(session)
    return answered


async def name_room(request: web.Request) -> web.StreamResponse:
    """Give a session a room name, which no session of another host may have."""
    fleet, session = request.app[FLEET], request.match_info["id"]
    body = await limited_body(request, JSON_BYTES)
    async with request.app[ROOMS]:
        seat = await fleet.find(session)
        if isinstance(room := _room_in(body), str):
            holder = await fleet.in_room(room)
            if holder not in (None, session):
                raise ConflictError(f"the room {room!r} is another session's", "choose another name")
        return await request.app[PROXY].whole(await _ask(request, seat, body))


def _room_in(body: bytes) -> object:
    try:
        value = json.loads(body)
    except ValueError:  # the host says what is wrong with it
        return None
    return value.get("room") if isinstance(value, dict) else None


async def read_room(request: web.Request) -> web.StreamResponse:
    """Find the session that is watched under a room name, on any host."""
    session = await request.app[FLEET].in_room(request.match_info["room"])
    if session is None:
        raise NotFoundError("there is no such room", "its owner gives it a name")
    seat = await request.app[FLEET].find(session)
    return await request.app[PROXY].pass_back(request, await _ask(request, seat))


def _check_keeper(request: web.Request) -> None:
    """Raise ServerError unless the request comes from who runs the server: by its token, or from here."""
    check_server_token(request, "to tell of its hosts")
    if request.app[CONFIG].token is None and not is_here(request):
        raise ForbiddenError("without --token, only this machine may ask that", "start it with --token")


async def describe_cluster(request: web.Request) -> web.Response:
    """Tell of every media host: where it is, its sessions, and the processors that are left."""
    _check_keeper(request)
    fleet = request.app[FLEET]
    hosts = [
        {
            "name": seat.name,
            "up": seat.report is not None,
            "draining": seat.draining,
            **({} if seat.report is None else {
                "address": seat.report.address,
                "sessions": len(seat.report.sessions),
                "live": seat.report.live,
                "free": round(seat.report.free, 2),
                "dearest": seat.report.dearest,
                "stretch": round(seat.report.stretch, 2),
            }),
        }
        for seat in fleet.seats.values()
    ]  # fmt: skip
    counts = {"sessions": len(fleet.where), "coming_back": len(fleet.orphans)}
    return web.json_response({"hosts": hosts, **counts})


async def drain_host(request: web.Request) -> web.Response:
    """Move all sessions of a host to others, and start it again unless the body says `restart: false`."""
    _check_keeper(request)
    restart = (await json_of(request)).get("restart", True)
    if not isinstance(restart, bool):
        raise RequestError(f"restart must be true or false, got {restart!r}")
    moved = await request.app[FLEET].drain(request.match_info["name"], restart=restart)
    return web.json_response({"moved": moved})


async def health(request: web.Request) -> web.Response:
    """Report that the front is running, for load balancers."""
    return web.json_response({"status": "ok", "sessions": len(request.app[FLEET].where)})


async def ready(request: web.Request) -> web.Response:
    """Report whether new sessions should be sent here. 503 while it stops, or if no host is up."""
    check_open(request)
    request.app[FLEET].place()
    return web.json_response({"status": "ready", "sessions": len(request.app[FLEET].where)})


async def metrics(request: web.Request) -> web.Response:
    """Read the front's figures as Prometheus text. Each media host has its own at its address."""
    check_server_token(request, "to show its figures")
    fleet = request.app[FLEET]
    reports = [seat.report for seat in fleet.seats.values() if seat.report is not None]
    gauges = {
        **process_gauges(),
        "hosts": float(len(fleet.seats)),
        "hosts_up": float(len(reports)),
        "sessions": float(len(fleet.where)),
        "sessions_live": float(sum(report.live for report in reports)),
        "sessions_coming_back": float(len(fleet.orphans)),
        "processors_free": sum(report.free for report in reports),
        "connections": float(request.app[CENSUS].total()) if CENSUS in request.app else 0.0,
    }
    text = request.app[REGISTRY].render(gauges) + refused.render()
    return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})
