"""A UDP relay in user space that makes a poor network between two peers on this machine."""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import dataclass
from functools import partial
from typing import Any

CANDIDATE = re.compile(r"a=candidate:(\S+) 1 udp (\d+) (\S+) (\d+) typ host", re.IGNORECASE)
MOST_WAITING = 4096  # datagrams on their way in one direction


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What happens to datagrams in one direction.

    Attributes:
        delay_s: constant delay, seconds.
        jitter_s: further delay, drawn for each datagram from [0, `jitter_s`). Datagrams may overtake others.
        loss: share of datagrams lost, [0, 1).
        rate_bps: most bits per second. None for no limit.
        queue_s: what has to wait longer than this for the limited rate is lost, seconds.
        down: whether nothing passes.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    rate_bps: float | None = None
    queue_s: float = 0.4
    down: bool = False


class Relay:
    """A relay between two peers. Each peer is given the relay's address in place of the other's.

    Args:
        condition: of both directions.
        seed: seed of losses and jitter.
    """

    def __init__(self, condition: Condition | None = None, seed: int = 0) -> None:
        self.lost = self.passed = 0
        self.arrived: list[list[tuple[float, int]]] = [[], []]  # (time, bytes) of what reached peer 0 and 1
        self._random = random.Random(seed)
        self._ends: list[_End] = []
        self._conditions = [condition or Condition()] * 2
        self._free_s, self._waiting = [0.0, 0.0], [0, 0]

    def set(self, condition: Condition, sides: tuple[int, ...] = (0, 1)) -> None:
        """Change the condition of what the peers `sides` send."""
        for side in sides:
            self._conditions[side] = condition

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
        """Send a datagram from peer `side` to the other peer as the condition says, or lose it."""
        condition, now_s = self._conditions[side], asyncio.get_running_loop().time()
        waits_s = max(self._free_s[side] - now_s, 0.0)
        full = self._waiting[side] >= MOST_WAITING
        if condition.rate_bps is not None:
            full = full or waits_s > condition.queue_s
        if condition.down or full or self._random.random() < condition.loss:
            self.lost += 1
            return
        if condition.rate_bps is None:
            waits_s = 0.0
        else:
            waits_s += 8 * len(data) / condition.rate_bps
            self._free_s[side] = now_s + waits_s
        self.passed += 1
        self._waiting[side] += 1
        delay_s = waits_s + condition.delay_s + condition.jitter_s * self._random.random()
        asyncio.get_running_loop().call_later(delay_s, self._deliver, data, 1 - side)

    def _deliver(self, data: bytes, to: int) -> None:
        self._waiting[1 - to] -= 1
        self.arrived[to].append((asyncio.get_running_loop().time(), len(data)))
        self._ends[to].send(data)

    def rate_bps(self, to: int, from_s: float, until_s: float) -> float:
        """Rate of what reached peer `to` in a period of the loop's time, bits per second."""
        return (
            8 * sum(size for at_s, size in self.arrived[to] if from_s <= at_s < until_s) / (until_s - from_s)
        )

    def close(self) -> None:
        """Close the sockets."""
        for end in self._ends:
            end.transport.close()


class _End(asyncio.DatagramProtocol):
    """The socket that faces peer `side`. Without a candidate the peer is who sent first."""

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
        if self.peer is None:
            self.peer = (addr[0], addr[1])
        self._relay.pass_on(data, self._side)

    def send(self, data: bytes) -> None:
        if self.peer is not None and not self.transport.is_closing():
            self.transport.sendto(data, self.peer)
