"""The JSON interface to looks: references, edits, presets, looks, keyframes and undo."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial

from aiohttp import web

from reference import presets
from reference.keyframes.bank import BankConfig
from stream.errors import ConflictError, NotFoundError, RequestError
from stream.http.base import (
    SERVICES,
    UPLOADS,
    download,
    json_of,
    kept,
    limited_body,
    png,
    session_of,
    token_of,
)
from stream.http.named import mode_of, number_in, target_in, target_of
from stream.looks.describe import thumbnail
from stream.looks.layering import Target
from stream.looks.look import NO_FACE, LookKeyframe, PresetChoice, ReferencePicture, largest_px
from stream.looks.previews import preview_sheet
from stream.media.pictures import Picture, decode_picture
from stream.session.session import Session


def add_look_routes(app: web.Application) -> None:
    """Add the routes of looks and keyframes."""
    one = "/api/sessions/{id}"
    look, keyframe = f"{one}/looks/{{look}}", f"{one}/keyframes/{{keyframe}}"
    named = f"{one}/looks/{{look:(?!import$)[^/]+}}"  # looks/import is another route
    app.add_routes(
        [
            web.get("/api/presets", list_presets),
            web.post(f"{one}/reference", take_reference),
            web.get(f"{one}/reference.png", reference_png),
            web.get(f"{one}/edit.png", edit_png),
            web.put(f"{one}/edit", put_edit),
            web.delete(f"{one}/edit", remove_edit),
            web.post(f"{one}/preset", wear_preset),
            web.post(f"{one}/undo", undo),
            web.post(f"{one}/redo", redo),
            web.post(f"{one}/looks", create_look),
            web.patch(named, rename_look),
            web.delete(named, discard_look),
            web.get(f"{one}/previews.jpg", previews),
            web.post(f"{look}/wear", wear_look),
            web.get(f"{look}/thumb.jpg", look_thumb),
            web.post(f"{one}/keyframes", take_keyframe),
            web.put(f"{one}/focus", focus),
            web.delete(keyframe, remove_keyframe),
            web.get(f"{keyframe}/thumb.jpg", keyframe_thumb),
            web.get(f"{keyframe}/reference.png", keyframe_reference),
            web.get(f"{keyframe}/edit.png", keyframe_edit),
        ]
    )


async def list_presets(request: web.Request) -> web.Response:
    """List the presets that can be drawn on a face."""
    return web.json_response(presets.describe())


async def take_reference(request: web.Request) -> web.Response:
    """Take a reference: the newest frame, the best frame of the next seconds, or an uploaded picture."""
    session = session_of(request, "edit")
    if request.content_type.startswith("image/"):
        target = Target(look=session.wardrobe.active.id)
        config = request.app[SERVICES].config
        largest = largest_px(config.looks_mib * 2**20, BankConfig())
        async with uploaded(request, session, min(largest, config.upload_pixels)) as picture:
            taken = await session.editor.examine(picture.image)
            await session.editor.take(taken, target)
        session.changed()
    else:
        auto = (await json_of(request)).get("auto", False)
        if not isinstance(auto, bool):
            raise RequestError(f"auto must be true or false, got {auto!r}")
        taken = await session.stills.take_reference(auto=auto)
    return await _taken(session, taken)


async def reference_png(request: web.Request) -> web.StreamResponse:
    """Read the picture to edit, as PNG. The answer is 204 if its version is not the one in the query."""
    session = session_of(request, "edit")
    reference = session.wardrobe.active.reference
    if _is_other(request, reference.id if reference else None):
        return web.Response(status=204)
    if reference is None:
        raise NotFoundError("there is no reference yet", "take one first")
    return await png(request, session, reference.image)


async def previews(request: web.Request) -> web.StreamResponse:
    """Read a sheet of all presets on the reference's face. 204 without a face, or if it has changed."""
    session = session_of(request, "edit")
    reference = session.wardrobe.active.reference
    if reference is None or reference.landmarks is None or _is_other(request, reference.id):
        return web.Response(status=204)
    draw = partial(preview_sheet, reference.image, reference.landmarks)
    return await download(request, session, draw, "image/jpeg")


async def edit_png(request: web.Request) -> web.StreamResponse:
    """Read the edited picture, as PNG in its reference's size. The answer is 204 if its version differs."""
    session = session_of(request, "edit")
    edited = session.wardrobe.active.edited
    if _is_other(request, edited.version if edited else None):
        return web.Response(status=204)
    if edited is None:
        raise NotFoundError("there is no edit yet", "choose a preset, paint, or send an edited picture")
    return await png(request, session, edited.image)


async def put_edit(request: web.Request) -> web.Response:
    """Make an edited picture the whole edit of the reference, or of the keyframe that the query names."""
    session = session_of(request, "edit")
    target = target_of(session, request.query)
    mode = mode_of(request.query.get("mode"))
    if session.wardrobe.look(target.look).reference is None:
        raise ConflictError("there is no reference yet", "take a reference first")
    async with uploaded(request, session) as picture:
        await session.editor.put(picture, mode, target)
    return await changed(session)


async def remove_edit(request: web.Request) -> web.Response:
    """Remove the edit of a look with all its keyframes."""
    session = session_of(request, "edit")
    await session.editor.remove(target_of(session, request.query))
    return await changed(session)


async def wear_preset(request: web.Request) -> web.Response:
    """Add a preset on top of the edit of the reference or a keyframe, or change it if it is there."""
    session = session_of(request, "edit")
    body = await json_of(request)
    name, colour, strength = body.get("name"), body.get("colour"), body.get("strength")
    if not isinstance(name, str):
        raise RequestError(f"name must be a string, got {name!r}", f"known are {', '.join(presets.NAMES)}")
    if colour is not None and not isinstance(colour, str):
        raise RequestError(f'colour must be "#rrggbb" or null, got {colour!r}')
    if isinstance(strength, bool) or not isinstance(strength, (int, float, type(None))):
        raise RequestError(f"strength must be a number in [0, 1] or null, got {strength!r}")
    await session.editor.preset(PresetChoice(name, colour, strength), target_in(session, body))
    return await changed(session)


async def undo(request: web.Request) -> web.Response:
    """Undo the session's last edit."""
    session = session_of(request, "edit")
    await session.wardrobe.undo()
    return await changed(session)


async def redo(request: web.Request) -> web.Response:
    """Redo the edit that was undone last."""
    session = session_of(request, "edit")
    await session.wardrobe.redo()
    return await changed(session)


async def create_look(request: web.Request) -> web.Response:
    """Create another look, empty or a copy of the active one, and wear it."""
    session = session_of(request, "edit")
    body = await json_of(request)
    copy = body.get("copy", False)
    if not isinstance(copy, bool):
        raise RequestError(f"copy must be true or false, got {copy!r}")
    await session.wardrobe.create(body.get("name"), copy=copy)
    return await changed(session, status=201)


async def rename_look(request: web.Request) -> web.Response:
    """Give a look another name."""
    session = session_of(request, "edit")
    session.wardrobe.rename(number_in(request, "look"), (await json_of(request)).get("name"))
    return await changed(session)


async def discard_look(request: web.Request) -> web.Response:
    """Remove a look."""
    session = session_of(request, "edit")
    await session.wardrobe.discard(number_in(request, "look"))
    return await changed(session)


async def wear_look(request: web.Request) -> web.Response:
    """Wear a look from the next frame on."""
    session = session_of(request, "edit")
    session.wardrobe.wear(number_in(request, "look"))
    return await changed(session)


async def look_thumb(request: web.Request) -> web.Response:
    """Read a small picture of a look: its edit, else its reference. The answer is 204 if it has neither."""
    number = number_in(request, "look")
    look = next((look for look in session_of(request, "edit").wardrobe.looks if look.id == number), None)
    if look is None:
        return web.Response(status=204)
    return await _small(request, look.pictures.anchor or look.pictures.reference)


async def take_keyframe(request: web.Request) -> web.Response:
    """Add the newest frame to the active look as another keyframe, and edit that one from now on."""
    session = session_of(request, "edit")
    return await _taken(session, await session.stills.take_keyframe())


async def focus(request: web.Request) -> web.Response:
    """Choose the keyframe to edit from now on. null means the reference."""
    session = session_of(request, "edit")
    body = await json_of(request)
    named = target_in(session, {"keyframe": body.get("keyframe")})
    session.editor.focus(Target(keyframe=named.keyframe))
    return await changed(session)


async def remove_keyframe(request: web.Request) -> web.Response:
    """Remove a keyframe of the active look."""
    session = session_of(request, "edit")
    target = Target(session.wardrobe.active.id, number_in(request, "keyframe"))
    await session.editor.remove_keyframe(target)
    return await changed(session)


async def keyframe_thumb(request: web.Request) -> web.Response:
    """Read a small picture of a keyframe's edit. The answer is 204 if the keyframe is gone."""
    return await _small(
        request, session_of(request, "edit").wardrobe.active.keyframe(number_in(request, "keyframe"))
    )


async def keyframe_reference(request: web.Request) -> web.StreamResponse:
    """Read a keyframe's picture before it was edited, as PNG."""
    return await png(request, session_of(request, "edit"), _keyframe(request).reference.image)


async def keyframe_edit(request: web.Request) -> web.StreamResponse:
    """Read a keyframe's edited picture, as PNG."""
    return await png(request, session_of(request, "edit"), _keyframe(request).image)


def _is_other(request: web.Request, shown: int | None) -> bool:
    """Whether the query asks for another version than `shown`. The page is told the new one by an event."""
    wanted = request.query.get("version")
    return wanted is not None and str(shown) != wanted


def _keyframe(request: web.Request) -> LookKeyframe:
    number = number_in(request, "keyframe")
    found = session_of(request, "edit").wardrobe.active.keyframe(number)
    if found is None:
        raise NotFoundError(f"there is no keyframe {number} in this look", "it was removed or dropped")
    return found


async def _taken(session: Session, taken: ReferencePicture) -> web.Response:
    return await kept(session, more={"warning": None if taken.landmarks is not None else NO_FACE})


async def changed(session: Session, status: int = 200) -> web.Response:
    """Tell all pages the new state, and answer with it (see `base.kept`)."""
    session.changed()
    return await kept(session, status)


async def _small(request: web.Request, shown: LookKeyframe | ReferencePicture | None) -> web.Response:
    if shown is None:
        return web.Response(status=204)
    landmarks = shown.landmarks if isinstance(shown, ReferencePicture) else shown.reference.landmarks
    heavy = request.app[SERVICES].heavy
    data = await asyncio.get_running_loop().run_in_executor(heavy, thumbnail, shown.image, landmarks)
    return web.Response(body=data, content_type="image/jpeg")


@contextlib.asynccontextmanager
async def uploaded(
    request: web.Request, session: Session, max_pixels: int | None = None
) -> AsyncIterator[Picture]:
    """Decode the picture in a request's body, for the block that uses it. Two are decoded at a time.

    It counts as an upload until the block ends, because it waits in memory for its turn.

    Raises:
        CapacityError: there are too many uploads to this session or to the server.
        AuthError, ConflictError: the token was made void, or the session ended, while the picture arrived.
    """
    services = request.app[SERVICES]
    with session.uploads.place(), request.app[UPLOADS].place():
        data = await limited_body(request, services.config.upload_bytes)
        session.check(token_of(request), "edit")
        decode = partial(decode_picture, data, max_pixels or services.config.upload_pixels)
        del data
        yield await asyncio.get_running_loop().run_in_executor(services.pictures, decode)
