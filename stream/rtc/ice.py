"""Sets the range of UDP ports for media and the public address of a server behind 1:1 NAT.

aioice binds any free port and announces the addresses it sees. `configure` replaces two of aiortc's classes
by a connection that chooses its ports from a range and a gatherer that announces another address. Candidates
are sent in the answer only. No STUN server is asked unless one is configured.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import logging
import random
import socket
from collections.abc import Iterable
from typing import Any

import aioice.ice
from aiortc import RTCConfiguration, RTCIceServer, rtcicetransport, rtcpeerconnection
from aiortc.rtcicetransport import RTCIceCandidate

from stream.errors import CapacityError

logger = logging.getLogger(__name__)

_STOCK = (aioice.Connection, rtcicetransport.RTCIceGatherer)
NEAR_BPS = 1_500_000  # least rate of a connection within this machine, which no network limits
RECEIVE_BUFFER = (
    1 << 20
)  # bytes that a socket holds while the event loop is busy: a quarter second of 30 Mb/s


def peer_configuration(ice_servers: Iterable[str] = ()) -> RTCConfiguration:
    """Make a configuration that asks only the given servers ("stun:…", "turn:…"). The default is none."""
    return RTCConfiguration(iceServers=[RTCIceServer(urls=url) for url in ice_servers])


def configure(udp_ports: tuple[int, int] | None = None, public_address: str | None = None) -> None:
    """Set how peer connections made from now on are reached. Without arguments aiortc's own way is restored.

    Args:
        udp_ports: first and last UDP port for media. Each connection takes one per local address.
        public_address: address that host candidates announce in place of the server's own IPv4 address.
            Ports are assumed to be the same outside.

    Raises:
        ValueError: the ports are not valid, or the address is no IP address.
    """
    connection, gatherer = _STOCK
    if udp_ports is not None:
        first, last = udp_ports
        if not 1 <= first <= last <= 65535:
            raise ValueError(f"udp_ports must be two ports in order within 1..65535, got {first}-{last}")
        RangeConnection.ports = range(first, last + 1)
        connection = RangeConnection
    if public_address is not None:
        try:
            PublicGatherer.address = str(ipaddress.ip_address(public_address))
        except ValueError as exc:
            raise ValueError(f"public_address must be an IP address, got {public_address!r}") from exc
        gatherer = PublicGatherer
    for module, name, replacement in (
        (rtcicetransport, "Connection", connection),
        (rtcpeerconnection, "RTCIceGatherer", gatherer),
    ):
        setattr(module, name, replacement)


class RangeConnection(aioice.ice.Connection):
    """Binds its host candidates within `ports`."""

    ports: range = range(0, 1)

    async def get_component_candidates(
        self,
        component: int,
        addresses: list[str],
        timeout: int = 5,  # noqa: ASYNC109 - aioice's argument
    ) -> list[aioice.Candidate]:
        """Gather host candidates from the port range, and reflexive and relayed ones as aioice does.

        Raises:
            CapacityError: every port of the range is taken.
        """
        protocols = []
        for address in addresses:
            protocol = await self._bind(component, address)
            if protocol is not None:
                protocols.append(protocol)
        if addresses and not protocols:
            raise CapacityError(
                f"no free UDP port in {self.ports[0]}-{self.ports[-1]} on {', '.join(addresses)}",
                "widen the range (--udp-ports) or end other sessions",
            )
        self._protocols += protocols
        candidates = [protocol.local_candidate for protocol in protocols]
        candidates += await self._reflexive(protocols, timeout)
        return candidates + await super().get_component_candidates(component, [], timeout)

    async def _bind(self, component: int, address: str) -> aioice.ice.StunProtocol | None:
        """Open a socket on the first free port after a random start. None if no port is free."""
        loop = asyncio.get_running_loop()
        start = random.randrange(len(self.ports))
        for step in range(len(self.ports)):
            port = self.ports[(start + step) % len(self.ports)]
            try:
                transport, protocol = await loop.create_datagram_endpoint(
                    lambda: aioice.ice.StunProtocol(self), local_addr=(address, port)
                )
            except OSError as exc:
                logger.debug("UDP port %d on %s is not free: %s", port, address, exc)
                continue
            opened = transport.get_extra_info("socket")
            if opened is not None:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            protocol.local_candidate = aioice.Candidate(
                foundation=aioice.candidate.candidate_foundation("host", "udp", address),
                component=component,
                transport="udp",
                priority=aioice.candidate.candidate_priority(component, "host"),
                host=address,
                port=port,
                type="host",
            )
            return protocol
        return None

    async def _reflexive(
        self, protocols: list[aioice.ice.StunProtocol], limit_s: float
    ) -> list[aioice.Candidate]:
        """Ask the STUN server, if one is configured, for the candidates of the IPv4 sockets."""
        if not self.stun_server:
            return []
        asked = [
            asyncio.create_task(aioice.ice.server_reflexive_candidate(protocol, self.stun_server))
            for protocol in protocols
            if ipaddress.ip_address(protocol.local_candidate.host).version == 4
        ]
        if not asked:
            return []
        done, late = await asyncio.wait(asked, timeout=limit_s)
        for task in late:
            task.cancel()
        return [task.result()[0] for task in done if task.exception() is None]


class PublicGatherer(rtcicetransport.RTCIceGatherer):
    """Announces `address` in place of the host's own addresses of the same version (IPv4 or IPv6)."""

    address = ""

    def getLocalCandidates(self) -> list[RTCIceCandidate]:  # noqa: N802 - aiortc's name
        """Return the candidates for the SDP."""
        version = ipaddress.ip_address(self.address).version
        return [
            dataclasses.replace(candidate, ip=self.address)
            if candidate.type == "host" and ipaddress.ip_address(candidate.ip).version == version
            else candidate
            for candidate in super().getLocalCandidates()
        ]


def own_addresses() -> frozenset[str]:
    """This machine's own addresses, without the loopback's."""
    return frozenset(aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True))


def is_this_machine(transport: Any) -> bool:
    """Whether the other end of an ICE transport has one of this machine's addresses."""
    pair = transport._connection._nominated.get(1)
    if pair is None:
        return False
    own = {candidate.host for candidate in transport._connection.local_candidates}
    return pair.remote_candidate.host in own
