"""TLS: a self-signed certificate, one from files, renewed while it serves; the QR code for phones."""

from __future__ import annotations

import asyncio
import datetime
import re
import ssl
from pathlib import Path

import aiohttp
import cv2
import numpy as np
import pytest
from aiohttp import web

from stream.config import ServerConfig
from stream.errors import StartError
from stream.http.app import create_app
from stream.http.phone import network_address, terminal_code
from stream.session.services import load_services
from stream.tls import Tls, local_names, self_signed
from tests.stream.rig import serving

NAMES = ["localhost", "127.0.0.1"]


def test_a_self_signed_certificate_is_kept_until_its_end_or_another_name(tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    first = self_signed(tmp_path / "tls", NAMES, now).fingerprint()
    assert len(first) == 32 * 3 - 1
    assert self_signed(tmp_path / "tls", NAMES, now).fingerprint() == first
    assert (tmp_path / "tls" / "self-signed.key").stat().st_mode & 0o777 == 0o600
    more = self_signed(tmp_path / "tls", [*NAMES, "192.0.2.7"], now).fingerprint()
    assert more != first
    assert self_signed(tmp_path / "tls", NAMES, now).fingerprint() == more
    late = now + datetime.timedelta(days=380)
    assert self_signed(tmp_path / "tls", NAMES, late).fingerprint() != more


def test_the_names_of_this_machine_fit_a_certificate(tmp_path: Path) -> None:
    names = local_names(["192.0.2.7", "2001:db8::1"], "0.0.0.0", "203.0.113.9")
    assert {"localhost", "192.0.2.7", "2001:db8::1", "203.0.113.9"} <= set(names)
    assert "0.0.0.0" not in names
    self_signed(tmp_path, names)


def test_files_that_do_not_serve_are_named(tmp_path: Path) -> None:
    one, two = self_signed(tmp_path / "one", NAMES), self_signed(tmp_path / "two", NAMES)
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    for cert, key, words in (
        (one.cert, tmp_path / "gone.key", "gone.key: no such file"),
        (one.cert, two.key, "is not the key of"),
        (text, one.key, "must be a certificate and its key in PEM"),
    ):
        with pytest.raises(StartError, match=words):
            Tls(cert, key)


async def presented(port: int) -> bytes:
    """The certificate that a new connection gets, DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return bytes(found)


async def test_pages_come_by_https_and_a_renewed_certificate_is_used(tmp_path: Path) -> None:
    tls = self_signed(tmp_path / "now", NAMES)
    renewed = self_signed(tmp_path / "next", NAMES)
    config = ServerConfig(matcher="classical", tls=(tls.cert, tls.key))
    runner = web.AppRunner(create_app(load_services(config)), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.context).start()
        port = runner.addresses[0][1]
        trusting = ssl.create_default_context(cafile=str(tls.cert))
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"https://localhost:{port}/healthz", ssl=trusting) as answer,
        ):
            assert answer.status == 200
            assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        before = await presented(port)
        assert not tls.renew()
        tls.cert.write_bytes(renewed.cert.read_bytes())  # half of it: the old one goes on
        assert not tls.renew()
        assert await presented(port) == before
        tls.key.write_bytes(renewed.key.read_bytes())
        assert tls.renew()
        assert await presented(port) != before
    finally:
        await runner.cleanup()


async def test_http_names_no_strict_transport() -> None:
    async with serving() as server, server.http.get(f"{server.origin}/healthz") as answer:
        assert "Strict-Transport-Security" not in answer.headers


def read_code(picture: np.ndarray) -> str:
    text, _, _ = cv2.QRCodeDetector().detectAndDecode(picture)
    return str(text)


def test_the_terminals_code_reads_as_the_address() -> None:
    url = "https://192.0.2.7:8000/"
    lines = terminal_code(url).splitlines()
    halves = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}
    # Light is drawn: on a dark terminal a block is a light module.
    rows: list[list[int]] = []
    for line in lines:
        plain = "".join(c for c in _without_colours(line) if c in halves)
        rows += [[halves[c][0] for c in plain], [halves[c][1] for c in plain]]
    width = max(map(len, rows))
    grid = np.array([row + [0] * (width - len(row)) for row in rows], np.uint8) * 255
    picture = np.pad(np.kron(grid, np.ones((8, 8), np.uint8)), 40, constant_values=255)
    assert url in (read_code(picture), read_code(255 - picture))


def _without_colours(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


async def test_the_pages_code_holds_the_session_and_only_for_its_owner() -> None:
    async with serving(public_url="https://livery.example") as server:
        client = await server.open()
        told = await client.ok("GET", "/phone")
        assert told["url"] == f"https://livery.example/#session={client.id}&token={client.token}"
        assert told["qr"].lstrip().startswith(("<?xml", "<svg"))
        assert (await client.call("GET", "/phone", token=client.view_token))[0] == 403
    async with serving() as server:
        client = await server.open()
        status, body = await client.call("GET", "/phone")
        assert (status, body["error"].startswith("phones cannot reach this server")) == (409, True)
        told = await client.ok("GET", "/phone", headers={"Host": "192.0.2.7:8000"})
        assert told["url"].startswith("http://192.0.2.7:8000/#session=")


def test_the_address_for_others() -> None:
    assert network_address(ServerConfig(host="127.0.0.1")) is None
    assert network_address(ServerConfig(host="192.0.2.7")) == "192.0.2.7"
