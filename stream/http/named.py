"""What a request names: numbers in its path, flags in its query, the look and keyframe it means."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from reference import MODES, Mode
from stream.errors import ConflictError, NotFoundError, RequestError
from stream.http.base import number_of
from stream.looks.layering import Target, gone
from stream.session.session import Session


def number_in(request: web.Request, name: str) -> int:
    """Return a number of a request's path.

    Raises:
        NotFoundError: it is no whole number.
    """
    text = request.match_info[name]
    if (number := _whole(text)) is None:
        raise NotFoundError(f"there is no {name} {text[:20]!r}", "its name is a whole number, see the state")
    return number


def flag_in(request: web.Request, name: str, *, default: bool) -> bool:
    """Return a flag of a request's query.

    Raises:
        RequestError: it is neither "true" nor "false".
    """
    text = request.query.get(name, "true" if default else "false")
    if text not in ("true", "false"):
        raise RequestError(f"{name} must be true or false, got {text[:20]!r}")
    return text == "true"


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None


def target_of(session: Session, named: Mapping[str, str]) -> Target:
    """Read which look and keyframe a query names. Without a look it means the one that is active now.

    Raises:
        RequestError: one of them is not a whole number.
        ConflictError: there is no such look or keyframe. Only a path that names a missing one answers 404.
    """
    numbers: dict[str, int | None] = {"look": None, "keyframe": None}
    for key in numbers:
        if key in named and (number := _whole(named[key])) is not None:
            numbers[key] = number
        elif key in named:
            raise RequestError(f"{key} must be a whole number, got {named[key][:20]!r}")
    return _target(session, numbers["look"], numbers["keyframe"])


def target_in(session: Session, body: Mapping[str, object]) -> Target:
    """Read which look and keyframe a JSON object means (see `Target`).

    Raises:
        RequestError: one of them is not a whole number.
        ConflictError: there is no such look or keyframe.
    """
    look, keyframe = (
        number_of(body, key) if body.get(key) is not None else None for key in ("look", "keyframe")
    )
    return _target(session, look, keyframe)


def _target(session: Session, number: int | None, keyframe: int | None) -> Target:
    try:
        look = session.wardrobe.look(number)
        if keyframe is not None and not look.has(keyframe):
            raise gone(keyframe)
    except NotFoundError as exc:
        raise ConflictError(exc.text, exc.hint) from exc
    return Target(look.id, keyframe)


def mode_of(text: str | None) -> Mode | None:
    """Read how an edit is worn. None means what its pixels suggest.

    Raises:
        RequestError: there is no such mode.
    """
    if text is None:
        return None
    mode = next((mode for mode in MODES if mode == text), None)
    if mode is None:
        raise RequestError(f"mode must be one of {', '.join(MODES)}, got {text!r}")
    return mode
