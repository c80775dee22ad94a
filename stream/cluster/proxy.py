"""Passes requests and WebSockets on to a media host, and its answers back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import aiohttp
from aiohttp import WSMsgType, web
from multidict import CIMultiDict
from yarl import URL

from stream.errors import CapacityError
from stream.events import MAX_MESSAGE_BYTES
from stream.http.base import LIMITS
from stream.http.hosts import parsed
from stream.http.running import REQUEST

logger = logging.getLogger(__name__)

CONNECT_S = 3.0  # longest connecting to a host
SILENT_S = 120.0  # longest silence of a host within an answer; the longest body it waits for is shorter
CHUNK_BYTES = 65_536
HEARTBEAT_S = 10.0
COME_AGAIN = 1012  # close code "service restart"
HOP = {  # headers that belong to one connection (RFC 9110, section 7.6.1), and what aiohttp sets itself
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te"),
    *("trailer", "transfer-encoding", "upgrade", "content-length", "date", "server", "expect"),
}
CUT_OFF = (None, 1000, 1006)  # close codes of a socket that a host did not end itself
LOST = '{"type": "event", "level": "warning", "text": "the machine of this session was lost; it comes back"}'


class Proxy:
    """Carries requests to media hosts over one pool of connections."""

    def __init__(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENT_S)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=timeout, auto_decompress=False
        )

    async def close(self) -> None:
        """Close all connections to hosts."""
        await self._http.close()

    async def ask(
        self, request: web.Request, address: str, body: bytes | None = None
    ) -> aiohttp.ClientResponse:
        """Send a request to a host and return its answer, whose body is not read yet.

        Args:
            request: the client's request.
            address: address of the host's server.
            body: the request's body, if it has been read. None passes it on as it arrives.

        Raises:
            CapacityError: the host does not answer.
        """
        headers = onward(request)
        if body is None and request.content_length is not None:
            headers["Content-Length"] = str(request.content_length)
        data = body if body is not None else request.content if request.can_read_body else None
        url = URL(address + request.rel_url.raw_path_qs, encoded=True)
        try:
            return await self._http.request(
                request.method, url, data=data, headers=headers, allow_redirects=False
            )
        except (aiohttp.ClientConnectionError, TimeoutError) as exc:
            raise unreachable() from exc

    async def pass_back(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        """Send a host's answer to the client as it arrives."""
        async with answer:
            headers = _without_hop(answer.headers)
            response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
            if answer.content_length is not None:
                response.content_length = answer.content_length
            await response.prepare(request)
            try:
                async for part in answer.content.iter_chunked(CHUNK_BYTES):
                    await response.write(part)
            except (aiohttp.ClientPayloadError, TimeoutError) as exc:
                logger.warning("a media host's answer broke off: %s", exc)
                if request.transport is not None:
                    request.transport.abort()  # so that nobody takes it for whole
                return response
            await response.write_eof()
        return response

    async def whole(self, answer: aiohttp.ClientResponse) -> web.Response:
        """Read a short answer of a host, to be sent to the client."""
        async with answer:
            try:
                body = await answer.read()
            except (aiohttp.ClientError, TimeoutError) as exc:
                raise unreachable() from exc
        return web.Response(
            status=answer.status, reason=answer.reason, body=body, headers=_without_hop(answer.headers)
        )

    async def socket(self, request: web.Request, address: str) -> web.StreamResponse:
        """Connect the client's WebSocket with one to the host, until either closes.

        If the host is lost, the page is told, and asked to come again.

        Raises:
            CapacityError: the host does not answer.
        """
        url = URL(address + request.rel_url.raw_path_qs, encoded=True)
        offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        headers = onward(request)
        for name in {name for name in headers if name.lower().startswith("sec-websocket")}:
            headers.popall(name, None)
        try:
            host = await self._http.ws_connect(
                url, protocols=[name for name in offered if name], headers=headers, heartbeat=HEARTBEAT_S,
                max_msg_size=0,
            )  # fmt: skip
        except aiohttp.WSServerHandshakeError as exc:
            said = {"error": "the session's host refused the socket", "hint": "read the session first"}
            return web.json_response(said, status=max(exc.status, 400))
        except (aiohttp.ClientConnectionError, TimeoutError) as exc:
            raise unreachable() from exc
        page = web.WebSocketResponse(
            protocols=[host.protocol] if host.protocol else [], heartbeat=HEARTBEAT_S,
            max_msg_size=MAX_MESSAGE_BYTES, compress=False,
        )  # fmt: skip
        async with host:
            await page.prepare(request)
            await _connect(page, host)
        return page


async def _connect(page: web.WebSocketResponse, host: aiohttp.ClientWebSocketResponse) -> None:
    async def to_host() -> None:
        async for message in page:
            if message.type == WSMsgType.TEXT:
                await host.send_str(message.data)

    async def to_page() -> None:
        async for message in host:
            if message.type == WSMsgType.TEXT:
                await page.send_str(message.data)

    ways = [asyncio.create_task(to_host()), asyncio.create_task(to_page())]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:  # nobody may read a socket while it is closed
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
    try:
        if page.closed:
            await host.close()
        elif host.close_code in CUT_OFF:
            await page.send_str(LOST)
            await page.close(code=COME_AGAIN, message=b"come again")
        else:
            await page.close(code=host.close_code or COME_AGAIN)
    except ConnectionError:
        logger.debug("a page's socket ended while it was closed")


def onward(request: web.Request) -> CIMultiDict[str]:
    """Return the headers for the host: the client's, its address and the request's id."""
    headers = _without_hop(request.headers)
    proxies = request.app[LIMITS].proxies
    client = proxies.client(parsed(request.remote), request.headers.get("X-Forwarded-For", ""))
    headers["X-Forwarded-For"] = str(client)
    headers["X-Request-Id"] = request[REQUEST]
    return headers


def _without_hop(headers: Mapping[str, str]) -> CIMultiDict[str]:
    left_out = HOP | {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in left_out)


def unreachable() -> CapacityError:
    """Return the error of a host that does not answer."""
    return CapacityError(
        "the session's machine does not answer", "it comes back on another; try again", retry_after_s=1
    )
