"""The interface to look files: a look as a file, and a file as a further look."""

from __future__ import annotations

import re
from functools import partial

from aiohttp import web

from reference.looks.file import MOST_BYTES, SUFFIX
from stream.http.base import SERVICES, UPLOADS, download, kept, limited_body, session_of, token_of
from stream.http.named import flag_in, number_in
from stream.looks.exchange import exported, take_in

TYPE = "application/vnd.livery+zip"


def add_look_file_routes(app: web.Application) -> None:
    """Add the routes of look files."""
    looks = "/api/sessions/{id}/looks"
    app.add_routes([web.get(f"{looks}/{{look}}/file", export_look), web.post(f"{looks}/import", import_look)])


async def export_look(request: web.Request) -> web.StreamResponse:
    """Read a look as a look file: its stills, layers and settings."""
    session = session_of(request, "edit")
    look = session.wardrobe.look(number_in(request, "look"))
    plain = re.sub(r"[^A-Za-z0-9 _-]+", "", look.name).strip() or "look"
    how = {"Content-Disposition": f'attachment; filename="{plain}{SUFFIX}"'}
    return await download(request, session, partial(exported, look), TYPE, how)


async def import_look(request: web.Request) -> web.Response:
    """Add a look from a look file. With own=true on its own stills, else carried to the reference's face."""
    session = session_of(request, "edit")
    own = flag_in(request, "own", default=False)
    with session.uploads.place(), request.app[UPLOADS].place():
        most = min(MOST_BYTES, request.app[SERVICES].config.upload_bytes)
        data = await limited_body(request, most)
        session.check(token_of(request), "edit")
        async with session.wardrobe.importing:
            left = await take_in(session.wardrobe, data, own=own)
    session.changed()
    return await kept(session, 201, {"left": list(left)})
