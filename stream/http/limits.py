"""How often an address may open sessions and try tokens: token buckets, refilled by time."""

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

GUESS_S = 2.0  # how long the answer to one wrong token too many waits
ADDRESSES = 4096  # buckets kept; the one unused longest, which is the fullest, is forgotten first


class Buckets:
    """A bucket for each key: `per_minute` at once, then that many each minute.

    Args:
        per_minute: size of a bucket and its refill.
        clock: seconds.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = float(per_minute)
        self._per_s = per_minute / 60
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # level, when it was so

    def __len__(self) -> int:
        return len(self._levels)

    def wait_s(self, key: str) -> float:
        """Seconds until the key may take again; 0 where it may now."""
        return max(1.0 - self._level(key), 0.0) / self._per_s

    def take(self, key: str) -> None:
        """Take one out; an empty bucket stays empty."""
        self._levels[key] = max(self._level(key) - 1.0, 0.0), self._clock()
        self._levels.move_to_end(key)
        if len(self._levels) > ADDRESSES:
            self._levels.popitem(last=False)

    def _level(self, key: str) -> float:
        now_s = self._clock()
        level, at_s = self._levels.get(key, (self._size, now_s))
        return min(level + (now_s - at_s) * self._per_s, self._size)


class Limits:
    """The limits of one server.

    Args:
        config: how many a minute.
        clock: seconds.
    """

    def __init__(self, config: ServerConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self.proxies = Proxies(config.trusted_proxies)
        self._opened = Buckets(config.opens_per_minute, clock)
        self._offered = Buckets(config.offers_per_minute, clock)
        self._failed = Buckets(config.failures_per_minute, clock)

    def open(self, request: web.Request) -> None:
        """Count a session that is about to be opened.

        Raises:
            TooManyError: this address has opened too many.
        """
        address = self.address(request)
        _refuse(self._opened.wait_s(address), "too many sessions were opened from this address")
        self._opened.take(address)

    def offer(self, request: web.Request) -> None:
        """Count an offer, each of which costs a certificate, sockets and a parse.

        Raises:
            TooManyError: this address has sent too many to this session.
        """
        target = self._target(request)
        wait_s = self._offered.wait_s(target)
        if wait_s > 0:
            refused.note("offers")
        _refuse(wait_s, "too many offers came from this address")
        self._offered.take(target)

    async def failed(self, request: web.Request) -> None:
        """Count a wrong token; beyond the limit the answer waits. The right one is never kept waiting.

        Raises:
            TooManyError: this address has sent too many wrong ones to what it asks for.
        """
        target = self._target(request)
        wait_s = self._failed.wait_s(target)
        self._failed.take(target)
        if wait_s > 0:
            refused.note("wrong_tokens")
            await asyncio.sleep(GUESS_S)
        _refuse(wait_s, "too many wrong tokens came from this address")

    def address(self, request: web.Request) -> str:
        """Who asks: an IPv4 address, or the /64 network of an IPv6 one.

        Behind a proxy that the configuration names it is what the proxy has added to X-Forwarded-For; from
        anyone else that header is not believed.
        """
        remote = self.proxies.client(parsed(request.remote), request.headers.get("X-Forwarded-For", ""))
        if isinstance(remote, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((remote, 64), strict=False))
        return str(remote)

    def _target(self, request: web.Request) -> str:
        # one session's wrong tokens (a page left open) do not lock its address out of the others
        return f"{self.address(request)} {request.match_info.get('id', '')}"


def _refuse(wait_s: float, text: str) -> None:
    if wait_s > 0:
        seconds = math.ceil(wait_s)
        raise TooManyError(text, f"try again in {seconds} s", retry_after_s=seconds)
