"""WHIP (RFC 9725) and WHEP: an SDP offer in, an answer out."""

from __future__ import annotations

import logging

from aiohttp import web
from multidict import CIMultiDict

from stream.errors import (
    MediaTypeError,
    NotFoundError,
    OfferError,
    PreconditionError,
    ServerError,
    SignalingError,
)
from stream.http.base import LIMITS, SERVICES, is_here, limited_body, session_of, token_of
from stream.rtc.offers import Purpose, parse_fragment, parse_offer
from stream.rtc.peer import HUNG_UP, NEW_POST, NO_RESTART, Peer
from stream.rtc.sdp_bounds import MAX_FRAGMENT_BYTES, MAX_SDP_BYTES
from stream.session.session import Session

logger = logging.getLogger(__name__)

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"


def add_routes(app: web.Application) -> None:
    """Add the endpoints `/whip/ID` and `/whep/ID` and the resources below them."""
    for kind in ("whip", "whep"):
        app.router.add_post(f"/{kind}/{{id}}", offer_whip if kind == "whip" else offer_whep)
        app.router.add_options(f"/{kind}/{{id}}", options_endpoint)
        app.router.add_patch(f"/{kind}/{{id}}/{{peer}}", trickle)
        app.router.add_delete(f"/{kind}/{{id}}/{{peer}}", hang_up)
        app.router.add_options(f"/{kind}/{{id}}/{{peer}}", options_resource)


async def offer_whip(request: web.Request) -> web.Response:
    """Answer a publisher's offer with 201, the SDP answer and the address that ends the connection."""
    return await _offer(request, session_of(request, "publish"), "publish")


async def offer_whep(request: web.Request) -> web.Response:
    """Answer a viewer's offer. The owner's token works as well as a viewer's."""
    return await _offer(request, session_of(request, "view"), "view")


async def _offer(request: web.Request, session: Session, purpose: Purpose) -> web.Response:
    request.app[LIMITS].offer(request)
    text = await _body(request, SDP)
    offer = parse_offer(text, purpose)
    if purpose == "publish":
        peer, answer = await session.publish(offer, here=is_here(request))
    else:
        peer, answer = await session.connections.view(offer)
    try:
        session.check(token_of(request), purpose)
    except ServerError:  # a token that was made void meanwhile closes only the peers that were there then
        await peer.close("its token was renewed")
        raise
    public = request.app[SERVICES].config.public_url
    origin = public.rstrip("/") if public else str(request.url.origin())
    headers = CIMultiDict({"Location": f"{origin}{request.path}/{peer.id}", "Accept-Patch": FRAGMENT})
    _add_links(headers, session)
    return web.Response(status=201, text=answer, content_type=SDP, headers=headers)


def _add_links(headers: CIMultiDict[str], session: Session) -> None:
    """Name the ICE servers with their credentials in Link headers (RFC 9725, section 4.6)."""
    for server in session.connections.ice_servers():
        headers.add("Link", server.link())


async def options_endpoint(request: web.Request) -> web.Response:
    """Answer what the endpoint accepts.

    With a token, name the ICE servers, which a client needs before its offer.
    """
    headers = CIMultiDict({"Accept-Post": SDP, "Allow": "POST, OPTIONS"})
    if token_of(request) is not None:
        _add_links(headers, session_of(request, "view"))
    return web.Response(status=204, headers=headers)


async def options_resource(request: web.Request) -> web.Response:
    """Answer what a connection's resource accepts."""
    return web.Response(status=204, headers={"Accept-Patch": FRAGMENT, "Allow": "PATCH, DELETE, OPTIONS"})


async def trickle(request: web.Request) -> web.Response:
    """Take further ICE candidates and answer 204. An ICE restart is refused; a new POST does the same.

    A connection has no entity tag, because its ICE session is never restarted (RFC 9725, section 4.3.1). No
    tag of If-Match can be its own, therefore, and "*" asks for a restart.
    """
    _, peer = _resource(request)
    text = await _body(request, FRAGMENT)
    if peer is None:
        raise NotFoundError("this connection has ended", NEW_POST)
    wanted = request.headers.get("If-Match", "").strip()
    if wanted == "*":
        raise OfferError(NO_RESTART, NEW_POST)
    if wanted:
        raise PreconditionError(
            f"If-Match is {wanted}, and this connection has no entity tag", "leave If-Match out"
        )
    await peer.trickle(parse_fragment(text, peer.mid))
    return web.Response(status=204)


async def hang_up(request: web.Request) -> web.Response:
    """End a connection. Repeated requests get the same answer."""
    _, peer = _resource(request)
    if peer is not None:
        await peer.close(HUNG_UP)
    return web.Response(status=200)


def _resource(request: web.Request) -> tuple[Session, Peer | None]:
    """Return session and connection of the address. The connection is None if it has ended.

    Raises:
        NotFoundError: there was never such a connection in this session.
    """
    publishes = request.path.startswith("/whip/")
    session = session_of(request, "publish" if publishes else "view")
    peer_id = request.match_info["peer"]
    peer = session.connections.peer(peer_id)
    wrong_kind = peer is not None and (peer.purpose == "publish") != publishes
    if wrong_kind or (peer is None and not session.connections.has_ended(peer_id)):
        raise NotFoundError("there is no such connection in this session", NEW_POST)
    return session, peer


async def _body(request: web.Request, content_type: str) -> str:
    if request.content_type != content_type:
        raise MediaTypeError(f"Content-Type is {request.content_type}", f"send {content_type}")
    try:
        most = MAX_SDP_BYTES if content_type == SDP else MAX_FRAGMENT_BYTES
        return (await limited_body(request, most)).decode()
    except UnicodeDecodeError as exc:
        raise SignalingError(f"the body is not text ({exc})", f"send {content_type} in UTF-8") from exc
