"""The page's address for a phone, as a QR code for the terminal and the page."""

from __future__ import annotations

import io
import socket

import segno
from aiohttp import web

from stream.config import ServerConfig
from stream.errors import ConflictError
from stream.http.base import SERVICES, is_loopback, session_of, token_of

ELSEWHERE = ("192.0.2.1", 9)  # an address for documentation (RFC 5737); nothing is sent to it


def add_phone_route(app: web.Application) -> None:
    """Add the route of the page's QR code."""
    app.router.add_get("/api/sessions/{id}/phone", phone)


async def phone(request: web.Request) -> web.Response:
    """Read the address at which a phone opens this session's page, as text and as a QR code in SVG."""
    session = session_of(request)
    origin = origin_for_phones(request)
    url = f"{origin}/#session={session.id}&token={token_of(request)}"
    code = io.BytesIO()
    segno.make(url, error="l", micro=False).save(code, kind="svg", scale=4, border=4, light="#fff")
    return web.json_response({"url": url, "qr": code.getvalue().decode()})


def origin_for_phones(request: web.Request) -> str:
    """Return scheme, host and port under which other machines of the network reach this server.

    Raises:
        ConflictError: no other machine reaches it.
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
    """Return the address under which other machines reach this server. None if they do not."""
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
    """Draw a QR code with half blocks for a terminal. It is about 30 columns wide."""
    text = io.StringIO()
    segno.make(url, error="l", micro=False).terminal(out=text, border=2, compact=True)
    return text.getvalue().rstrip("\n")
