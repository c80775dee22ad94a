"""ICE servers and their credentials, for aiortc, for browsers and for the Link headers of WHIP and WHEP.

A TURN server takes a user and a credential. Or it shares a secret with this server, from which each session
gets credentials that expire ("TURN REST API", as in coturn's `use-auth-secret`).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiortc import RTCIceServer

PROBE_S = 5.0
_HOST = r"[^?\s:/@\[\]]+(?::\d{1,5})?"
_URL = re.compile(rf"(?:stuns?:{_HOST}|turns?:{_HOST}(?:\?transport=(?:udp|tcp))?)")


@dataclass(frozen=True, slots=True)
class IceServer:
    """One ICE server with the credentials of a session. User and credential are None for STUN."""

    url: str
    user: str | None = None
    credential: str | None = None

    def json(self) -> dict[str, str]:
        """Convert to the form of a browser's `RTCPeerConnection`."""
        if self.user is None or self.credential is None:
            return {"urls": self.url}
        return {"urls": self.url, "username": self.user, "credential": self.credential}

    def link(self) -> str:
        """Convert to the value of a Link header (RFC 9725, section 4.6)."""
        text = f'<{self.url}>; rel="ice-server"'
        if self.user is None or self.credential is None:
            return text
        return (
            f'{text}; username="{_quoted(self.user)}"; credential="{_quoted(self.credential)}"; '
            'credential-type="password"'
        )

    def rtc(self) -> RTCIceServer:
        """Convert to aiortc's type."""
        from aiortc import RTCIceServer  # here: the command line reads options without aiortc

        return RTCIceServer(urls=self.url, username=self.user, credential=self.credential)


@dataclass(frozen=True, slots=True, kw_only=True)
class IceConfig:
    """The servers that are asked for candidates, and their credentials.

    Attributes:
        urls: "stun:host[:port]", "turn:host[:port][?transport=udp|tcp]" or "turns:…". Of several TURN
            servers aiortc asks only the first, browsers ask all.
        user, credential: credentials of the TURN servers.
        secret: secret shared with the TURN servers, in place of user and credential.
        lifetime_s: how long credentials made from the secret are valid, seconds, in [60, 604800]. A session
            that lasts longer loses its relay.
    """

    urls: tuple[str, ...] = ()
    user: str | None = None
    credential: str | None = None
    secret: str | None = None
    lifetime_s: float = 43_200.0

    def __post_init__(self) -> None:
        for url in self.urls:
            if _URL.fullmatch(url) is None:
                raise ValueError(
                    "ice_servers must be like stun:host:3478, turn:host:3478?transport=udp (or tcp) or "
                    f"turns:host:5349, got {url!r}; user and credential are given apart"
                )
        turns = [url for url in self.urls if url.startswith("turn")]
        if (self.user is None) != (self.credential is None):
            raise ValueError("a TURN server takes a user and a credential, only one of them is given")
        if self.user is not None and self.secret is not None:
            raise ValueError("give a TURN user and credential, or the shared secret, not both")
        if turns and self.user is None and self.secret is None:
            raise ValueError(
                f"{turns[0]} needs credentials: --turn-user and --turn-credential, or --turn-secret"
            )
        if not turns and (self.user is not None or self.secret is not None):
            raise ValueError("TURN credentials are given, but no --ice-server turn:…")
        if not 60 <= self.lifetime_s <= 604_800:
            raise ValueError(f"turn_lifetime_s must lie in [60, 604800], got {self.lifetime_s:g}")

    def servers(self, name: str, now_s: float | None = None) -> list[IceServer]:
        """The servers for one session, with its credentials.

        Args:
            name: identifies the session in the TURN server's log.
            now_s: time in seconds since 1970. None means now.
        """
        user, credential = self.user, self.credential
        if self.secret is not None:
            expires_s = int((time.time() if now_s is None else now_s) + self.lifetime_s)
            user = f"{expires_s}:{name}"
            digest = hmac.new(self.secret.encode(), user.encode(), hashlib.sha1).digest()
            credential = base64.b64encode(digest).decode()
        return [
            IceServer(url, user, credential) if url.startswith("turn") else IceServer(url)
            for url in self.urls
        ]


async def refusal(server: IceServer) -> str | None:
    """Test a TURN server. Returns why it gives no relay, or None if it does or is a STUN server.

    The test makes an allocation and releases it. It takes about `PROBE_S` seconds at most.
    """
    from aioice import stun, turn

    if not server.url.startswith("turn"):
        return None
    scheme, _, rest = server.url.partition(":")
    where, _, query = rest.partition("?")
    host, _, port = where.partition(":")
    transport = query.partition("=")[2] or ("tcp" if scheme == "turns" else "udp")
    number = int(port) if port else (5349 if scheme == "turns" else 3478)
    try:
        async with asyncio.timeout(PROBE_S):
            opened, _ = await turn.create_turn_endpoint(
                asyncio.DatagramProtocol, (host, number), server.user, server.credential,
                ssl=scheme == "turns", transport=transport,
            )  # fmt: skip
    except stun.TransactionFailed as exc:
        code = exc.response.attributes.get("ERROR-CODE", (0, ""))[0]
        return "it refused the credentials" if code in (401, 441) else f"it answered with error {code}"
    except (TimeoutError, stun.TransactionTimeout):
        return "it did not answer"
    except OSError as exc:
        return f"it cannot be reached ({exc.strerror or exc})"
    opened.close()
    return None


async def refusals(servers: Sequence[IceServer]) -> list[str]:
    """Test TURN servers. Returns a line for each one that gives no relay."""
    found = await asyncio.gather(*(refusal(server) for server in servers))
    return [f"{server.url}: {why}" for server, why in zip(servers, found, strict=True) if why is not None]


def _quoted(text: str) -> str:
    """Escape text for a quoted string (RFC 9110, section 5.6.4)."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
