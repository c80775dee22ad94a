"""Under which names clients reach the server, and whose address a proxy may name."""

from __future__ import annotations

from typing import Any

import pytest

from stream.config import ServerConfig
from stream.http.hosts import Hosts, Proxies, host_name, parsed
from tests.stream.rig import raw, serving


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("evil.example:8000", 421),
        ("localhost.evil.example", 421),
        ("", 400),
        ("a b", 400),
        ("[::1", 400),
        ("user@localhost", 400),
        ("localhost:99999999", 400),
        ("localhost/..", 400),
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("192.0.2.7:8000", 200),
        ("[2001:db8::1]:8000", 200),
        ("livery.example", 200),
        ("named.example", 200),
    ],
)
async def test_only_this_servers_names_are_answered(host: str, status: int) -> None:
    """A page elsewhere may let its own name point here (DNS rebinding): its Host and Origin then agree."""
    config: Any = {"public_url": "https://livery.example", "allow_hosts": ("named.example",)}
    async with serving(**config) as server, raw(server) as (reader, writer):
        writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert int((await reader.readline()).split()[1]) == status
    async with serving(**config) as server, raw(server) as (reader, writer):
        head = f"POST /api/sessions HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n"
        writer.write(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        assert int((await reader.readline()).split()[1]) == (201 if status == 200 else status)


async def test_no_host_at_all_is_a_bad_request() -> None:
    async with serving() as server:
        for line in (b"POST /api/sessions HTTP/1.1\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"):
            async with raw(server) as (reader, writer):
                writer.write(line)
                assert b" 400 " in await reader.readline()
        async with raw(server) as (reader, writer):
            writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert b" 200 " in await reader.readline()


def test_the_machines_own_names_are_known() -> None:
    hosts = Hosts(ServerConfig(host="studio"), "box.lan")
    for name in ("studio", "box.lan", "box.local", "BOX.LAN.", "any.localhost:1"):
        assert hosts.allows(name), name
    assert not hosts.allows("box.lan.evil.example")
    assert host_name("x" * 300) is None


@pytest.mark.parametrize(
    ("proxies", "remote", "forwarded", "expected"),
    [
        ((), "127.0.0.1", "203.0.113.9", "127.0.0.1"),
        (("127.0.0.1",), "127.0.0.1", "203.0.113.9", "203.0.113.9"),
        (("10.0.0.0/8",), "10.0.0.2", "192.0.2.1, 203.0.113.9, 10.1.1.1", "203.0.113.9"),
        (("10.0.0.0/8",), "192.168.0.2", "203.0.113.9", "192.168.0.2"),
        (("10.0.0.2",), "10.0.0.2", "nonsense, ,", "10.0.0.2"),
        (("10.0.0.2",), "10.0.0.2", "1.2.3.4, " * 100_000 + "203.0.113.9", "203.0.113.9"),
        (("::1",), "::1", "2001:db8::7", "2001:db8::7"),
    ],
)
def test_forwarded_addresses_are_believed_of_named_proxies_only(
    proxies: tuple[str, ...], remote: str, forwarded: str, expected: str
) -> None:
    assert str(Proxies(proxies).client(parsed(remote), forwarded)) == expected
