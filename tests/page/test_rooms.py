"""A room is watched by its name; no address that a page asks for holds a token; renewing puts viewers out."""

from __future__ import annotations

from tests.page.desk import Desk, notice, session_of, shoot, start_camera, until

PLAYING = "document.getElementById('video').videoWidth > 0"


def test_a_room_is_watched_by_name_and_no_address_tells_a_token(desk: Desk) -> None:
    page = desk.open()
    asked: list[str] = []
    start_camera(page)
    page.click("#open-obs")
    page.fill("#room-name", "main-stage")
    page.click("#room-form button")
    notice(page, "watched in the room main-stage")
    shoot(page, "room")
    address = page.input_value("#obs-viewer")
    assert address.startswith(f"{desk.server}/watch/main-stage#token=")
    browser_source = page.input_value("#obs-browser")
    assert "/watch/main-stage?controls=0&transparent=1#token=" in browser_source
    viewer = desk.open("/", camera=False)
    for each in (page, viewer):
        each.on("request", lambda request: asked.append(request.url))
        each.on("websocket", lambda socket: asked.append(socket.url))
    viewer.goto(browser_source)
    until(viewer, PLAYING)
    page.reload()
    until(page, "document.getElementById('edited').videoWidth > 0")
    session = session_of(page)
    secrets = [session["token"], session["publish_token"], address.split("token=")[1]]
    addresses = [each.split("#")[0] for each in asked]
    assert any("/events" in each for each in addresses)
    assert not [each for each in addresses for secret in secrets if secret in each]


def test_renewing_the_viewer_link_puts_viewers_out(desk: Desk) -> None:
    page = desk.open()
    start_camera(page)
    page.click("#open-obs")
    old = page.input_value("#obs-viewer")
    viewer = desk.open(old.removeprefix(desk.server), camera=False)
    until(viewer, PLAYING)
    page.click("#renew-view")
    notice(page, "Old viewer links no longer work")
    until(viewer, "document.getElementById('message').textContent.includes('token')")
    new = page.input_value("#obs-viewer")
    assert new != old
    fresh = desk.open(new.removeprefix(desk.server), camera=False)
    until(fresh, PLAYING)
    page.click("#obs [data-close]")
    until(page, "document.getElementById('server-state').textContent === 'Live'")
    assert all("401" in error for error in desk.errors), desk.errors
    desk.errors.clear()
