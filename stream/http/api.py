"""The JSON interface to sessions: open, read, end, sources, settings, tokens and events."""

from __future__ import annotations

from aiohttp import web

from stream.errors import ForbiddenError, NotFoundError, RequestError
from stream.events import Message, serve_events
from stream.http.base import (
    LIMITS,
    SERVICES,
    STORE,
    check_server_token,
    is_here,
    json_of,
    kept,
    number_of,
    png,
    session_of,
    token_of,
)
from stream.http.figures import add_figure_routes, check_open
from stream.http.layers import add_layer_routes
from stream.http.look_files import add_look_file_routes
from stream.http.looks import add_look_routes, changed
from stream.http.openapi import describe
from stream.http.phone import add_phone_route
from stream.http.prompt import add_prompt_routes
from stream.http.recordings import add_recording_routes
from stream.session.session import Session
from stream.storage.keys import SHARED

MAX_STALL_S = 30.0


def add_routes(app: web.Application) -> None:
    """Add every route below `/api`, and those of `stream.http.figures`."""
    one = "/api/sessions/{id}"
    app.add_routes(
        [
            web.post("/api/sessions", open_session),
            web.get(one, read_session),
            web.delete(one, end_session),
            web.get(f"{one}/frame.png", frame_png),
            web.patch(f"{one}/settings", change_settings),
            web.post(f"{one}/demo", start_demo),
            web.delete(f"{one}/demo", stop_demo),
            web.get(f"{one}/ice-servers", ice_servers),
            web.put(f"{one}/virtual-camera", feed_virtual_camera),
            web.get(f"{one}/events", events),
            web.put(f"{one}/room", name_room),
            web.post(f"{one}/tokens", renew_token),
            web.get("/api/rooms/{room}", read_room),
            web.get("/api/server", about_server),
            web.get("/api/openapi.json", describe_interface),
        ]
    )
    add_figure_routes(app)
    add_look_routes(app)
    add_layer_routes(app)
    add_look_file_routes(app)
    add_prompt_routes(app)
    add_phone_route(app)
    add_recording_routes(app)
    if app[SERVICES].config.debug:
        app.router.add_post(f"{one}/debug/stall", stall)


async def open_session(request: web.Request) -> web.Response:
    """Open a session. The answer holds its id, its tokens and its addresses."""
    check_server_token(request, "to open a session")
    check_open(request)
    request.app[LIMITS].open(request)
    session, token = await request.app[STORE].open()
    return web.json_response({**tickets(session, token), "storage": session.saver.describe()}, status=201)


def tickets(session: Session, token: str) -> dict[str, str]:
    """Return id, tokens and addresses of a session for its owner.

    Args:
        session: the session.
        token: the owner's token, from which the other tokens are derived.
    """
    view_token = session.keys.token(token, "view")
    place = f"watch/{session.keys.room}" if session.keys.room is not None else f"view/{session.id}"
    return {
        "id": session.id,
        "token": token,
        "view_token": view_token,
        "publish_token": session.keys.token(token, "publish"),
        "edit_token": session.keys.token(token, "edit"),
        "whip": f"/whip/{session.id}",
        "whep": f"/whep/{session.id}",
        "viewer": f"/{place}#token={view_token}",
    }


async def read_session(request: web.Request) -> web.Response:
    """Read the state of a session. Its owner also gets its tokens and addresses."""
    session, token = session_of(request, "view"), token_of(request) or ""
    owner = session.keys.allows(token, "own")
    return web.json_response({**(tickets(session, token) if owner else {}), **session.status.state()})


async def end_session(request: web.Request) -> web.Response:
    """End a session and delete what is stored of it.

    Its recordings stay unless the query says `recordings=delete`.

    The answer names what was deleted and what remains.
    """
    session = session_of(request)
    wanted = request.query.get("recordings", "keep")
    if wanted not in ("keep", "delete"):
        raise RequestError(f"recordings must be keep or delete, got {wanted[:20]!r}")
    await session.shelf.close()
    names = [str(entry["name"]) for entry in await session.shelf.entries()]
    if wanted == "delete":
        await session.shelf.delete(names)
    looks = [look.name for look in session.wardrobe.looks]
    await request.app[STORE].end(session)
    gone, left = (names, []) if wanted == "delete" else ([], names)
    deleted = {"looks": looks, "recordings": gone}
    return web.json_response({"deleted": deleted, "remains": {"recordings": left}})


async def frame_png(request: web.Request) -> web.StreamResponse:
    """Read the newest live frame, unedited, as PNG. The answer is 204 while nothing is live."""
    session = session_of(request, "edit")
    newest = session.stills.newest
    return web.Response(status=204) if newest is None else await png(request, session, newest.image)


async def change_settings(request: web.Request) -> web.Response:
    """Change the settings of the active look: mode, strength, overlay, whether and by how many it is worn."""
    session = session_of(request, "edit")
    await session.wardrobe.change(session.wardrobe.settings.patched(await json_of(request)))
    return await changed(session)


async def start_demo(request: web.Request) -> web.Response:
    """Publish the demo clip instead of a camera."""
    session = session_of(request, "edit")
    await session.start_demo()
    return await kept(session)


async def stop_demo(request: web.Request) -> web.Response:
    """Stop the demo clip."""
    session = session_of(request, "edit")
    await session.connections.stop_demo()
    return await kept(session)


async def ice_servers(request: web.Request) -> web.Response:
    """List the ICE servers for a browser, in the form that `RTCPeerConnection` takes."""
    servers = session_of(request, "view").connections.ice_servers()
    return web.json_response([server.json() for server in servers])


async def feed_virtual_camera(request: web.Request) -> web.Response:
    """Begin or stop feeding the virtual camera of the server's machine. Only pages on that machine may."""
    session = session_of(request)
    on = (await json_of(request)).get("on")
    if not isinstance(on, bool):
        raise RequestError(f"on must be true or false, got {on!r}")
    if not is_here(request):
        raise ForbiddenError(
            "the virtual camera belongs to the server's machine", "open the page there, at localhost"
        )
    await session.feed.turn(on)
    return web.json_response(session.status.state())


async def name_room(request: web.Request) -> web.Response:
    """Give the session a room name, so that it can be watched at `/watch/NAME`. null removes the name."""
    session = session_of(request)
    await request.app[STORE].name_room(session, (await json_of(request)).get("room"))
    return await kept(session, more=tickets(session, token_of(request) or ""))


async def renew_token(request: web.Request) -> web.Response:
    """Revoke the token of one right and issue another."""
    session, token = session_of(request), token_of(request) or ""
    right = (await json_of(request)).get("renew")
    for shared in SHARED:
        if right == shared:
            await session.renew(shared, token)
            return await kept(session, more=tickets(session, token))
    raise RequestError(f"renew must be one of {', '.join(SHARED)}, got {right!r}")


async def read_room(request: web.Request) -> web.Response:
    """Find the session that is watched under a room name."""
    store, room = request.app[STORE], request.match_info["room"]
    session_id = store.in_room(room)
    if session_id is None:
        raise NotFoundError(f"there is no room {room[:40]!r}", "its owner gives it a name")
    token = token_of(request)
    await store.wake(session_id, token)
    store.find(session_id, token, "view")
    return web.json_response({"id": session_id})


async def events(request: web.Request) -> web.StreamResponse:
    """Open the page's WebSocket. Viewers may listen but not control."""
    session, token = session_of(request, "view"), token_of(request) or ""
    control = PageControl(session, token) if session.keys.allows(token, "edit") else None
    return await serve_events(request, session.events, session.status, control)


class PageControl:
    """Carries out what one page asks over its WebSocket, where a change must show in the next frame."""

    def __init__(self, session: Session, token: str) -> None:
        self._session, self._token = session, token
        self._holding = False

    async def __call__(self, kind: str, message: Message) -> None:
        """Carry out a message.

        Args:
            kind: type of the message: settings, layer, wear or compare.
            message: the message, a JSON object.

        Raises:
            AuthError: the page's token was made void meanwhile.
            RequestError: the message has another type or a value of the wrong kind.
            NotFoundError: there is no such look or layer.
        """
        self._session.check(self._token, "edit")
        if kind == "settings":
            await self._session.wardrobe.change(self._session.wardrobe.settings.patched(message))
            self._session.changed()
        elif kind == "layer":
            number = number_of(message, "layer")
            patch = {name: value for name, value in message.items() if name != "layer"}
            await self._session.editor.patch_layer(number, patch)
            self._session.changed()
        elif kind == "wear":
            self._session.wardrobe.wear(number_of(message, "look"))
            self._session.changed()
        elif kind == "compare":
            holding = message.get("on")
            if not isinstance(holding, bool):
                raise RequestError(f"on must be true or false, got {holding!r}")
            self.hold(holding)
        else:
            raise RequestError(f"type must be settings, layer, wear or compare, got {kind!r}")

    def hold(self, holding: bool) -> None:
        """Show the live picture while the page compares."""
        if holding != self._holding:
            self._holding = holding
            self._session.live.compare(holding)
            self._session.changed()

    def close(self) -> None:
        """End the comparison of a page that has gone."""
        self.hold(False)


async def about_server(request: web.Request) -> web.Response:
    """Tell a page, before it opens a session, whether and how long sessions are kept."""
    storage = request.app[SERVICES].storage
    kept_for = None if storage is None else {"keep_days": storage.config.keep_days}
    return web.json_response({"storage": kept_for})


async def describe_interface(request: web.Request) -> web.Response:
    """Read this description of the interface."""
    return web.json_response(describe(request.app, request.app[SERVICES].config))


async def stall(request: web.Request) -> web.Response:
    """Hold the pipeline for some seconds, to measure how it recovers. Only with `ServerConfig.debug`."""
    session = session_of(request)
    seconds = (await json_of(request)).get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= MAX_STALL_S:
        raise RequestError(f"seconds must lie in (0, {MAX_STALL_S:g}], got {seconds!r}")
    if (pipeline := session.live.stages.pipeline) is not None:
        pipeline.stall(float(seconds))
    return web.Response(status=204)
