"""Web clients of others in Chromium, and our own connection in Firefox."""

from __future__ import annotations

from pathlib import Path

import pytest

from correspondence import Image
from tests.clients.desk import PAGES, browser, bundled, desk
from tests.page.frames import swaying, write_y4m
from tests.stream.rig import BLUE, is_blue, until_state

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


async def test_eyevinns_clients_publish_and_play_in_chromium(tmp_path: Path, astronaut: Image) -> None:
    pages = bundled(tmp_path / "pages")
    face = tmp_path / "face.y4m"
    write_y4m(face, swaying(astronaut))
    camera = (f"--use-file-for-fake-video-capture={face}",)
    async with desk(pages) as (server, told):
        client = await server.open()
        whip, whep = f"{server.origin}/whip/{client.id}", f"{server.origin}/whep/{client.id}"
        publish, play = f"{server.origin}/clients/publish.html", f"{server.origin}/clients/play.html"
        async with browser("chromium", tmp_path / "a", publish, camera, endpoint=whip, token=client.token):
            await told.wait(lambda: told.of("publish"))
            assert told.of("publish")[0]["resource"].startswith(f"{whip}/")
            await until_state(client, lambda state: (state["source"] or {"fps": 0})["fps"] > 0, 60)
            await client.ok("POST", "/reference", json={"auto": True})
            await client.ok("POST", "/preset", json={"name": "lipstick", "colour": BLUE, "strength": 1})
            async with browser("chromium", tmp_path / "b", play, endpoint=whep, token=client.view_token):
                await told.wait(lambda: (image := told.picture()) is not None and is_blue(image))


async def test_a_client_that_trickles_publishes_and_views_in_chromium(tmp_path: Path) -> None:
    pages = bundled(tmp_path / "pages")
    async with desk(pages) as (server, told):
        client = await server.open()
        whip, whep = (f"{server.origin}/{kind}/{client.id}" for kind in ("whip", "whep"))
        page = f"{server.origin}/clients/trickle.html"
        async with browser("chromium", tmp_path / "c", page, token=client.token, whip=whip, whep=whep):
            await told.wait(lambda: len(told.of("picture")) > 2)
            image = told.picture()
            assert image is not None
            assert image.std() > 5, "the fake camera's picture, not a black one"
    assert told.of("patch"), "it trickled"
    assert {each["status"] for each in told.of("patch")} == {204}


async def test_firefox_publishes_and_views_by_the_pages_own_connection(tmp_path: Path) -> None:
    async with desk(PAGES) as (server, told):
        client = await server.open()
        url = f"{server.origin}/clients/own.html"
        async with browser("firefox-esr", tmp_path / "f", url, session=client.id, token=client.token):
            await told.wait(lambda: len(told.of("picture")) > 4)
            state = await client.ok("GET")
            assert state["source"] is not None
            assert state["viewers"] == 1
            times = [message["time_s"] for message in told.of("picture")]
            assert times[-1] > times[0], "the picture moves on"
            image = told.picture()
            assert image is not None
            assert image.std() > 5, "the fake camera's picture, not a black one"
