"""Names under which the server answers, and proxies that may name a client's address.

A foreign page can let its own name point at this server (DNS rebinding). Its requests then differ from those
of the server's own page only in the Host header.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from stream.config import ServerConfig

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Hosts:
    """The names of one server: IP addresses, this machine's names, and names from the configuration.

    Args:
        config: the server's configuration.
        machine: this machine's name.
    """

    def __init__(self, config: ServerConfig, machine: str | None = None) -> None:
        machine = (machine or socket.gethostname()).lower()
        short = machine.partition(".")[0]
        public = urlsplit(config.public_url).hostname if config.public_url else None
        named = (config.host, public, *config.allow_hosts, "localhost", machine, f"{short}.local")
        self._names = {name.lower().rstrip(".") for name in named if name}

    def allows(self, host: str) -> bool:
        """Whether a Host header names this server: any IP address, or one of its names, with any port."""
        name = host_name(host)
        return name is not None and (
            parsed(name) is not None or name in self._names or name.endswith(".localhost")
        )


def host_name(host: str) -> str | None:
    """Return the name or address in a Host header, in lower case. None if the header is malformed."""
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]{2,45}\]|[^\[\]:@/?#\s]{1,255})(:[0-9]{1,5})?", host)
    if match is None:
        return None
    name = match[1].strip("[]").lower().rstrip(".")
    if parsed(name) is not None:
        return name
    return name if re.fullmatch(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", name) else None


def parsed(text: str | None) -> Address | None:
    """Return an IP address, with IPv4-mapped addresses as IPv4. None if the text is not an address."""
    try:
        address = ipaddress.ip_address((text or "").strip())
    except ValueError:  # a name, a Unix socket, or no address at all
        return None
    return getattr(address, "ipv4_mapped", None) or address


class Proxies:
    """The trusted proxies.

    Args:
        networks: their addresses or networks.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(network, strict=False) for network in networks]

    def holds(self, address: Address | str | None) -> bool:
        """Whether an address is one of a trusted proxy."""
        found = parsed(address) if isinstance(address, str) else address
        return found is not None and any(
            found.version == network.version and found in network for network in self._networks
        )

    def client(self, remote: Address | None, forwarded: str) -> Address | None:
        """Return the client's address: the last one in X-Forwarded-For that no trusted proxy has.

        Args:
            remote: address of the connection. It is returned if it is no trusted proxy.
            forwarded: the X-Forwarded-For header.
        """
        for said in (part.strip() for part in reversed(forwarded[-4000:].split(","))):
            if not self.holds(remote):
                break
            if (before := parsed(said)) is None:
                break
            remote = before
        return remote
