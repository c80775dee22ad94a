"""What all routes share: access, tokens, JSON bodies, errors as JSON and security headers."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from urllib.parse import urlsplit

from aiohttp import web

from correspondence import Image
from stream.config import ServerConfig
from stream.errors import (
    AuthError,
    ForbiddenError,
    MisdirectedError,
    RequestError,
    ServerError,
    UploadError,
)
from stream.http.connections import Census
from stream.http.hosts import Hosts, host_name
from stream.http.limits import Limits
from stream.json_text import read_json
from stream.media.pictures import encode_png
from stream.metrics import Registry
from stream.refused import refused
from stream.session.room import Room
from stream.session.services import Services
from stream.session.session import Session
from stream.session.store import SessionStore, same
from stream.storage.keys import Right
from stream.tls import HSTS

logger = logging.getLogger(__name__)

CONFIG: web.AppKey[ServerConfig] = web.AppKey("config", ServerConfig)
REGISTRY: web.AppKey[Registry] = web.AppKey("registry", Registry)
SERVICES: web.AppKey[Services] = web.AppKey("services", Services)
STORE: web.AppKey[SessionStore] = web.AppKey("store", SessionStore)
LIMITS: web.AppKey[Limits] = web.AppKey("limits", Limits)
CENSUS: web.AppKey[Census] = web.AppKey("census", Census)
STOPPING: web.AppKey[asyncio.Event] = web.AppKey("stopping", asyncio.Event)
UPLOADS: web.AppKey[Room] = web.AppKey("uploads", Room)
HOSTS: web.AppKey[Hosts] = web.AppKey("hosts", Hosts)
JSON_BYTES = 64_000
BODY_IDLE_S = 10.0  # longest pause within a body
BODY_S, BODY_BYTES_PER_S = 20.0, 100_000  # longest time for a body: this, and what its size adds
CLIENT_GONE = 499  # of an answer that nobody reads, for the access log
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; worker-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=()",
    "Referrer-Policy": "no-referrer",  # links to the viewer carry a token
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def token_of(request: web.Request) -> str | None:
    """Return the bearer token of a request. None if there is none.

    A page can set no header for a WebSocket, so it offers the token as the protocol "bearer.TOKEN". Tokens in
    addresses are not accepted, because proxies log addresses and browsers keep them.
    """
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and value.strip():
        return _text(value.strip())
    offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
    named = (protocol.strip().removeprefix("bearer.") for protocol in offered if "bearer." in protocol)
    token = next(named, None)
    return None if token is None else _text(token)


def _text(header: str) -> str:
    """Return a header's value as text that can be encoded. Bytes that are no UTF-8 become question marks."""
    return header.encode("utf-8", "replace").decode()


def session_of(request: web.Request, right: Right = "own") -> Session:
    """Return the session that the address names (see `SessionStore.find`). It counts as used."""
    session = request.app[STORE].find(request.match_info["id"], token_of(request), right)
    session.touch()
    return session


async def kept(session: Session, status: int = 200, more: Mapping[str, object] | None = None) -> web.Response:
    """Answer a change with the session's state. With a store, the answer waits until the state is on disk.

    If the state could not be stored, its `storage.problem` says why.

    Args:
        session: the session that changed.
        status: the answer's HTTP status.
        more: further members of the answer.
    """
    await session.saver.saved()
    return web.json_response({**session.status.state(), **(more or {})}, status=status)


def check_server_token(request: web.Request, why: str) -> None:
    """Raise AuthError if the server has a token and the request does not carry it."""
    wanted, given = request.app[CONFIG].token, token_of(request)
    if wanted is not None and (given is None or not same(given, wanted)):
        raise AuthError(
            f"this server asks for its token {why}",
            "it was set with --token; send Authorization: Bearer TOKEN",
        )


async def json_of(request: web.Request) -> dict[str, object]:
    """Return the body as a JSON object. An empty body is an empty object.

    Raises:
        RequestError: the body is not JSON, or not an object.
        UploadError: the body is too long.
    """
    body = await limited_body(request, JSON_BYTES)
    value = read_json(body, "the body") if body.strip() else {}
    if not isinstance(value, dict):
        raise RequestError(f"the body must be a JSON object, got {type(value).__name__}")
    return value


def number_of(body: Mapping[str, object], name: str) -> int:
    """Return a member of a JSON object that is a whole number.

    Raises:
        RequestError: the member is missing or something else.
    """
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise RequestError(f"{name} must be a whole number, got {value!r}")
    return value


async def png(request: web.Request, session: Session, image: Image) -> web.StreamResponse:
    """Answer with a picture as PNG (see `download`)."""
    return await download(request, session, partial(encode_png, image), "image/png")


async def download(
    request: web.Request,
    session: Session,
    make: Callable[[], bytes],
    kind: str,
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """Answer with bytes. They count as a download of the session until the client has received them.

    Args:
        request: the request.
        session: its session.
        make: makes the bytes, on a thread of `Services.pictures`.
        kind: their media type.
        headers: further headers of the answer.

    Raises:
        CapacityError: the session has as many downloads as allowed.
    """
    with session.downloads.place():
        pictures = request.app[SERVICES].pictures
        data = await asyncio.get_running_loop().run_in_executor(pictures, make)
        response = web.Response(body=data, content_type=kind, headers=headers)
        await response.prepare(request)
        await response.write_eof()
    return response


async def limited_body(request: web.Request, limit: int) -> bytes:
    """Return the whole body.

    Raises:
        UploadError: the body has more than `limit` bytes, is compressed, or arrives too slowly.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UploadError("the body is compressed", "send it as it is, without Content-Encoding", status=415)
    if request.content_length is not None and request.content_length > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_S + limit / BODY_BYTES_PER_S) as whole:
            while part := await _next_part(request):
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
    except TimeoutError:
        refused.note("slow_body")
        what = "in all" if whole.expired() else f"within {BODY_IDLE_S:g} s"
        raise UploadError(
            f"the body did not arrive in time: {size} bytes, no more {what}", "send it again", status=408
        ) from None
    return b"".join(parts)


async def _next_part(request: web.Request) -> bytes:
    async with asyncio.timeout(BODY_IDLE_S):
        return await request.content.read(65_536)


def _too_large(limit: int) -> UploadError:
    return UploadError(f"what was sent is larger than {limit / 1e6:g} MB", "send a smaller file", status=413)


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into `{"error": …, "hint": …}`. Unexpected errors are logged and become 500."""
    try:
        return await handler(request)
    except ServerError as exc:
        logger.debug("%s %s refused: %d %s", request.method, request.rel_url.path, exc.status, exc.text)
        return _error(exc.status, exc.text, exc.hint, exc.headers)
    except web.HTTPException as exc:
        if exc.status < 400:
            raise
        allow = {"Allow": exc.headers["Allow"]} if "Allow" in exc.headers else {}
        return _error(exc.status, exc.reason, "", allow)
    except ConnectionError as exc:
        if request.transport is not None and not request.transport.is_closing():
            return _failed(request)
        logger.debug("%s %s: the client has gone: %s", request.method, request.rel_url.path, exc)
        return web.Response(status=CLIENT_GONE)  # nobody reads it
    except OSError as exc:
        if exc.errno != errno.ENAMETOOLONG:
            return _failed(request)
        return _error(404, "there is no file of such a long name", "", {})
    except Exception:
        return _failed(request)


def _failed(request: web.Request) -> web.Response:
    """Log the exception that is being handled, and answer with 500."""
    logger.exception("%s %s failed", request.method, request.match_info.handler)
    return _error(500, "the server failed at this request", "its log says why", {})


def _error(status: int, text: str, hint: str, headers: dict[str, str]) -> web.Response:
    return web.json_response({"error": text, "hint": hint}, status=status, headers=headers)


@web.middleware
async def known_host(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests that name another host than this server. `/healthz` and `/readyz` answer any.

    Raises:
        RequestError: the Host header is missing or unreadable.
        MisdirectedError: it names another host.
    """
    host = request.headers.get("Host", "")
    if request.path not in ("/healthz", "/readyz") and not request.app[HOSTS].allows(host):
        if host_name(host) is None:
            raise RequestError("the request has no Host header that names a server", "send one: Host: NAME")
        refused.note("unknown_host", host)
        raise MisdirectedError(
            f"this server is not known as {host_name(host)!r}",
            "open it by its address, or start it with --allow-host NAME",
        )
    return await handler(request)


@web.middleware
async def same_site(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests from pages of other sites, WebSockets included. Requests without an Origin pass."""
    origin = request.headers.get("Origin")
    if origin is not None and (request.method not in ("GET", "HEAD") or "Upgrade" in request.headers):
        public = request.app[CONFIG].public_url
        allowed = {request.headers.get("Host"), urlsplit(public).netloc if public else None}
        if _host(origin) not in allowed - {None}:
            refused.note("other_site", origin)
            raise ForbiddenError("requests of other sites' pages are refused", "open the server's own page")
    return await handler(request)


def _host(origin: str) -> str | None:
    """Return host and port of an Origin header. None if it is not a URL."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def is_here(request: web.Request) -> bool:
    """Whether the request comes from the server's own machine, by its address and its Host header.

    With a `public_url` or a trusted proxy the answer is always False, because then every request may look
    local.
    """
    config = request.app[CONFIG]
    if config.public_url is not None or config.trusted_proxies:
        return False
    try:
        peer = ipaddress.ip_address((request.remote or "").partition("%")[0])
    except ValueError:
        return False
    return peer.is_loopback and is_loopback(host_name(request.host) or "")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host name or address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, or the empty address
        return False


@web.middleware
async def waking(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Read the session that the address names back from disk, if it is stored (see `SessionStore.wake`)."""
    if (session_id := request.match_info.get("id")) is not None:
        await request.app[STORE].wake(session_id, token_of(request))
    return await handler(request)


@web.middleware
async def slow_guessing(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count wrong tokens. An address that sends many of them is answered slowly."""
    try:
        return await handler(request)
    except AuthError:
        if token_of(request) is not None:
            await request.app[LIMITS].failed(request)
        raise


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add security headers to every answer, and forbid caching of the interface's answers."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.app[CONFIG].tls is not None:
        response.headers.setdefault("Strict-Transport-Security", HSTS)
    response.headers.setdefault(
        "Cache-Control", "no-cache" if request.path.startswith("/static/") else "no-store"
    )
