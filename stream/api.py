"""The JSON interface: sessions, pictures, presets, settings, events."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from reference import MODES, presets
from stream.errors import AuthError, ConflictError, NotFoundError, RequestError
from stream.events import Message, serve_events
from stream.look import NO_FACE, PresetChoice
from stream.pictures import Picture, decode_picture, encode_png
from stream.session import Session
from stream.store import same
from stream.web_base import LIMITS, SERVICES, STORE, json_of, limited_body, session_of, token_of

MAX_STALL_S = 30.0
FILL_GAUGES = ("queued", "done", "failed", "dropped", "restarts", "retried")


def add_routes(app: web.Application) -> None:
    """Everything below `/api`, `/healthz` and `/metrics`."""
    one = "/api/sessions/{id}"
    app.add_routes(
        [
            web.post("/api/sessions", open_session),
            web.get("/api/presets", list_presets),
            web.get(one, read_session),
            web.delete(one, end_session),
            web.post(f"{one}/reference", take_reference),
            web.get(f"{one}/reference.png", reference_png),
            web.get(f"{one}/edit.png", edit_png),
            web.get(f"{one}/frame.png", frame_png),
            web.put(f"{one}/edit", put_edit),
            web.delete(f"{one}/edit", remove_edit),
            web.post(f"{one}/preset", wear_preset),
            web.patch(f"{one}/settings", change_settings),
            web.post(f"{one}/demo", start_demo),
            web.delete(f"{one}/demo", stop_demo),
            web.get(f"{one}/events", events),
            web.get("/healthz", health),
            web.get("/metrics", metrics),
        ]
    )
    if app[SERVICES].config.debug:
        app.router.add_post(f"{one}/debug/stall", stall)


async def open_session(request: web.Request) -> web.Response:
    """A new session and its tokens."""
    wanted = request.app[SERVICES].config.token
    given = token_of(request)
    if wanted is not None and (given is None or not same(given, wanted)):
        raise AuthError("this server asks for its token to open a session", "it was set with --token")
    request.app[LIMITS].open(request)
    session = await request.app[STORE].open()
    return web.json_response(tickets(session), status=201)


def tickets(session: Session) -> dict[str, str]:
    """Id, tokens and addresses of a session."""
    return {
        "id": session.id,
        "token": session.token,
        "view_token": session.view_token,
        "whip": f"/whip/{session.id}",
        "whep": f"/whep/{session.id}",
        "viewer": f"/view/{session.id}?token={session.view_token}",
    }


async def read_session(request: web.Request) -> web.Response:
    """The state; the owner also gets the addresses, so that a reload has all it needs."""
    session = session_of(request, "view")
    owner = same(token_of(request) or "", session.token)
    return web.json_response({**(tickets(session) if owner else {}), **session.state()})


async def end_session(request: web.Request) -> web.Response:
    """End a session and everything in it."""
    await request.app[STORE].end(session_of(request))
    return web.Response(status=204)


async def take_reference(request: web.Request) -> web.Response:
    """The live frame, the best of the next seconds, or an uploaded picture as reference."""
    session = session_of(request)
    if request.content_type.startswith("image/"):
        picture = await _picture(request)
        taken = await session.look.examine(picture.image)
        await session.look.take(taken)
        session.changed()
    else:
        auto = (await json_of(request)).get("auto", False)
        if not isinstance(auto, bool):
            raise RequestError(f"auto must be true or false, got {auto!r}")
        taken = await session.take_reference(auto=auto)
    warning = None if taken.landmarks is not None else NO_FACE
    return web.json_response({**session.state(), "warning": warning})


async def reference_png(request: web.Request) -> web.Response:
    """The reference, to edit elsewhere."""
    reference = session_of(request).look.reference
    if reference is None:
        raise NotFoundError("there is no reference yet", "take one first")
    return await _png(request, reference.image)


async def edit_png(request: web.Request) -> web.Response:
    """The edited picture, in the reference's size."""
    edited = session_of(request).look.edited
    if edited is None:
        raise NotFoundError("there is no edit yet")
    return await _png(request, edited.image)


async def frame_png(request: web.Request) -> web.Response:
    """The newest live frame, unedited; 204 while nothing is live, which is no error: a source ends when it will."""
    newest = session_of(request).newest
    return web.Response(status=204) if newest is None else await _png(request, newest)


async def put_edit(request: web.Request) -> web.Response:
    """Wear an edited picture of the reference."""
    session = session_of(request)
    mode = request.query.get("mode")
    if mode is not None and mode not in MODES:
        raise RequestError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    if session.look.reference is None:
        raise ConflictError("there is no reference yet", "take a reference first")
    await session.look.put(await _picture(request), mode)
    return _changed(session)


async def remove_edit(request: web.Request) -> web.Response:
    """Take the edit off."""
    session = session_of(request)
    await session.look.remove()
    return _changed(session)


async def list_presets(request: web.Request) -> web.Response:
    """What can be drawn on a face."""
    return web.json_response(presets.describe())


async def wear_preset(request: web.Request) -> web.Response:
    """Wear a preset."""
    session = session_of(request)
    body = await json_of(request)
    name, colour, strength = body.get("name"), body.get("colour"), body.get("strength")
    if not isinstance(name, str):
        raise RequestError(f"name must be a string, got {name!r}", f"known are {', '.join(presets.NAMES)}")
    if colour is not None and not isinstance(colour, str):
        raise RequestError(f'colour must be "#rrggbb" or null, got {colour!r}')
    if isinstance(strength, bool) or not isinstance(strength, (int, float, type(None))):
        raise RequestError(f"strength must be a number in [0, 1] or null, got {strength!r}")
    await session.look.preset(PresetChoice(name, colour, strength))
    return _changed(session)


async def change_settings(request: web.Request) -> web.Response:
    """Mode, strength, on or off, overlay."""
    session = session_of(request)
    await session.apply_settings(session.look.settings.patched(await json_of(request)))
    return web.json_response(session.state())


async def start_demo(request: web.Request) -> web.Response:
    """The demo instead of a camera."""
    session = session_of(request)
    await session.start_demo()
    return web.json_response(session.state())


async def stop_demo(request: web.Request) -> web.Response:
    """End the demo."""
    session = session_of(request)
    await session.connections.stop_demo()
    return web.json_response(session.state())


async def events(request: web.Request) -> web.StreamResponse:
    """The socket of the page; viewers may listen but not change settings."""
    session = session_of(request, "view")
    owner = same(token_of(request) or "", session.token)

    async def apply(patch: Message) -> None:
        await session.apply_settings(session.look.settings.patched(patch))

    return await serve_events(request, session.events, session.state, session.stats, apply if owner else None)


async def health(request: web.Request) -> web.Response:
    """That the server answers, for load balancers."""
    return web.json_response({"status": "ok", "sessions": len(request.app[STORE])})


async def metrics(request: web.Request) -> web.Response:
    """Prometheus' text; sums over all sessions, nothing that tells one from another."""
    sessions = request.app[STORE].sessions
    gauges = {
        "sessions": float(len(sessions)),
        "publishers": float(sum(session.connections.publishing for session in sessions)),
        "viewers": float(sum(session.connections.viewers for session in sessions)),
    }
    filler = request.app[SERVICES].filler
    if filler is not None:
        status = filler.status()
        gauges |= {f"fill_{name}": float(getattr(status, name)) for name in FILL_GAUGES}
    text = request.app[SERVICES].registry.render(gauges)
    return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


async def stall(request: web.Request) -> web.Response:
    """Hold the pipeline, to measure how it recovers; only with `ServerConfig.debug`."""
    session = session_of(request)
    seconds = (await json_of(request)).get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= MAX_STALL_S:
        raise RequestError(f"seconds must lie in (0, {MAX_STALL_S:g}], got {seconds!r}")
    session.stall(float(seconds))
    return web.Response(status=204)


def _changed(session: Session) -> web.Response:
    session.changed()
    return web.json_response(session.state())


async def _picture(request: web.Request) -> Picture:
    services = request.app[SERVICES]
    data = await limited_body(request, services.config.upload_bytes)
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(services.heavy, decode_picture, data, services.config.upload_pixels)


async def _png(request: web.Request, image: Any) -> web.Response:
    data = await asyncio.get_running_loop().run_in_executor(request.app[SERVICES].heavy, encode_png, image)
    return web.Response(body=data, content_type="image/png")
