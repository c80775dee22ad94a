"""The target that takes raw HTTP: any bytes on a connection; no answer is a 500, and the server goes on."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

from stream.config import ServerConfig
from stream.http.app import create_app
from stream.http.running import make_runner
from stream.rtc.ice import configure
from stream.session.services import Services
from tests.fuzz.packets import loop
from tests.fuzz.texts import offers

ANSWER_S = 5.0


class _Server:
    """An application whose sessions edit nothing, on a free port."""

    def __init__(self) -> None:
        def none() -> Any:
            raise RuntimeError("no pipeline here")

        many = 100_000
        config = ServerConfig(
            max_sessions=2, opens_per_minute=many, offers_per_minute=many, failures_per_minute=many
        )
        self.runner = make_runner(create_app(Services(config=config, new_propagator=none)))
        self.port = 0
        self.ids: tuple[str, str] = ("", "")

    async def start(self) -> None:
        """Listen, and open the session that requests are about."""
        from aiohttp import web

        from stream.http.base import STORE

        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.port = self.runner.addresses[0][1]
        session, token = await self.runner.app[STORE].open(pinned=True)
        self.ids = session.id, token

    async def say(self, data: bytes) -> bytes:
        """What the server answers to some bytes and their end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            if writer.can_write_eof():
                writer.write_eof()
            async with asyncio.timeout(ANSWER_S):
                return await reader.read(4096)
        except ConnectionError:
            return b""
        finally:
            writer.close()


@cache
def server() -> _Server:
    """The server all cases talk to."""
    made = _Server()
    loop().run_until_complete(made.start())
    return made


def corpus() -> list[bytes]:
    """Requests to every route, with and without the token."""
    name, token = server().ids
    one = f"/api/sessions/{name}"
    routes = [
        ("GET", "/", b""), ("GET", "/view/x", b""), ("GET", "/static/app.js", b""), ("GET", "/healthz", b""),
        ("GET", "/metrics", b""), ("GET", "/api/presets", b""), ("POST", "/api/sessions", b"{}"),
        ("GET", one, b""),
        ("PATCH", f"{one}/settings", b'{"strength": 0.5}'),
        ("PUT", f"{one}/edit?mode=auto&look=1", b"\x89PNG"),
        ("POST", f"{one}/preset", b'{"name": "lipstick", "colour": "#aa0000", "strength": 1}'),
        ("POST", f"{one}/looks", b'{"name": "x", "copy": false}'), ("POST", f"{one}/undo", b""),
        ("PUT", f"{one}/focus", b'{"keyframe": null}'), ("DELETE", f"{one}/keyframes/3", b""),
        ("GET", f"{one}/looks/1/thumb.jpg", b""), ("GET", f"{one}/reference.png?version=4", b""),
        ("POST", f"/whep/{name}", offers()[0].encode()), ("OPTIONS", f"/whip/{name}", b""),
        ("PATCH", f"/whip/{name}/peer", b"a=candidate:1"), ("DELETE", f"/whep/{name}/peer", b""),
    ]  # fmt: skip
    found = []
    for method, path, body in routes:
        kind = (
            "application/sdp"
            if path.startswith("/wh")
            else "image/png"
            if b"PNG" in body
            else "application/json"
        )
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        found.append(head.encode() + body)
    socket = (
        f"GET {one}/events HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"Origin: http://localhost\r\nSec-WebSocket-Protocol: livery, bearer.{token}\r\n\r\n"
    )
    return [*found, socket.encode() + b"\x81\x85\0\0\0\0hello"]


def run_request(data: bytes) -> None:
    """Any bytes; no server error."""
    answer = loop().run_until_complete(server().say(data))
    status = answer.split(b" ", 2)[1] if answer.startswith(b"HTTP/1.") and answer.count(b" ") >= 2 else b""
    assert not status.startswith(b"5") or status == b"503", answer[:300]


def close() -> None:
    """Stop the server."""
    loop().run_until_complete(server().runner.cleanup())
    server.cache_clear()
    configure()
