"""What load balancers and monitoring read: whether the server runs and is ready, and its figures."""

from __future__ import annotations

from aiohttp import web

from stream.errors import CapacityError
from stream.http.base import CENSUS, SERVICES, STOPPING, STORE, check_server_token
from stream.metrics import process_gauges
from stream.refused import refused

FILL_GAUGES = ("queued", "done", "failed", "dropped", "restarts", "retried")


def add_figure_routes(app: web.Application) -> None:
    """Add `/healthz`, `/readyz` and `/metrics`."""
    app.router.add_get("/healthz", health)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", metrics)


def check_open(request: web.Request) -> None:
    """Raise CapacityError if the server is stopping, so that it opens no more sessions."""
    if request.app[STOPPING].is_set():
        raise CapacityError("this server is stopping and opens no more sessions", "another one may")


async def health(request: web.Request) -> web.Response:
    """Report that the server is running, for load balancers."""
    return web.json_response({"status": "ok", "sessions": len(request.app[STORE])})


async def ready(request: web.Request) -> web.Response:
    """Report whether new sessions should be sent here, for load balancers. 503 while the server stops."""
    check_open(request)
    return web.json_response({"status": "ready", "sessions": len(request.app[STORE])})


async def metrics(request: web.Request) -> web.Response:
    """Read the server's figures as Prometheus text. They are sums over all sessions.

    A server with a token requires it here too.
    """
    check_server_token(request, "to show its figures")
    sessions = request.app[STORE].sessions
    sent = [session.connections.broadcast.stats() for session in sessions]
    gauges = {
        "sent_bps": float(sum(stats.sent_bps for stats in sent)),
        "pictures_thinned": float(sum(stats.thinned for stats in sent)),
        "sessions_made_smaller": float(sum(stats.shrunk for stats in sent)),
        "stopping": float(request.app[STOPPING].is_set()),
        **process_gauges(),
        "sessions": float(len(sessions)),
        "publishers": float(sum(session.connections.publishing for session in sessions)),
        "viewers": float(sum(session.connections.viewers for session in sessions)),
        "processors_used": request.app[SERVICES].admission.used,
        "frame_stretch": request.app[SERVICES].admission.stretch,
        "sessions_held_back": float(request.app[SERVICES].admission.held_back),
        "connections": float(request.app[CENSUS].total()) if CENSUS in request.app else 0.0,
    }
    filler = request.app[SERVICES].filler
    if filler is not None:
        status = filler.status()
        gauges |= {f"fill_{name}": float(getattr(status, name)) for name in FILL_GAUGES}
    text = request.app[SERVICES].registry.render(gauges) + refused.render()
    return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})
