"""Rate limits for opening sessions, sending offers and trying tokens: token buckets, refilled over time."""

from __future__ import annotations

import asyncio
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from aiohttp import web

from stream.config import ServerConfig
from stream.errors import TooManyError
from stream.http.hosts import Proxies, parsed
from stream.refused import refused

GUESS_S = 2.0  # delay of the answer to a wrong token above the limit
ADDRESSES = 4096  # buckets kept; the one unused longest is dropped first, since it is the fullest


class Buckets:
    """One token bucket for each key. It allows `per_minute` operations at once, then that many each minute.

    Args:
        per_minute: size of a bucket, and its refill per minute.
        clock: returns the time, seconds.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = float(per_minute)
        self._per_s = per_minute / 60
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # level and its time

    def __len__(self) -> int:
        return len(self._levels)

    def wait_s(self, key: str) -> float:
        """Seconds until the key has a token again. 0 if it has one now."""
        return max(1.0 - self._level(key), 0.0) / self._per_s

    def take(self, key: str) -> None:
        """Take a token from the key's bucket. An empty bucket stays empty."""
        self._levels[key] = max(self._level(key) - 1.0, 0.0), self._clock()
        self._levels.move_to_end(key)
        if len(self._levels) > ADDRESSES:
            self._levels.popitem(last=False)

    def _level(self, key: str) -> float:
        now_s = self._clock()
        level, at_s = self._levels.get(key, (self._size, now_s))
        return min(level + (now_s - at_s) * self._per_s, self._size)


class Limits:
    """The rate limits of one server.

    Args:
        config: holds the limits per minute.
        clock: returns the time, seconds.
    """

    def __init__(self, config: ServerConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self.proxies = Proxies(config.trusted_proxies)
        self._opened = Buckets(config.opens_per_minute, clock)
        self._offered = Buckets(config.offers_per_minute, clock)
        self._failed = Buckets(config.failures_per_minute, clock)

    def open(self, request: web.Request) -> None:
        """Count a session that is about to be opened.

        Raises:
            TooManyError: this address has opened too many sessions.
        """
        address = self.address(request)
        _refuse(self._opened.wait_s(address), "too many sessions were opened from this address")
        self._opened.take(address)

    def offer(self, request: web.Request) -> None:
        """Count an offer. Each offer costs a certificate, sockets and parsing.

        Raises:
            TooManyError: this address has sent too many offers to this session.
        """
        target = self._target(request)
        wait_s = self._offered.wait_s(target)
        if wait_s > 0:
            refused.note("offers")
        _refuse(wait_s, "too many offers came from this address")
        self._offered.take(target)

    async def failed(self, request: web.Request) -> None:
        """Count a wrong token.

        Above the limit, the answer is delayed by `GUESS_S`. Right tokens are never delayed.

        Raises:
            TooManyError: this address has sent too many wrong tokens to this session.
        """
        target = self._target(request)
        wait_s = self._failed.wait_s(target)
        self._failed.take(target)
        if wait_s > 0:
            refused.note("wrong_tokens")
            await asyncio.sleep(GUESS_S)
        _refuse(wait_s, "too many wrong tokens came from this address")

    def address(self, request: web.Request) -> str:
        """Return the client's IPv4 address, or the /64 network of its IPv6 address.

        Behind a trusted proxy it is the address that the proxy added to X-Forwarded-For. From anyone else,
        that header is ignored.
        """
        remote = self.proxies.client(parsed(request.remote), request.headers.get("X-Forwarded-For", ""))
        if isinstance(remote, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((remote, 64), strict=False))
        return str(remote)

    def _target(self, request: web.Request) -> str:
        # wrong tokens for one session, as of a page left open, do not lock its address out of other sessions
        return f"{self.address(request)} {request.match_info.get('id', '')}"


def _refuse(wait_s: float, text: str) -> None:
    if wait_s > 0:
        seconds = math.ceil(wait_s)
        raise TooManyError(text, f"try again in {seconds} s", retry_after_s=seconds)
