"""Gives each request an id, counts it and logs it."""

from __future__ import annotations

import logging
import re
import secrets
import time

from aiohttp import hdrs, web

from stream import logs
from stream.http.base import REGISTRY, Handler

logger = logging.getLogger(__name__)

HEADER = "X-Request-Id"
KEY: web.RequestKey[str] = web.RequestKey("id", str)
_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")


@web.middleware
async def identified(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer with an `X-Request-Id`: the client's own, if it is sound, or a new one.

    The log lines of the request and of what it begins carry the id. Requests are counted by route, method and
    status. Neither shows a session's whole id nor any token.
    """
    given = request.headers.get(HEADER, "")
    request[KEY] = given if _GIVEN.fullmatch(given) else secrets.token_hex(8)
    logs.request_id.set(request[KEY])
    logs.session_id.set(request.match_info.get("id", "")[:6])
    began_s = time.monotonic()
    response = await handler(request)
    resource = request.match_info.route.resource
    route = "other" if resource is None else resource.canonical
    method = request.method if request.method in hdrs.METH_ALL else "other"
    labels = f'route="{route}",method="{method}",status="{response.status}"'
    request.app[REGISTRY].count("requests", labels)
    took_ms = 1000 * (time.monotonic() - began_s)
    logger.debug("%s %s answered %d after %.0f ms", method, route, response.status, took_ms)
    return response


async def name_answer(request: web.Request, response: web.StreamResponse) -> None:
    """Put the request's id into its answer."""
    if KEY in request:
        response.headers.setdefault(HEADER, request[KEY])
