"""The page's address for a phone, as a QR code on the terminal and on the page."""

from __future__ import annotations

import io
import socket

import segno
from aiohttp import web

from stream.config import ServerConfig
from stream.errors import ConflictError
from stream.http.base import SERVICES, is_loopback, session_of, token_of

ELSEWHERE = ("192.0.2.1", 9)  # an address of documentation (RFC 5737): nothing is sent there


def add_phone_route(app: web.Application) -> None:
    """The route of the page's QR code."""
    app.router.add_get("/api/sessions/{id}/phone", phone)


async def phone(request: web.Request) -> web.Response:
    """Where a phone opens this session's page, as text and as a QR code in SVG; both hold its token."""
    session = session_of(request)
    origin = origin_for_phones(request)
    url = f"{origin}/#session={session.id}&token={token_of(request)}"
    code = io.BytesIO()
    segno.make(url, error="l", micro=False).save(code, kind="svg", scale=4, border=4, light="#fff")
    return web.json_response({"url": url, "qr": code.getvalue().decode()})


def origin_for_phones(request: web.Request) -> str:
    """Scheme, host and port under which another machine of the network reaches this server.

    Raises:
        ConflictError: none does.
    """
    config = request.app[SERVICES].config
    if config.public_url is not None:
        return config.public_url.rstrip("/")
    here = request.url.origin()
    if not is_loopback(here.host or ""):
        return str(here)
    address = network_address(config)
    if address is None:
        raise ConflictError(
            "phones cannot reach this server: it listens on this machine only",
            "start it with --host 0.0.0.0 --tls auto --token SECRET",
        )
    return str(here.with_host(address))


def network_address(config: ServerConfig) -> str | None:
    """The address under which others of the network reach a server; None where they do not."""
    if is_loopback(config.host):
        return None
    if config.host not in ("", "0.0.0.0", "::"):
        return config.host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ELSEWHERE)
        except OSError:
            return None
        found = str(probe.getsockname()[0])
    return None if is_loopback(found) else found


def terminal_code(url: str) -> str:
    """A QR code of an address, in half blocks for a terminal; about 30 columns wide."""
    text = io.StringIO()
    segno.make(url, error="l", micro=False).terminal(out=text, border=2, compact=True)
    return text.getvalue().rstrip("\n")
