"""Three network namespaces: a server and a client that reach each other through a relay's machine only.

The one between runs Debian's coturn and passes the page's TCP port on; it forwards no packets.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import IO

import pytest

from tests.conftest import ROOT

SERVER, CLIENT = "10.231.1.2", "10.231.2.2"
RELAY_SERVER, RELAY_CLIENT = "10.231.1.1", "10.231.2.1"  # the relay's ends of both lines
PORT, TURN_PORT = 8000, 3478
ORIGIN = f"http://{RELAY_CLIENT}:{PORT}"
TURN = f"turn:{RELAY_CLIENT}:{TURN_PORT}"
START_S = 40.0


@dataclass(frozen=True, slots=True)
class Net:
    """The namespaces' names, by what they are for."""

    server: str
    client: str
    relay: str


def inside(namespace: str, *command: str) -> list[str]:
    """A command line that runs in a namespace."""
    return ["ip", "netns", "exec", namespace, *command]


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


@contextlib.contextmanager
def three_namespaces() -> Iterator[Net]:
    """Make them; the test is skipped, with the reason, where that is not possible."""
    if shutil.which("ip") is None or shutil.which("turnserver") is None:
        pytest.skip("needs iproute2 and coturn: apt-get install iproute2 coturn")
    mark = f"lv{os.getpid() % 100_000}"
    net = Net(f"{mark}s", f"{mark}c", f"{mark}r")
    try:
        try:
            for name in (net.server, net.client, net.relay):
                _ip("netns", "add", name)
                _ip("-n", name, "link", "set", "lo", "up")
            _join(net.server, SERVER, net.relay, RELAY_SERVER, f"{mark}0")
            _join(net.client, CLIENT, net.relay, RELAY_CLIENT, f"{mark}1")
        except RuntimeError as exc:
            pytest.skip(f"network namespaces cannot be made here: {exc}")
        yield net
    finally:
        for name in (net.server, net.client, net.relay):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=20, check=False)


def _join(end: str, address: str, relay: str, relay_address: str, name: str) -> None:
    _ip("link", "add", f"{name}a", "netns", end, "type", "veth", "peer", "name", f"{name}b", "netns", relay)
    for namespace, link, own in ((end, f"{name}a", address), (relay, f"{name}b", relay_address)):
        _ip("-n", namespace, "address", "add", f"{own}/30", "dev", link)
        _ip("-n", namespace, "link", "set", link, "up")
    _ip("-n", end, "route", "add", "default", "via", relay_address)
    closed = ["sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward"]
    subprocess.run(inside(relay, *closed), check=True, timeout=20)


@contextlib.contextmanager
def _process(command: list[str], wanted: str) -> Iterator[str]:
    """Run until a line of its output holds `wanted`, then on; gives that line. Ended afterwards."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )  # fmt: skip
    assert process.stdout is not None
    lines: Queue[str] = Queue()
    reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
    reader.start()
    try:
        yield _find(lines, wanted)
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=15)
        reader.join(timeout=5)
        process.stdout.close()


def _read(stream: IO[str], lines: Queue[str]) -> None:
    for line in stream:
        lines.put(line)


def _find(lines: Queue[str], wanted: str) -> str:
    seen: list[str] = []
    end_s = time.monotonic() + START_S
    while True:
        try:
            line = lines.get(timeout=max(end_s - time.monotonic(), 0.1))
        except Empty:
            pytest.fail(f"no {wanted!r} within {START_S:g} s: {''.join(seen)}")
        seen.append(line)
        if re.search(wanted, line):
            return line


@contextlib.contextmanager
def coturn(net: Net, folder: Path, *arguments: str) -> Iterator[None]:
    """Debian's coturn between the two."""
    command = [
        "turnserver", "-n", "--listening-ip", RELAY_CLIENT, "--relay-ip", RELAY_SERVER,
        "--listening-port", str(TURN_PORT), "--realm", "livery", "--fingerprint", "--no-tls", "--no-dtls",
        "--no-cli", "--userdb", str(folder / "turndb"), "--pidfile", str(folder / "turn.pid"),
        "--log-file", "stdout", "--simple-log", *arguments,
    ]  # fmt: skip
    with _process(inside(net.relay, *command), "admin thread"):
        yield


@contextlib.contextmanager
def server(net: Net, *arguments: str) -> Iterator[None]:
    """`python server.py` on the one side, its page's port passed on by the relay's machine."""
    command = [
        sys.executable, "server.py", "--host", SERVER, "--port", str(PORT), "--matcher", "classical",
        "--log-level", "warning", *arguments,
    ]  # fmt: skip
    passing = [sys.executable, "-m", "tests.stream.pass_on", RELAY_CLIENT, str(PORT), SERVER, str(PORT)]
    with (
        _process(inside(net.server, *command), "Livery is at"),
        _process(inside(net.relay, *passing), "ready"),
    ):
        yield
