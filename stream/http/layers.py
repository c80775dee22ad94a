"""The JSON interface to the layers of an edit: add, change, repaint, remove, and read their pictures."""

from __future__ import annotations

from functools import partial

import numpy as np
from aiohttp import web

from reference.face.sticker import PLACE, SPOTS
from reference.looks.layers import Layer, PictureLayer
from stream.errors import NotFoundError, RequestError
from stream.http.base import download, json_of, png, session_of
from stream.http.looks import changed, uploaded
from stream.http.named import flag_in, number_in, target_of
from stream.looks import stack
from stream.looks.laying import MakeLayer, backdrop_layer, paint_layer, paint_of, sticker_layer
from stream.looks.look import LookKeyframe, ReferencePicture
from stream.media.pictures import Picture, encode_png
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
    target, make = target_of(session, request.query), _maker(kind, request)
    sure = flag_in(request, "sure", default=True)
    async with uploaded(request, session) as picture:
        await session.editor.add(picture, target, make=make, sure=sure)
    return await changed(session, status=201)


def _maker(kind: str, request: web.Request) -> MakeLayer | None:
    """Return what makes a layer of an uploaded picture. None for an edited picture, which is aligned.

    Raises:
        RequestError: the place of a sticker is named wrongly, even if the layer is none.
    """
    named = request.query.get("at", "forehead")
    at = next((spot for spot in SPOTS if spot == named), None)
    if at is None:
        raise RequestError(f"at must be one of {', '.join(SPOTS)}, got {named[:20]!r}")
    place = {name: _share(request, name, *limits) for name, limits in PLACE.items() if name in request.query}
    rigid = flag_in(request, "rigid", default=False) if "rigid" in request.query else None
    makers: dict[str, MakeLayer] = {
        "paint": paint_layer,
        "backdrop": backdrop_layer,
        "sticker": partial(sticker_layer, at=at, rigid=rigid, place=place),
    }
    return makers.get(kind)


def _share(request: web.Request, name: str, low: float, high: float) -> float:
    text = request.query[name]
    try:
        value = float(text)
    except ValueError as exc:
        raise RequestError(f"{name} must be a number, got {text[:20]!r}") from exc
    if not low <= value <= high:
        raise RequestError(f"{name} must be {low:g} to {high:g}, got {text[:20]}")
    return value


async def change_layer(request: web.Request) -> web.Response:
    """Show or hide a layer, set its strength or colour, move it, or place a sticker."""
    session = session_of(request, "edit")
    number, target = number_in(request, "layer"), target_of(session, request.query)
    await session.editor.patch_layer(number, await json_of(request), target)
    return await changed(session)


async def repaint_layer(request: web.Request) -> web.Response:
    """Give a layer of paint, or of an edited picture, other pixels."""
    session = session_of(request, "edit")
    number, target = number_in(request, "layer"), target_of(session, request.query)
    layer = stack.find_pixels(session.editor.edited(target).layers, number)
    async with uploaded(request, session) as picture:
        if isinstance(layer, PictureLayer):
            await session.editor.renew_picture(number, picture, target)
        else:
            await session.editor.change_layers(partial(_painted, number, picture), "paint", target)
    return await changed(session)


def _painted(
    number: int, picture: Picture, layers: stack.Layers, reference: ReferencePicture
) -> stack.Layers:
    return stack.repainted(layers, number, paint_of(picture, reference))


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
    draw = partial(stack.edit_of, edited.reference.image, edited.reference.landmarks, layers)
    return await download(request, session, lambda: encode_png(np.asarray(draw().shown)), "image/png")


def _edited(session: Session, request: web.Request) -> LookKeyframe:
    return session.editor.edited(target_of(session, request.query))


def _layer(edited: LookKeyframe, number: int) -> Layer:
    return stack.find(edited.layers, number)
