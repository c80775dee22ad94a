"""Looks in a real browser: edits of one session told apart by the pixels that come back, keys, film strip."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page

from tests.page.desk import Desk, is_paint, shoot, start_camera, state_of, take_reference, until
from tests.page.frames import chroma, grab_both, lips
from tests.page.test_page import overflow
from tests.page.test_paint import GREEN, canvas_colour, drag

VIOLET, TEAL = "#6a2bd9", "#0aa07a"
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def make_up(page: Page, colour: str) -> None:
    """Lipstick of a colour on what is edited now."""
    if page.get_attribute("[data-preset=lipstick]", "aria-pressed") != "true":
        page.click("[data-preset=lipstick]")
    page.wait_for_selector("[data-preset=lipstick][aria-pressed=true]")
    with page.expect_response(lambda answer: answer.url.endswith("/preset") and answer.ok):
        page.fill("#preset-colour", colour)


def two_looks(page: Page) -> None:
    """Violet lips as look 1, teal ones as look 2, which is worn."""
    start_camera(page)
    take_reference(page)
    make_up(page, VIOLET)
    page.click("#new-look")
    page.wait_for_selector("#chips .chip:nth-child(2)[aria-pressed=true]")
    make_up(page, TEAL)


def lip_chroma(page: Page) -> tuple[float, float]:
    """CIELAB (a, b) of the lips in the video that came back."""
    edited, live = grab_both(page)
    return chroma(edited, lips(live))


def shows(page: Page, wanted: Callable[[float, float], bool], limit_s: float = 40.0) -> None:
    """Waits until the returned video's lips have a colour."""
    end_s = time.monotonic() + limit_s
    while not wanted(*(seen := lip_chroma(page))):
        assert time.monotonic() < end_s, f"not within {limit_s:g} s: lips are {seen}"
        page.wait_for_timeout(150)


def violet(a: float, b: float) -> bool:
    return b < -12


def teal(a: float, b: float) -> bool:
    return a < -4


def bare(a: float, b: float) -> bool:
    return a > 12 and b > 3


def chip(page: Page, place: int) -> str:
    return f"#chips .chip:nth-child({place})"


def shot(page: Page, place: int) -> str:
    return f"#film .shot:nth-child({place}) > button:first-child"


def test_two_looks_by_hot_key_an_older_keyframe_and_a_reload(desk: Desk) -> None:
    page = desk.open(viewport={"width": 1440, "height": 900})
    two_looks(page)
    shows(page, teal)
    page.keyboard.press("1")
    page.wait_for_selector(f"{chip(page, 1)}[aria-pressed=true]")
    shows(page, violet)
    page.keyboard.press("2")
    shows(page, teal)

    page.click("#take-keyframe")  # a further keyframe, with the edit carried over
    page.wait_for_selector(f"{shot(page, 2)}[aria-pressed=true]")
    page.wait_for_selector("#restore:enabled")
    shoot(page, "looks-paint-1440")
    page.fill("#brush-colour", "#00c83c")
    with page.expect_response(is_paint):
        drag(page, (0.1, 0.1), (0.2, 0.1))
    page.click("#close-paint")
    page.click(shot(page, 1))  # the older one: its lips become violet
    page.wait_for_selector("#edit-target", state="hidden")
    make_up(page, VIOLET)
    shows(page, violet)
    shoot(page, "looks-1440")
    before = state_of(page)
    assert [look["name"] for look in before["looks"]] == ["Look 1", "Look 2"]
    assert len(before["keyframes"]) == 2

    page.reload()
    page.wait_for_selector("#wear[aria-checked=true]")
    until(page, "document.getElementById('edited').videoWidth > 0")
    page.wait_for_selector(f"{chip(page, 2)}[aria-pressed=true]")
    until(page, "[...document.querySelectorAll('.shot img, .chip img')].every(image => image.naturalWidth)")
    assert page.locator("#film .shot").count() == 2
    after = state_of(page)
    for key in ("looks", "active", "focus", "undo", "edit"):
        assert after[key] == before[key], key
    shows(page, violet)
    page.click(shot(page, 2))
    page.wait_for_selector("#edit-target:not([hidden])")
    page.click("#tab-paint")
    page.wait_for_selector("#restore:enabled")
    until(page, "document.getElementById('canvas').width === 640")
    assert canvas_colour(page, 0.15, 0.1)[1] > 150, "what was painted on the second keyframe is still there"


def test_keys_wear_hold_and_turn_off_but_not_while_typing(desk: Desk) -> None:
    page = desk.open()
    two_looks(page)
    shows(page, teal)
    page.keyboard.down("0")
    until(page, "document.getElementById('reason').textContent.includes('to compare')")
    shows(page, bare)
    page.keyboard.up("0")
    shows(page, teal)
    assert state_of(page)["settings"]["enabled"] is True, "held, it was not turned off"
    for _ in range(30):  # faster than their pictures come
        page.keyboard.press("1")
        page.keyboard.press("2")
    page.wait_for_selector(f"{chip(page, 2)}[aria-pressed=true]")
    until(page, "!document.querySelector('#edit-thumb img').hidden")
    page.keyboard.press("Escape")
    page.wait_for_selector("#wear[aria-checked=false]")
    shows(page, bare)
    page.keyboard.press("1")
    page.wait_for_selector("#wear[aria-checked=true]")
    shows(page, violet)

    page.click("#manage-look")
    page.fill("#look-name", "")
    page.keyboard.type("Stage 2")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{chip(page, 1)}:has-text('Stage 2')")
    page.wait_for_selector("#look:not([open])", state="attached")
    assert state_of(page)["active"] == state_of(page)["looks"][0]["id"], "the 2 was typed, not pressed"

    box = page.locator("#hold-live").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    shows(page, bare)
    page.mouse.up()
    shows(page, violet)


def test_undo_copy_and_removal_of_a_look(desk: Desk) -> None:
    page = desk.open()
    two_looks(page)
    page.keyboard.press("Control+z")
    until(page, "document.getElementById('edit-common').hidden")
    page.click("#redo-edit")
    shows(page, teal)
    page.click("#manage-look")
    page.click("#copy-look")
    page.wait_for_selector(f"{chip(page, 3)}[aria-pressed=true]:has-text('Look 2 copy')")
    page.click("#manage-look")
    page.click("#remove-look")
    page.wait_for_selector(chip(page, 3), state="detached")
    page.click("#undo-edit")
    page.wait_for_selector(f"{chip(page, 3)}[aria-pressed=true]")
    page.click(f"{shot(page, 1)} + .remove")  # the only keyframe: the edit goes
    page.wait_for_selector("#strip", state="hidden")
    assert state_of(page)["edit"] is None
    for _ in range(12):  # more than there is to undo, faster than the server answers
        page.keyboard.press("Control+z")
    page.wait_for_selector("#undo-edit:disabled")
    page.wait_for_timeout(300)
    assert page.locator("#status .notice[data-level=error]").count() == 0, page.inner_text("#status")


def test_strokes_go_to_the_look_they_were_made_for(desk: Desk) -> None:
    page = desk.open()
    two_looks(page)
    page.click("#tab-paint")
    page.wait_for_selector("#restore:enabled")
    page.uncheck("#apply-live")
    page.fill("#brush-colour", "#00c83c")
    page.fill("#brush-opacity", "100")
    drag(page, (0.1, 0.1), (0.2, 0.1))
    with page.expect_response(is_paint):
        page.keyboard.press("1")
    page.wait_for_selector(f"{chip(page, 1)}[aria-pressed=true]")
    until(page, "document.getElementById('undo').disabled")
    assert canvas_colour(page, 0.15, 0.1) != GREEN
    page.keyboard.press("2")
    page.wait_for_selector(f"{chip(page, 2)}[aria-pressed=true]")
    end_s = time.monotonic() + 10
    while canvas_colour(page, 0.15, 0.1) != GREEN:
        assert time.monotonic() < end_s, "the strokes were lost"
        page.wait_for_timeout(100)


def test_looks_on_a_phone(desk: Desk) -> None:
    page = desk.open(**PHONE)
    page.tap("#empty [data-action=start-camera]")
    page.wait_for_selector("#take:enabled")
    page.tap("#take")
    page.wait_for_selector("[data-preset=lipstick]:enabled")
    page.tap("[data-preset=lipstick]")
    page.wait_for_selector("#film .shot")
    for place in range(2, 5):
        page.tap("#new-look")
        page.wait_for_selector(f"{chip(page, place)}[aria-pressed=true]")
    page.tap("[data-preset=tiger]")
    page.wait_for_selector("#film .shot")
    page.tap("#take-keyframe")
    page.wait_for_selector(f"{shot(page, 2)}[aria-pressed=true]")
    page.wait_for_selector("#restore:enabled")
    assert overflow(page) == 0
    shoot(page, "looks-paint-390")
    page.tap("#close-paint")
    assert overflow(page) == 0
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(200)
    shoot(page, "looks-390")
    page.tap("#manage-look")
    assert overflow(page) == 0
    shoot(page, "looks-dialog-390")
