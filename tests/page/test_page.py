"""The page around the main flow: keyboard, phone width, links, the demo, uploads, failures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, Route

from tests.page.desk import (
    Desk,
    ask,
    bearer,
    is_paint,
    notice,
    session_of,
    shoot,
    start_camera,
    state_of,
    take_reference,
    until,
)
from tests.page.frames import grab

DENY = """name => {
  navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("no", name));
}"""
SAID = """() => {
  window.said = new Set();
  const root = document.getElementById("status");
  const note = () => root.querySelectorAll(".notice .said").forEach((line) => said.add(line.textContent));
  new MutationObserver(note).observe(root, { childList: true });
}"""
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 800}, "has_touch": True, "is_mobile": True}


def tab_to(page: Page, selector: str, most: int = 60) -> None:
    """Presses Tab until an element has the focus; it must then be visibly focused."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"{selector} has the focus but does not show it"
            return
    pytest.fail(f"{selector} cannot be reached with {most} tabs")


def test_main_flow_by_keyboard(desk: Desk) -> None:
    page = desk.open()
    tab_to(page, "#empty [data-action=start-camera]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#take:enabled")
    page.wait_for_selector("#divider")
    page.keyboard.press("Control+Home")
    page.evaluate("document.activeElement.blur()")
    tab_to(page, "#divider")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("PageUp")
    assert page.get_attribute("#divider", "aria-valuenow") == "62"
    tab_to(page, "#take")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-preset=lipstick]:enabled")
    tab_to(page, "[data-preset=lipstick]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#wear[aria-checked=true]")
    page.evaluate("document.activeElement.blur()")
    tab_to(page, "#wear")
    page.keyboard.press("Space")
    page.wait_for_selector("#wear[aria-checked=false]")
    assert state_of(page)["edit"]["enabled"] is False


def test_painting_by_keyboard(desk: Desk) -> None:
    page = desk.open()
    start_camera(page)
    take_reference(page)
    tab_to(page, "#tab-presets")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#restore:enabled")
    page.focus("#canvas")
    page.keyboard.press("ArrowRight")
    with page.expect_response(is_paint):
        page.keyboard.press("Space")
        for _ in range(3):
            page.keyboard.press("Shift+ArrowDown")
        page.keyboard.press("Space")
    page.keyboard.press("Control+z")
    until(page, "document.getElementById('undo').disabled")
    page.keyboard.press("Control+Shift+z")
    until(page, "!document.getElementById('undo').disabled")


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than the window."""
    wide: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wide


def test_no_narrow_window_overflows_whatever_the_bar_says(desk: Desk) -> None:
    page = desk.open(**PHONE)
    for width in (320, 344, 360, 390, 430):
        page.set_viewport_size({"width": width, "height": 800})
        for words in ("Ready", "Connecting", "Server unreachable"):
            page.evaluate("(words) => (document.getElementById('server-state').textContent = words)", words)
            assert overflow(page) == 0, (width, words)


def test_phone_width_has_no_horizontal_overflow(desk: Desk) -> None:
    page = desk.open(**PHONE)
    assert overflow(page) == 0
    page.tap("#empty [data-action=start-camera]")
    page.wait_for_selector("#take:enabled")
    page.tap("#take")
    page.wait_for_selector("[data-preset=lipstick]:enabled")
    page.tap("[data-preset=lipstick]")
    page.wait_for_selector("#edit-common:not([hidden])")
    assert overflow(page) == 0
    for view in ("side", "edited", "split"):
        page.tap(f"label:has(input[name=view][value={view}])")
        assert overflow(page) == 0, view
    page.tap("#tab-picture")
    assert overflow(page) == 0
    page.tap("#open-obs")
    assert overflow(page) == 0
    page.tap("#obs [data-close]")
    page.tap("#tab-paint")
    page.wait_for_selector("#restore:enabled")
    assert overflow(page) == 0
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    with page.expect_response(is_paint):
        page.touchscreen.tap(box["x"] + box["width"] / 3, box["y"] + box["height"] / 3)
    shoot(page, "phone-paint")


def playing(page: Page, element: str) -> None:
    """Waits until a <video> moves on."""
    page.wait_for_selector(element, state="attached")
    until(page, f"document.querySelector('{element}').videoWidth > 0")
    begun = page.evaluate(f"document.querySelector('{element}').currentTime")
    until(page, f"document.querySelector('{element}').currentTime > {begun} + 0.2")


def test_viewer_link_shows_the_picture_and_controls_nothing(desk: Desk) -> None:
    page = desk.open()
    start_camera(page)
    page.click("#open-obs")
    page.wait_for_selector("#obs[open]")
    link, source = page.input_value("#obs-viewer"), page.input_value("#obs-browser")
    assert session_of(page)["token"] not in link + source, "the viewer link must not carry control"
    assert page.input_value("#obs-whip").endswith(f"/whip/{session_of(page)['id']}")
    key = page.input_value("#obs-token")
    assert key not in ("", session_of(page)["token"]), "OBS gets a token that publishes, and no more"
    session = f"{desk.server}/api/sessions/{session_of(page)['id']}"
    refused = page.request.delete(session, headers={"Authorization": f"Bearer {key}"})
    assert refused.status in (401, 403), "it ends no session"

    viewer = desk.open(re.sub(r"^https?://[^/]+", "", link), camera=False)
    playing(viewer, "#video")
    assert grab(viewer, "#video").std() > 10
    assert viewer.inner_text("#message") == ""
    viewer.goto(source)
    playing(viewer, "#video")
    assert viewer.is_hidden("#controls")
    assert viewer.evaluate("getComputedStyle(document.body).backgroundColor") == "rgba(0, 0, 0, 0)"
    until(page, "document.querySelector('[data-figure=viewers]').textContent === '2'")


def test_copy_viewer_link(desk: Desk) -> None:
    page = desk.open()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=desk.server)
    page.click("#copy-viewer")
    notice(page, "Viewer link copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"{desk.server}/view/{session_of(page)['id']}#token=")


def test_demo_needs_no_camera(desk: Desk) -> None:
    page = desk.open(camera=False)
    page.evaluate(DENY, "NotAllowedError")
    page.click("#empty [data-action=start-camera]")
    notice(page, "did not allow the camera")
    page.click("#empty [data-action=start-demo]")
    playing(page, "#edited")
    assert page.inner_text("#status") == "", "the demo needs no camera"
    until(page, "document.getElementById('live-still').naturalWidth > 0")
    take_reference(page)
    page.click("[data-preset=tiger]")
    page.wait_for_selector("#wear[aria-checked=true]")
    until(page, "document.getElementById('reason').textContent === ''")
    page.wait_for_timeout(600)
    shoot(page, "demo")
    page.reload()
    playing(page, "#edited")
    page.click("#stop-source")
    page.wait_for_selector("#empty")
    assert state_of(page)["demo"] is False


def png(path: Path, image: Any) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


def test_pictures_go_out_and_come_back(desk: Desk, tmp_path: Path) -> None:
    page = desk.open()
    start_camera(page)
    take_reference(page)
    page.click("#tab-picture")
    with page.expect_download() as started:
        page.click("#download-again")
    reference = cv2.imread(str(started.value.path()))
    cv2.circle(reference, (320, 200), 30, (200, 40, 20), -1)
    page.set_input_files("#edit-file", png(tmp_path / "edited.png", reference))
    page.wait_for_selector("#edit-common:not([hidden])")
    held = cv2.imdecode(np.frombuffer(ask(page, "/edit.png").body(), np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(np.asarray(held, int) - reference).max() <= 1


def test_wrong_files_are_refused_in_words(desk: Desk, tmp_path: Path) -> None:
    page = desk.open()
    start_camera(page)
    take_reference(page)
    page.click("#tab-picture")
    note = tmp_path / "notes.txt"
    note.write_text("no picture")
    page.set_input_files("#edit-file", note)
    notice(page, "is not a picture this page takes")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"broken" * 40)
    with page.expect_response(lambda answer: "/layers" in answer.url) as refused:
        page.set_input_files("#edit-file", broken)
    assert 400 <= refused.value.status < 500
    page.wait_for_selector("#status .notice[data-key=edit][data-level=error]")
    assert "takes" not in page.inner_text("#status .notice[data-key=edit]"), (
        "the server's words, not the page's"
    )
    assert state_of(page)["edit"] is None
    assert all("Failed to load resource" in error for error in desk.errors), desk.errors
    desk.errors.clear()  # the browser itself logs the refused upload


CAMERA_ERRORS = [
    ("NotAllowedError", "did not allow the camera"),
    ("NotFoundError", "No camera was found"),
    ("NotReadableError", "in use by another program"),
]


@pytest.mark.parametrize(("name", "words"), CAMERA_ERRORS)
def test_camera_failures_are_explained(desk: Desk, name: str, words: str) -> None:
    page = desk.open()
    page.evaluate(DENY, name)
    page.click("#empty [data-action=start-camera]")
    notice(page, words)
    assert page.is_visible("#empty")


def test_server_failures_are_explained_and_survived(desk: Desk) -> None:
    page = desk.open()
    statuses = iter([0, 503, 401])

    def answer(route: Route) -> None:
        status = next(statuses, None)
        if status is None:
            route.continue_()
        elif status == 0:
            route.abort()
        else:
            route.fulfill(status=status, json={"error": "8 of 8 used"})

    page.route("**/api/sessions", answer)
    page.click("#empty [data-action=start-demo]")
    notice(page, "cannot be reached")
    page.click("#empty [data-action=start-demo]")
    notice(page, "8 of 8 used")
    page.click("#empty [data-action=start-demo]")
    page.fill("#server-token-value", "let-me-in")
    with page.expect_request("**/api/sessions") as asked:
        page.keyboard.press("Enter")
    assert asked.value.headers["authorization"] == "Bearer let-me-in"
    playing(page, "#edited")
    assert all("Failed to load resource" in error for error in desk.errors), desk.errors
    desk.errors.clear()  # the browser itself logs the three refusals


def test_lost_connection_comes_back(desk: Desk) -> None:
    page = desk.open(camera=False)
    with page.expect_response("**/whep/*") as first:
        page.click("#empty [data-action=start-demo]")
    playing(page, "#edited")
    with page.expect_response("**/whep/*") as second:
        page.request.delete(first.value.headers["location"], headers=bearer(session_of(page)))
    assert second.value.status == 201
    playing(page, "#edited")


def test_a_second_window_takes_the_camera_over_once(desk: Desk) -> None:
    first = desk.open()
    start_camera(first)
    session = session_of(first)
    second = desk.open(f"/?session={session['id']}&token={session['token']}")
    until(second, "document.getElementById('live-still').naturalWidth > 0")
    assert session["token"] not in second.url, "the token must not stay in the address bar"
    second.click("#start-camera")
    notice(first, "Another window or program now feeds this session")
    playing(second, "#live")
    first.wait_for_timeout(1500)
    until(second, "document.getElementById('server-state').textContent === 'Live'")
    assert first.inner_text("#start-camera") == "Use camera"


def test_ended_session_is_said_and_a_new_one_starts(desk: Desk) -> None:
    page = desk.open()
    start_camera(page)
    until(page, "parseFloat(document.querySelector('[data-figure=fps]').textContent) > 1")
    page.evaluate(SAID)
    session = session_of(page)
    page.request.delete(desk.address(session), headers=bearer(session))
    notice(page, "The session has ended.")
    page.wait_for_selector("#empty")
    page.wait_for_timeout(600)
    assert page.locator("#status .notice").count() == 1, page.inner_text("#status")
    assert set(page.evaluate("[...said]")) <= {"The session has ended.", "the session ended"}
    for width, height in ((1280, 800), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        shoot(page, f"ended-{width}")
        said, button = (page.locator(each).bounding_box() for each in ("#status", "#empty .primary"))
        assert said is not None
        assert button is not None
        assert said["y"] + said["height"] <= button["y"], "the notice covers the button"
    page.click("#empty [data-action=start-demo]")
    playing(page, "#edited")
    assert session_of(page)["id"] != session["id"]
    assert all("Failed to load resource" in error for error in desk.errors), desk.errors
    desk.errors.clear()  # the browser itself logs the questions about the ended session
