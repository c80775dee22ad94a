"""The JSON interface to recordings: begin, pause, end, list, lend and delete."""

from __future__ import annotations

from typing import IO, Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from stream.errors import NotFoundError, RequestError
from stream.http.base import STORE, json_of, kept, session_of

ACTIONS = ("start", "pause", "resume", "stop")


def add_recording_routes(app: web.Application) -> None:
    """Add the routes of recordings."""
    one = "/api/sessions/{id}"
    app.add_routes(
        [
            web.post(f"{one}/recording", act),
            web.get(f"{one}/recordings", list_recordings),
            web.delete(f"{one}/recordings/{{name}}", delete_recording),
            web.post(f"{one}/recordings/{{name}}/lend", lend),
            web.get("/recordings/{ticket}/{file}", lent_file),
        ]
    )


async def act(request: web.Request) -> web.Response:
    """Start, pause, resume or stop the recording."""
    session = session_of(request)
    action = (await json_of(request)).get("action")
    if action == "start":
        await session.shelf.begin()
    elif action == "stop":
        await session.shelf.end()
    elif action in ACTIONS:
        session.shelf.pause(action == "pause")
    else:
        raise RequestError(f"action must be one of {', '.join(ACTIONS)}, got {action!r}")
    return await kept(session)


async def list_recordings(request: web.Request) -> web.Response:
    """List the session's recordings, oldest first."""
    return web.json_response({"recordings": await session_of(request).shelf.entries()})


async def delete_recording(request: web.Request) -> web.Response:
    """Delete a recording with all its files."""
    session = session_of(request)
    await session.shelf.delete([request.match_info["name"]])
    return await kept(session)


async def lend(request: web.Request) -> web.Response:
    """Make an address of a film for a player or a download. It works without a token for some minutes."""
    session = session_of(request)
    file = (await json_of(request)).get("file")
    ticket = await session.shelf.lend(request.match_info["name"], file)
    return web.json_response({"url": f"/recordings/{ticket}/{file}"})


async def lent_file(request: web.Request) -> web.StreamResponse:
    """Read the film of such an address. Range requests are answered in part."""
    ticket, file = request.match_info["ticket"], request.match_info["file"]
    for session in request.app[STORE].sessions:
        path = session.shelf.lent(ticket)
        if path is not None and path.name == file and path.is_file():
            headers = {"Content-Type": "video/mp4"}
            if "download" in request.query:
                name = f"{path.parent.name}-{path.name}"
                headers["Content-Disposition"] = f'attachment; filename="{name}"'
            return _Film(path, headers=headers)
    raise NotFoundError("this address has expired", "play or download the recording again")


class _Film(web.FileResponse):
    """A file that is written like any other answer.

    The system's own way of sending a file would wait without end for a client that never reads.
    """

    async def _sendfile(
        self, request: web.BaseRequest, fobj: IO[Any], offset: int, count: int
    ) -> AbstractStreamWriter:
        writer = await web.StreamResponse.prepare(self, request)
        assert writer is not None
        return await self._sendfile_fallback(writer, fobj, offset, count)
