"""Describes the HTTP interface in OpenAPI 3.1. It is made from the routes, so that none is missing.

The docstring of a route's handler is its summary. `_BODIES`, `_ANSWERS` and `_QUERIES` give the rest by the
handler's name. WHIP and WHEP are described by their RFC and draft, the events' WebSocket by docs/http-api.md.
"""

from __future__ import annotations

import re
from typing import Any, get_args

from aiohttp import web

from correspondence.face.landmarks import MOST_FACES
from reference import MODES, presets
from reference.face.sticker import PLACE, SPOTS
from reference.looks.layers import Kind
from stream.config import ServerConfig
from stream.http.look_files import TYPE as LOOK_FILE
from stream.http.recordings import ACTIONS
from stream.looks.look import MAX_NAME, Overlay
from stream.media.pictures import MIN_SIDE
from stream.recording.shelf import FILM
from stream.session.store import ROOM
from stream.storage.keys import SHARED

Json = dict[str, Any]
VERSION = "1.0.0"
LEFT_OUT = ("events", "stall")  # a WebSocket, and a route for measurements
PATHS = ("/api/", "/healthz", "/readyz", "/metrics")
BY_WORDS = ("begin", "read", "cancel")  # described only if the server edits by words
OPEN = ("list_presets", "about_server", "describe_interface", "health", "ready", "metrics")  # need no token


def _object(required: tuple[str, ...] = (), closed: bool = False, **properties: Any) -> Json:
    found: Json = {"type": "object", "properties": properties}
    if required:
        found["required"] = list(required)
    if closed:
        found["additionalProperties"] = False
    return found


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _maybe(kind: str, **more: Any) -> Json:
    return {"type": [kind, "null"], **more}


TEXT: Json = {"type": "string"}
FLAG: Json = {"type": "boolean"}
MOST_WHOLE = 999_999_999_999  # of ids
WHOLE: Json = {"type": "integer", "minimum": 0, "maximum": MOST_WHOLE}
SHARE: Json = {"type": "number", "minimum": 0, "maximum": 1}
NAME: Json = {"type": "string", "minLength": 1, "maxLength": MAX_NAME, "format": "printable"}
COLOUR: Json = {"type": "string", "pattern": "^#[0-9a-fA-F]{6}$"}
TARGET: Json = {name: _maybe("integer", minimum=0, maximum=MOST_WHOLE) for name in ("look", "keyframe")}
_SETTINGS: Json = {
    "mode": {"enum": list(MODES)},
    "strength": SHARE,
    "enabled": FLAG,
    "overlay": {"enum": list(get_args(Overlay))},
    "faces": {"type": "integer", "minimum": 1, "maximum": MOST_FACES},
}
_SESSION: Json = dict.fromkeys(("id", "token", "view_token", "whip", "whep", "viewer"), TEXT)
_LAYER: Json = _object(
    ("id", "version", "kind", "title", "shown", "strength"),
    id=WHOLE, version=WHOLE, kind={"enum": list(get_args(Kind))}, title=TEXT, shown=FLAG, strength=SHARE,
    preset=_maybe("string"), colour=_maybe("string"), sticker=_maybe("object"),
)  # fmt: skip
_PLACE: Json = {  # of a sticker
    name: {"type": "number", "minimum": low, "maximum": high} for name, (low, high) in PLACE.items()
}
_STATE: Json = _object(
    ("id", "publishing", "settings", "looks", "active", "keyframes", "viewers", "comparing"),
    **_SESSION,
    publishing=FLAG,
    publisher=_maybe("string"),
    demo=FLAG,
    source=_maybe("object"),
    reference=_maybe("object"),
    edit=_maybe("object"),
    layers=_list(_LAYER),
    settings=_object(tuple(_SETTINGS), **_SETTINGS),
    looks=_list(_object(("id", "name", "edited"), id=WHOLE, name=TEXT, edited=FLAG)),
    max_looks=WHOLE,
    max_faces=WHOLE,
    active=WHOLE,
    keyframes=_list(_object(("id", "version", "pinned", "active"), id=WHOLE, version=WHOLE)),
    focus=_maybe("integer"),
    undo=_maybe("string"),
    redo=_maybe("string"),
    comparing=FLAG,
    viewers=WHOLE,
    note=_maybe("string"),
    warning=_maybe("string"),
    left=_list(TEXT),
    prompt=_maybe("object"),
    virtual_camera=_maybe("string"),
    storage=_maybe("object"),
)
_PRESET: Json = _object(
    ("name", "title", "group", "colour", "coloured", "strength", "needs_face"),
    name=TEXT, title=TEXT, group=TEXT, colour=COLOUR, coloured=FLAG, strength=SHARE, needs_face=FLAG,
    needs=TEXT,
)  # fmt: skip
_ICE: Json = _object(("urls",), urls=TEXT, username=TEXT, credential=TEXT)
_WORDS: Json = {
    "prompt": {"type": "string", "minLength": 1, "maxLength": 300, "format": "printable"},
    "area": {"enum": ["all", "face", None]},
    "steps": {"type": "integer", "minimum": 1, "maximum": 100},
    "guidance": {"type": "number", "minimum": 0},
    "image_guidance": {"type": "number", "minimum": 0},
    "seed": {"type": "integer", "minimum": 0},
}

_PICTURE = "image/png"  # JPEG and WebP are taken too
_BINARY: Json = {"type": "string", "format": "binary"}
_BODIES: dict[str, Json] = {  # by handler: content type -> schema
    "take_reference": {"application/json": _object(auto=FLAG), _PICTURE: _BINARY},
    "put_edit": {_PICTURE: _BINARY},
    "wear_preset": {
        "application/json": _object(
            ("name",), name={"enum": list(presets.NAMES)}, colour={"anyOf": [COLOUR, {"type": "null"}]},
            strength={"anyOf": [SHARE, {"type": "null"}]}, **TARGET,
        )
    },
    "add_layer": {_PICTURE: _BINARY},
    "import_look": {LOOK_FILE: _BINARY},
    "repaint_layer": {_PICTURE: _BINARY},
    "change_layer": {
        "application/json": _object(
            closed=True, shown=FLAG, strength=SHARE, colour=COLOUR, place=WHOLE, at={"enum": list(SPOTS)},
            rigid=FLAG, **_PLACE,
        )
    },
    "create_look": {"application/json": _object(copy=FLAG, name={"anyOf": [NAME, {"type": "null"}]})},
    "rename_look": {"application/json": _object(("name",), name=NAME)},
    "focus": {"application/json": _object(keyframe=_maybe("integer"))},
    "feed_virtual_camera": {"application/json": _object(("on",), on=FLAG)},
    "begin": {"application/json": _object(("prompt",), closed=True, **_WORDS, **TARGET)},
    "name_room": {"application/json": _object(room=_maybe("string", pattern=f"^{ROOM.pattern}$"))},
    "renew_token": {"application/json": _object(("renew",), renew={"enum": list(SHARED)})},
    "act": {"application/json": _object(("action",), action={"enum": list(ACTIONS)})},
    "lend": {"application/json": _object(("file",), file={"type": "string", "pattern": f"^{FILM.pattern}$"})},
}  # fmt: skip
_REQUIRED = (  # need their body
    *("put_edit", "wear_preset", "rename_look", "feed_virtual_camera", "begin"),
    *("add_layer", "repaint_layer", "change_layer", "import_look", "renew_token", "act", "lend"),
)
_STATES = "#/components/schemas/State"
_ANSWERS: dict[str, tuple[int, str | None, Json]] = {  # by handler: status, content type, schema
    "open_session": (201, "application/json", _object(tuple(_SESSION), **_SESSION)),
    "end_session": (204, None, {}),
    "import_look": (201, "application/json", {"$ref": _STATES}),
    "export_look": (200, LOOK_FILE, {}),
    "add_layer": (201, "application/json", {"$ref": _STATES}),
    "create_look": (201, "application/json", {"$ref": _STATES}),
    "begin": (202, "application/json", {"$ref": _STATES}),
    "read": (200, "application/json", {"type": "object"}),
    "list_presets": (200, "application/json", _list(_PRESET)),
    "ice_servers": (200, "application/json", _list(_ICE)),
    "phone": (200, "application/json", _object(("url", "qr"), url=TEXT, qr=TEXT)),
    "read_room": (200, "application/json", _object(("id",), id=TEXT)),
    "list_recordings": (
        200,
        "application/json",
        _object(("recordings",), recordings=_list(_object(("name",), name=TEXT))),
    ),
    "lend": (200, "application/json", _object(("url",), url=TEXT)),
    "about_server": (200, "application/json", _object(("storage",), storage=_maybe("object"))),
    "health": (200, "application/json", _object(("status", "sessions"), status=TEXT, sessions=WHOLE)),
    "ready": (200, "application/json", _object(("status", "sessions"), status=TEXT, sessions=WHOLE)),
    "metrics": (200, "text/plain", TEXT),
    "describe_interface": (200, "application/json", {"type": "object"}),
    **{name: (200, "image/png", {}) for name in ("frame_png", "reference_png", "edit_png")},
    **{name: (200, "image/png", {}) for name in ("keyframe_reference", "keyframe_edit")},
    **{name: (200, "image/png", {}) for name in ("layer_picture", "below_layer")},
    **{name: (200, "image/jpeg", {}) for name in ("look_thumb", "keyframe_thumb", "previews")},
}
_EMPTY = ("frame_png", "reference_png", "edit_png", "look_thumb", "keyframe_thumb", "previews")  # may be 204
_NUMBERED = ("look", "keyframe", "layer")  # parts of paths
_OF_LAYERS = ("change_layer", "repaint_layer", "remove_layer", "layer_picture", "below_layer")
_QUERIES: dict[str, Json] = {
    "reference_png": {"version": TEXT},
    "previews": {"version": TEXT},
    "edit_png": {"version": TEXT},
    "put_edit": {"mode": {"enum": list(MODES)}, "look": WHOLE, "keyframe": WHOLE},
    "remove_edit": {"look": WHOLE},
    "import_look": {"own": {"enum": ["true", "false"]}},
    "add_layer": {
        "kind": {"enum": ["paint", "picture", "sticker", "backdrop"]},
        "look": WHOLE,
        "keyframe": WHOLE,
        "sure": {"enum": ["true", "false"]},
        "at": {"enum": list(SPOTS)},
        "rigid": {"enum": ["true", "false"]},
        **_PLACE,
    },
    **{name: {"look": WHOLE, "keyframe": WHOLE} for name in _OF_LAYERS},
}


def describe(app: web.Application, config: ServerConfig) -> Json:
    """Describe the interface of an application.

    Args:
        app: the application with all its routes.
        config: the server's configuration; it says whether opening a session needs a token.

    Returns:
        The description as a JSON object.
    """
    paths: dict[str, Json] = {}
    left_out = LEFT_OUT if config.prompt_model is not None else (*LEFT_OUT, *BY_WORDS)
    for route in app.router.routes():
        info = route.resource.get_info() if route.resource is not None else {}
        path = info.get("path") or info.get("formatter")
        name = route.handler.__name__
        if path is None or not path.startswith(PATHS) or route.method == "HEAD" or name in left_out:
            continue
        text = " ".join((route.handler.__doc__ or "").split())
        paths.setdefault(path, {})[route.method.lower()] = _operation(name, text, path, config)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Livery",
            "version": VERSION,
            "description": "Sessions, looks and pictures. Video goes by WHIP (RFC 9725) and WHEP; events "
            "come over a WebSocket. Pictures are PNG, JPEG or WebP, each side at least "
            f"{MIN_SIDE} pixels.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"State": _STATE, "Error": _object(("error", "hint"), error=TEXT, hint=TEXT)},
            "responses": {
                "Error": {
                    "description": "What went wrong, and the way out.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
            },
        },
    }


def _operation(name: str, text: str, path: str, config: ServerConfig) -> Json:
    status, content, schema = _ANSWERS.get(name, (200, "application/json", {"$ref": _STATES}))
    answer: Json = {"description": "Done."}
    if content is not None:
        answer["content"] = {content: {"schema": schema}}
    answers: Json = {str(status): answer}
    if name in _EMPTY:
        answers["204"] = {"description": "Nothing to show, or of another version by now."}
    answers["default"] = {"$ref": "#/components/responses/Error"}
    free = name in OPEN or (name == "open_session" and config.token is None)
    found: Json = {
        "operationId": name,
        "summary": text,
        "security": [] if free else [{"token": []}],
        "responses": answers,
        "parameters": [
            {"name": each, "in": "path", "required": True, "schema": WHOLE if each in _NUMBERED else TEXT}
            for each in re.findall(r"{(\w+)}", path)
        ]
        + [{"name": key, "in": "query", "schema": value} for key, value in _QUERIES.get(name, {}).items()],
    }
    bodies = _BODIES.get(name, {})
    if name == "change_settings":
        faces = {"type": "integer", "minimum": 1, "maximum": config.faces}
        bodies = {"application/json": _object(closed=True, **{**_SETTINGS, "faces": faces})}
    if bodies:
        found["requestBody"] = {
            "required": name in _REQUIRED,
            "content": {kind: {"schema": body} for kind, body in bodies.items()},
        }
    return found
