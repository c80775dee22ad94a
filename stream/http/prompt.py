"""The JSON interface to edits by words: begin, read the progress, cancel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from reference.edits.prompt import PromptConfig
from stream.errors import NotFoundError, RequestError
from stream.http.base import json_of, number_of, session_of
from stream.http.looks import changed
from stream.http.named import target_in
from stream.prompting.edits import Area, PromptEdits
from stream.session.session import Session

MOST_CHARACTERS = 300  # the models read some 75 words
MOST_STEPS = 100  # more would keep the others waiting for nothing
KNOWN = ("prompt", "area", "steps", "guidance", "image_guidance", "seed", "look", "keyframe")


def add_prompt_routes(app: web.Application) -> None:
    """Add the routes of edits by words."""
    prompt = "/api/sessions/{id}/prompt"
    app.add_routes([web.post(prompt, begin), web.get(prompt, read), web.delete(prompt, cancel)])


async def begin(request: web.Request) -> web.Response:
    """Begin to edit the reference, or the named keyframe, by words. The state tells the progress."""
    session = session_of(request, "edit")
    edits = _edits(session)
    body = await json_of(request)
    unknown = sorted(set(body) - set(KNOWN))
    if unknown:
        raise RequestError(f"unknown field {', '.join(unknown)}", f"known are {', '.join(KNOWN)}")
    words, area, config = _words(body.get("prompt")), _area(body.get("area")), _config(body)
    await edits.begin(words, target_in(session, body), area, config)
    return web.json_response(session.status.state(), status=202)


async def read(request: web.Request) -> web.Response:
    """Read the progress of the newest edit by words."""
    return web.json_response(_edits(session_of(request, "edit")).describe())


async def cancel(request: web.Request) -> web.Response:
    """Cancel the edit by words that is running, if any."""
    session = session_of(request, "edit")
    _edits(session).cancel()
    return await changed(session)


def _edits(session: Session) -> PromptEdits:
    if session.prompts is None:
        raise NotFoundError("this server does not edit by words", "start it with --prompt-model")
    return session.prompts


def _words(value: object) -> str:
    if not isinstance(value, str):
        raise RequestError(f"prompt must be text, got {value!r}", "say what to change")
    words = " ".join(value.split())
    if not 0 < len(words) <= MOST_CHARACTERS:
        raise RequestError(
            f"prompt must have 1 to {MOST_CHARACTERS} characters, got {len(words)}", "say what to change"
        )
    if not words.isprintable():
        raise RequestError("prompt must have no control characters", "send plain text")
    return words


def _area(value: object) -> Area:
    if value is None or value == "all":
        return "all"
    if value == "face":
        return "face"
    raise RequestError(f"area must be all or face, got {value!r}")


def _config(body: Mapping[str, object]) -> PromptConfig:
    """Read the settings of an edit from a body. Missing ones have the defaults of `PromptConfig`."""
    given: dict[str, Any] = {name: number_of(body, name) for name in ("steps", "seed") if name in body}
    if not 1 <= given.get("steps", 1) <= MOST_STEPS:
        raise RequestError(f"steps must lie in [1, {MOST_STEPS}], got {given['steps']}")
    for name in ("guidance", "image_guidance"):
        if name in body:
            value = body[name]
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise RequestError(f"{name} must be a number, got {value!r}")
            given[name] = value
    try:
        return PromptConfig(**given)
    except ValueError as exc:
        raise RequestError(str(exc)) from exc
