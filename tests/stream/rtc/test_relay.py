"""TURN: credentials, and two peers that reach each other through Debian's coturn only."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.rtc.relay import IceConfig, IceServer
from tests.conftest import ROOT
from tests.stream.namespaces import (
    ORIGIN,
    PORT,
    SERVER,
    TURN,
    Net,
    coturn,
    inside,
    server,
    three_namespaces,
)
from tests.stream.rig import serving

URLS = ("stun:stun.example", "turn:turn.example:3478?transport=tcp")
PROBE = """
import asyncio, sys
from stream.rtc.relay import IceConfig, refusals
config = IceConfig(urls=(sys.argv[1],), user=sys.argv[2], credential=sys.argv[3])
print(asyncio.run(refusals(config.servers("test"))))
"""


def test_credentials_of_a_shared_secret_expire_and_name_the_session() -> None:
    config = IceConfig(urls=URLS, secret="north wind", lifetime_s=600)
    stun, turn = config.servers("abc", now_s=1_000_000)
    assert stun == IceServer("stun:stun.example")
    assert turn.user == "1000600:abc"
    digest = hmac.new(b"north wind", b"1000600:abc", hashlib.sha1).digest()
    assert turn.credential == base64.b64encode(digest).decode()


def test_a_server_is_named_as_browsers_and_link_headers_have_it() -> None:
    turn = IceServer("turn:turn.example?transport=udp", "user", 'se"cr\\et')
    assert turn.json() == {
        "urls": "turn:turn.example?transport=udp", "username": "user", "credential": 'se"cr\\et'
    }  # fmt: skip
    assert turn.link() == (
        '<turn:turn.example?transport=udp>; rel="ice-server"; username="user"; '
        'credential="se\\"cr\\\\et"; credential-type="password"'
    )
    assert IceServer("stun:stun.example").link() == '<stun:stun.example>; rel="ice-server"'


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"urls": ("http://x",)}, "must be like stun:host:3478"),
        ({"urls": ("turn:user:password@host",), "secret": "s"}, "must be like"),
        ({"urls": ("turn:host?transport=sctp",), "secret": "s"}, "must be like"),
        ({"urls": ("turn:host",)}, "turn:host needs credentials"),
        ({"urls": ("turn:host",), "user": "u"}, "only one of them is given"),
        ({"urls": ("turn:host",), "user": "u", "credential": "c", "secret": "s"}, "not both"),
        ({"urls": ("stun:host",), "secret": "s"}, "no --ice-server turn:"),
        ({"urls": ("turn:host",), "secret": "s", "lifetime_s": 1}, "lifetime_s must lie in"),
    ],
)
def test_what_cannot_work_is_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        IceConfig(**wrong)  # type: ignore[arg-type]


async def test_a_sessions_owner_and_viewers_are_told_the_servers_and_strangers_are_not() -> None:
    async with serving(ice_servers=URLS, turn_secret="north wind") as running:
        client = await running.open()
        for token in (client.token, client.view_token):
            status, servers = await client.call("GET", "/ice-servers", token=token)
            assert status == 200
            assert servers[1]["username"].endswith(f":{client.id[:6]}")  # type: ignore[index]
        assert (await client.call("GET", "/ice-servers", token="wrong"))[0] == 401
        url = f"{running.origin}/whep/{client.id}"
        async with running.http.options(url) as answer:
            assert (answer.status, answer.headers.getall("Link", [])) == (204, [])
        headers = {"Authorization": f"Bearer {client.view_token}"}
        async with running.http.options(url, headers=headers) as answer:
            links = answer.headers.getall("Link")
        assert links[0] == '<stun:stun.example>; rel="ice-server"'
        assert links[1].startswith('<turn:turn.example:3478?transport=tcp>; rel="ice-server"; username="')


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    with three_namespaces() as net:
        yield net


def test_there_is_no_direct_path_between_the_two(net: Net) -> None:
    """Else the tests below would prove nothing."""
    code = f"import socket; socket.create_connection(({SERVER!r}, {PORT}), 1)"
    done = subprocess.run(
        inside(net.client, sys.executable, "-c", code),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode != 0
    assert "timed out" in done.stderr or "unreachable" in done.stderr


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_edited_video_passes_through_the_relay_alone(net: Net, tmp_path: Path, transport: str) -> None:
    if transport == "udp":
        turn, paid = (
            ["--use-auth-secret", "--static-auth-secret", "north wind"],
            ["--turn-secret", "north wind"],
        )
    else:
        turn = ["--lt-cred-mech", "--user", "livery:letmein"]
        paid = ["--turn-user", "livery", "--turn-credential", "letmein"]
    address = f"{TURN}?transport={transport}"
    command = [sys.executable, "-m", "tests.stream.relay_peer", ORIGIN]
    with coturn(net, tmp_path, *turn), server(net, "--ice-server", address, *paid):
        done = subprocess.run(
            inside(net.client, *command), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["edited"]
    assert all("relay" in types for types in told["pairs"]), told


def test_a_relay_that_refuses_us_is_named(net: Net, tmp_path: Path) -> None:
    def probe(*arguments: str) -> str:
        command = inside(net.server, sys.executable, "-c", PROBE, *arguments)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    with coturn(net, tmp_path, "--lt-cred-mech", "--user", "livery:letmein"):
        for transport in ("udp", "tcp"):
            address = f"{TURN}?transport={transport}"
            assert probe(address, "livery", "letmein") == "[]\n"
            assert "it refused the credentials" in probe(address, "livery", "wrong")
    assert "cannot be reached" in probe(f"{TURN}?transport=tcp", "livery", "letmein")
