"""A phone in Chromium's device emulation: it is turned, switches its camera, goes to the background.

The camera is emulated by the page: its picture turns with the phone, one camera is open at a time, and it may
be taken away from a page in the background.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.sync_api import Page, Playwright

from tests.page.desk import Desk, session_of, shoot, start_camera, state_of, take_reference, until
from tests.page.test_wear import VIOLET, WORN, look_until

UPRIGHT = "document.getElementById('edited').videoHeight > document.getElementById('edited').videoWidth"
FRAMES = "document.getElementById('edited').getVideoPlaybackQuality().totalVideoFrames"
CAMERA = """if (navigator.mediaDevices) {
  const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  window.phone = { upright: false, opened: [], asked: [] };
  const camera = (id, label) => ({ kind: "videoinput", deviceId: id, label });
  navigator.mediaDevices.enumerateDevices = async () => [camera("front", "Front"), camera("back", "Back")];
  navigator.mediaDevices.getUserMedia = async ({ video }) => {
    if (phone.opened.some((stream) => stream.active)) throw new DOMException("in use", "NotReadableError");
    phone.asked.push(video.deviceId?.exact ?? video.facingMode);
    const source = document.createElement("video");
    source.muted = true;
    source.srcObject = await real({ video: true });
    await source.play();
    const canvas = document.createElement("canvas");
    setInterval(() => {
      if (phone.still) return;
      const [width, height, part] = phone.upright ? [480, 640, 360] : [640, 480, 640];
      if (canvas.width !== width) Object.assign(canvas, { width, height });
      const at = (640 - part) / 2;
      canvas.getContext("2d").drawImage(source, at, 0, part, 480, 0, 0, width, height);
    }, 40);
    const stream = canvas.captureStream(25);
    phone.opened.push(stream);
    return stream;
  };
  phone.show = (shown) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => !shown });
    document.dispatchEvent(new Event("visibilitychange"));
  };
  phone.take = () => {
    const [track] = phone.opened.at(-1).getVideoTracks();
    track.stop();
    track.dispatchEvent(new Event("ended"));
  };
}"""

pytestmark = pytest.mark.slow


def open_phone(desk: Desk, playwright: Playwright, *, upright: bool) -> Page:
    """The page on an emulated phone, by touch, with its camera running."""
    kind: dict[str, Any] = dict(playwright.devices["Pixel 7" if upright else "Pixel 7 landscape"])
    kind = {name: value for name, value in kind.items() if name != "default_browser_type"}
    page = desk.open(
        **{**kind, "device_scale_factor": 1}
    )  # its 2.6 would cost this machine, which draws itself
    page.add_init_script(CAMERA)
    page.reload()
    page.evaluate(f"phone.upright = {str(upright).lower()}")
    assert page.evaluate("matchMedia('(pointer: coarse)').matches")
    start_camera(page)
    return page


def goes_on(page: Page) -> None:
    """Waits until the edited view shows ten further pictures."""
    page.evaluate(f"phone.before = {FRAMES}")
    until(page, f"{FRAMES} < phone.before || {FRAMES} > phone.before + 10")


def test_the_camera_is_switched_and_comes_back_from_the_background(
    desk: Desk, playwright: Playwright
) -> None:
    page = open_phone(desk, playwright, upright=True)
    session = session_of(page)
    assert page.evaluate("phone.asked") == ["user"]
    page.select_option("#device", "back")
    until(page, "phone.asked.length === 2")
    assert page.evaluate("phone.asked[1]") == "back"
    goes_on(page)

    page.evaluate("phone.show(false)")
    page.evaluate("phone.take()")
    until(page, "document.getElementById('live').srcObject === null")
    assert page.evaluate("phone.asked.length") == 2, "it waits until it is back"
    page.evaluate("phone.show(true)")
    until(page, "phone.asked.length === 3")
    goes_on(page)
    page.evaluate("[phone.show(false), phone.show(true), phone.take()]")  # the other order
    until(page, "phone.asked.length === 4")
    goes_on(page)
    assert page.evaluate("phone.asked[3]") == "back"
    assert "The camera stopped" not in page.inner_text("#status")
    assert session_of(page) == session
    page.click("#stop-source")
    page.evaluate("phone.show(true)")
    page.wait_for_timeout(200)
    assert page.evaluate("phone.asked.length") == 4, "who stopped it keeps it stopped"


def test_a_turned_phone_sends_upright_pictures_and_the_look_stays(desk: Desk, playwright: Playwright) -> None:
    page = open_phone(desk, playwright, upright=False)
    take_reference(page)
    page.click("[data-preset=lipstick]")
    page.wait_for_selector("[data-preset=lipstick][aria-pressed=true]")
    with page.expect_response(lambda answer: answer.url.endswith("/preset") and answer.ok):
        page.fill("#preset-colour", VIOLET)
    assert look_until(page, lambda seen: seen.violet > WORN).violet > WORN
    shoot(page, "phone-landscape")
    wide = page.viewport_size
    assert wide is not None
    page.set_viewport_size({"width": wide["height"], "height": wide["width"]})
    page.evaluate("phone.upright = true")
    until(page, UPRIGHT)
    assert look_until(page, lambda seen: seen.violet > WORN).violet > WORN
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    source = state_of(page)["source"]
    assert (source["width"], source["height"]) == (480, 640)
    shoot(page, "phone-portrait")
    page.set_viewport_size(wide)
    page.evaluate("phone.upright = false")
    until(page, f"!({UPRIGHT})")
    assert look_until(page, lambda seen: seen.violet > WORN).violet > WORN


def test_a_camera_that_gives_nothing_in_the_background_goes_on_afterwards(
    desk: Desk, playwright: Playwright
) -> None:
    """Longer than the server waits for pictures, so that it closes the camera's connection meanwhile."""
    page = open_phone(desk, playwright, upright=True)
    take_reference(page)
    session, before = session_of(page), state_of(page)["publisher"]
    page.evaluate("[phone.show(false), phone.still = true]")
    end_s = time.monotonic() + 20
    while state_of(page)["publisher"] == before:
        assert time.monotonic() < end_s, "the server still waits"
        page.wait_for_timeout(200)
    page.evaluate("[phone.show(true), phone.still = false]")
    goes_on(page)
    assert page.evaluate("phone.asked") == ["user"], "the camera was open throughout"
    assert session_of(page) == session
    assert state_of(page)["reference"] is not None
