"""The JSON interface to the layers of an edit: add, change, repaint, remove, and read their pictures."""

from __future__ import annotations

from functools import partial

import numpy as np
from aiohttp import web

from reference.looks.layers import Layer, PictureLayer
from reference.looks.placed import SIZES, SPOTS
from stream.errors import NotFoundError, RequestError
from stream.http.base import json_of, png, session_of
from stream.http.looks import changed, uploaded
from stream.http.named import flag_in, number_in, target_of
from stream.looks import stack
from stream.looks.laying import LayPaint, backdrop_of, paint_of, sticker_of
from stream.looks.look import LookKeyframe, ReferencePicture
from stream.session.session import Session

KINDS = ("paint", "picture", "sticker", "backdrop")


def add_layer_routes(app: web.Application) -> None:
    """Add the routes of layers."""
    layers = "/api/sessions/{id}/layers"
    one = f"{layers}/{{layer}}"
    app.add_routes(
        [
            web.post(layers, add_layer),
            web.patch(one, change_layer),
            web.put(one, repaint_layer),
            web.delete(one, remove_layer),
            web.get(f"{one}/picture.png", layer_picture),
            web.get(f"{one}/below.png", below_layer),
        ]
    )


async def add_layer(request: web.Request) -> web.Response:
    """Add paint, an edited picture, a sticker or a backdrop as a layer on top of the edit."""
    session = session_of(request, "edit")
    kind = request.query.get("kind", "picture")
    if kind not in KINDS:
        raise RequestError(
            f"kind must be one of {', '.join(KINDS)}, got {kind[:20]!r}", "POST /preset adds a preset"
        )
    target, lay = target_of(session, request.query), _lay(kind, request)
    sure = flag_in(request, "sure", default=True)
    picture = await uploaded(request, session)
    await session.editor.add(picture, target, lay=lay, sure=sure)
    return await changed(session, status=201)


def _lay(kind: str, request: web.Request) -> LayPaint | None:
    """Return what makes paint of an uploaded picture. None for an edited picture, which is aligned."""
    named, size = request.query.get("spot", "forehead"), request.query.get("size", "0.4")
    spot = next((spot for spot in SPOTS if spot == named), None)
    if spot is None:
        raise RequestError(f"spot must be one of {', '.join(SPOTS)}, got {named[:20]!r}")
    try:
        share = float(size)
    except ValueError as exc:
        raise RequestError(f"size must be a number, got {size[:20]!r}") from exc
    if not SIZES[0] <= share <= SIZES[1]:
        raise RequestError(f"size must be {SIZES[0]:g} to {SIZES[1]:g} times the face, got {size[:20]}")
    if kind == "sticker":
        return partial(sticker_of, spot=spot, size=share)
    return {"paint": paint_of, "backdrop": backdrop_of}.get(kind)


async def change_layer(request: web.Request) -> web.Response:
    """Show or hide a layer, set its strength or colour, or move it."""
    session = session_of(request, "edit")
    number, target = number_in(request, "layer"), target_of(session, request.query)
    await session.editor.patch_layer(number, await json_of(request), target)
    return await changed(session)


async def repaint_layer(request: web.Request) -> web.Response:
    """Give a layer of paint, or of an edited picture, other pixels."""
    session = session_of(request, "edit")
    number, target = number_in(request, "layer"), target_of(session, request.query)
    layer = stack.find_pixels(session.editor.edited(target).layers, number)
    picture = await uploaded(request, session)
    if isinstance(layer, PictureLayer):
        await session.editor.renew_picture(number, picture, target)
        return await changed(session)

    def change(layers: stack.Layers, reference: ReferencePicture) -> stack.Layers:
        return stack.repainted(layers, number, paint_of(picture, reference))

    await session.editor.change_layers(change, "paint", target)
    return await changed(session)


async def remove_layer(request: web.Request) -> web.Response:
    """Remove a layer. An edit without layers goes."""
    session = session_of(request, "edit")
    number, target = number_in(request, "layer"), target_of(session, request.query)
    title = _layer(session.editor.edited(target), number).title
    await session.editor.change_layers(
        lambda layers, _: stack.without(layers, number), f"removal of {title}", target
    )
    return await changed(session)


async def layer_picture(request: web.Request) -> web.StreamResponse:
    """Read the pixels of a layer as PNG: paint with its alpha, or the edited picture. Presets have none."""
    session = session_of(request, "edit")
    pixels = _layer(_edited(session, request), number_in(request, "layer")).pixels
    if pixels is None:
        raise NotFoundError("a preset has no picture", "its name, colour and strength are in the state")
    return await png(request, session, pixels)


async def below_layer(request: web.Request) -> web.StreamResponse:
    """Read the reference with the layers below a layer drawn on it, as PNG."""
    session = session_of(request, "edit")
    edited = _edited(session, request)
    layers = stack.below(edited.layers, number_in(request, "layer"))
    draw = partial(stack.drawn, edited.reference.image, edited.reference.landmarks, layers)
    return await png(request, session, np.asarray(await session.wardrobe.run(draw)))


def _edited(session: Session, request: web.Request) -> LookKeyframe:
    return session.editor.edited(target_of(session, request.query))


def _layer(edited: LookKeyframe, number: int) -> Layer:
    return stack.find(edited.layers, number)
