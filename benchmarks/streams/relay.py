"""A UDP relay in user space that delays and loses datagrams between two peers on this machine."""

from __future__ import annotations

import asyncio
import random
import re
from functools import partial
from typing import Any

CANDIDATE = re.compile(r"a=candidate:(\S+) 1 udp (\d+) (\S+) (\d+) typ host", re.IGNORECASE)


class Relay:
    """A relay between two peers. Each peer is given the relay's address in place of the other's.

    Args:
        delay_s: delay added in each direction, seconds. The round trip grows by twice as much.
        loss: share of datagrams lost in each direction, [0, 1), while `lossy` is set.
        seed: seed of the losses.
    """

    def __init__(self, delay_s: float = 0.0, loss: float = 0.0, seed: int = 0) -> None:
        self.lossy = False  # set once the peers are connected
        self.lost = self.passed = 0
        self._delay_s, self._loss = delay_s, loss
        self._random = random.Random(seed)
        self._ends: list[_End] = []

    async def start(self, address: str) -> None:
        """Open both sockets on a local address of this machine (not loopback, which ICE leaves out)."""
        loop = asyncio.get_running_loop()
        for side in (0, 1):
            await loop.create_datagram_endpoint(partial(_End, self, side), local_addr=(address, 0))

    def route(self, sdp: str, side: int) -> str:
        """Change a description of peer `side` (0 or 1) so that its candidates lead to the relay.

        Raises:
            ValueError: the description has no IPv4 host candidate.
        """
        found = next((c for c in CANDIDATE.finditer(sdp) if ":" not in c[3]), None)
        if found is None:
            raise ValueError("the description has no IPv4 host candidate")
        self._ends[side].peer = (found[3], int(found[4]))
        host, port = self._ends[1 - side].address
        line = f"a=candidate:{found[1]} 1 udp {found[2]} {host} {port} typ host"
        kept = [text for text in sdp.splitlines() if not text.startswith("a=candidate:")]
        at = next(index for index, text in enumerate(kept) if text.startswith("m=")) + 1
        return "\r\n".join([*kept[:at], *kept[at : at + 1], line, *kept[at + 1 :]]) + "\r\n"

    def pass_on(self, data: bytes, side: int) -> None:
        """Send a datagram from peer `side` to the other peer, with delay, or lose it."""
        if self.lossy and self._random.random() < self._loss:
            self.lost += 1
            return
        self.passed += 1
        asyncio.get_running_loop().call_later(self._delay_s, self._ends[1 - side].send, data)

    def close(self) -> None:
        """Close the sockets."""
        for end in self._ends:
            end.transport.close()


class _End(asyncio.DatagramProtocol):
    """The socket that faces peer `side`."""

    transport: asyncio.DatagramTransport

    def __init__(self, relay: Relay, side: int) -> None:
        self.peer: tuple[str, int] | None = None
        self.address = ("", 0)
        self._relay, self._side = relay, side

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.address = transport.get_extra_info("sockname")
        self._relay._ends.append(self)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._relay.pass_on(data, self._side)

    def send(self, data: bytes) -> None:
        if self.peer is not None and not self.transport.is_closing():
            self.transport.sendto(data, self.peer)
