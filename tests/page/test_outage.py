"""The network is cut and comes back: the page goes on by itself, in the same session, within two seconds."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Page

from tests.page.bad_network import network
from tests.page.conftest import running
from tests.page.desk import Desk, OpenBrowser, session_of, start_camera

BACK_S = 2.0
FRAMES = "document.getElementById('edited').getVideoPlaybackQuality().totalVideoFrames"


def moves(page: Page, limit_s: float) -> float:
    """Time until the edited view shows new pictures and goes on: five more in one stream."""
    began_s, before = time.monotonic(), page.evaluate(FRAMES)
    while time.monotonic() - began_s < limit_s:
        now = page.evaluate(FRAMES)
        if now < before:
            before = now  # another stream, which counts anew
        if now > before + 5:
            return time.monotonic() - began_s
        page.wait_for_timeout(20)
    pytest.fail(f"no picture within {limit_s:g} s")


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("seconds", [2, 6, 10, 30])
def test_after_a_black_out_the_picture_is_back_in_the_same_session(
    browsers: OpenBrowser, seconds: int
) -> None:
    with running("--matcher", "classical") as server, network(server) as path:
        desk = Desk(path.address, browsers)
        context = browsers("astronaut").new_context()
        context.grant_permissions(["camera"], origin=path.address)
        page = context.new_page()
        path.carry_media(page)
        page.goto(path.address)
        start_camera(page)
        moves(page, 20)
        session = session_of(page)
        path.run(path.set(False))
        page.wait_for_timeout(1000 * seconds)
        path.run(path.set(True))
        took_s = moves(page, 20)
        print(f"black-out of {seconds} s: picture after {took_s:.2f} s")
        assert session_of(page) == session
        assert took_s < BACK_S
        context.close()
        desk.close()
