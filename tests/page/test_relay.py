"""The page behind a relay: Chromium in a network namespace that reaches the server through coturn only."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Playwright

from tests.page.conftest import FLAGS
from tests.page.desk import until
from tests.stream.namespaces import ORIGIN, TURN, Net, coturn, inside, server, three_namespaces

SECRET = ("--use-auth-secret", "--static-auth-secret", "north wind")
SAID_S = 5.0  # a refusal must be said by then


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    with three_namespaces() as net:
        yield net


@contextlib.contextmanager
def page_inside(playwright: Playwright, chromium: str, net: Net, folder: Path) -> Iterator[Page]:
    wrapper = folder / "chromium-inside"
    wrapper.write_text(f'#!/bin/sh\nexec {" ".join(inside(net.client, chromium))} "$@"\n')
    wrapper.chmod(0o755)
    browser = playwright.chromium.launch(executable_path=wrapper, args=list(FLAGS))
    try:
        page = browser.new_page()
        page.goto(ORIGIN)
        yield page
    finally:
        browser.close()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_the_edited_picture_arrives_through_the_relay(
    net: Net, playwright: Playwright, chromium: str, tmp_path: Path, transport: str
) -> None:
    relay = ("--ice-server", f"{TURN}?transport={transport}", "--turn-secret", "north wind")
    with (
        coturn(net, tmp_path, *SECRET),
        server(net, *relay),
        page_inside(playwright, chromium, net, tmp_path) as page,
    ):
        page.click("#empty [data-action=start-demo]")
        until(page, "document.getElementById('edited').videoWidth > 0", 30)


def test_wrong_credentials_are_said_at_once(
    net: Net, playwright: Playwright, chromium: str, tmp_path: Path
) -> None:
    with (
        coturn(net, tmp_path, *SECRET),
        server(net, "--ice-server", f"{TURN}?transport=udp", "--turn-secret", "another wind"),
        page_inside(playwright, chromium, net, tmp_path) as page,
    ):
        page.click("#empty [data-action=start-demo]")
        page.wait_for_selector("#live-still:not([hidden])", state="attached")
        begun_s = time.monotonic()
        page.wait_for_selector(
            "#status .notice:has-text('refused the credentials')", timeout=1000 * 2 * SAID_S
        )
        assert time.monotonic() - begun_s < SAID_S
        assert "--turn-secret" in page.inner_text("#status")
