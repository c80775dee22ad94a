"""A look is built up on the page: presets and paint, each faded, moved, hidden; undo, redo and a reload."""

from __future__ import annotations

import numpy as np
from playwright.sync_api import Page

from correspondence import Image
from tests.page.desk import Desk, is_paint, shoot, start_camera, state_of, take_reference, until
from tests.page.test_paint import GREEN, SHAPE, drag, edit_png, set_brush

AT = (SHAPE[0] // 5, SHAPE[1] // 4)  # (row, column) where the star is painted, beside the face


def titles(page: Page) -> list[str]:
    return page.locator("#layers .layer .grow").all_inner_texts()


def row(title: str) -> str:
    return f"#layers .layer:has(.grow:text-is('{title}'))"


def put_on(page: Page, preset: str) -> None:
    page.click(f"[data-preset={preset}]")
    page.wait_for_selector(f"[data-preset={preset}][aria-pressed=true]")


def build(page: Page) -> None:
    """Lipstick, eyeliner and a painted star, from the lowest to the uppermost."""
    start_camera(page)
    take_reference(page)
    put_on(page, "lipstick")
    put_on(page, "eyeliner")
    page.click("#tab-paint")
    set_brush(page)
    with page.expect_response(is_paint):
        drag(page, (0.2, 0.2), (0.3, 0.2))
    page.click("#close-paint")
    page.wait_for_selector(row("Paint"))


def acts(page: Page, selector: str, value: str | None = None) -> Image:
    """Uses a control of a layer, waits for the answer, and returns the picture then."""
    with page.expect_response(lambda answer: "/layers/" in answer.url and answer.ok):
        if value is None:
            page.click(selector)
        else:
            page.fill(selector, value)
    return edit_png(page)


def test_a_look_is_built_up_and_undone_to_nothing_and_redone(desk: Desk) -> None:
    page = desk.open()
    build(page)
    assert titles(page) == ["Paint", "Eyeliner", "Lipstick"]
    full = edit_png(page)
    assert tuple(full[AT]) == GREEN, "the presets and the star add up"
    pictures = [
        acts(page, f"{row('Paint')} input[type=range]", "50"),
        acts(page, f"{row('Paint')} .down"),
        acts(page, f"{row('Lipstick')} .eye"),
    ]
    assert titles(page) == ["Eyeliner", "Paint", "Lipstick"]
    lips = (pictures[1] != pictures[2]).any(axis=2)
    assert 100 < lips.sum() < 20_000, "only the lipstick is hidden"
    assert (pictures[0] == pictures[1]).all(), "they do not overlap"
    shoot(page, "layers")
    steps = 0
    while (state := state_of(page))["undo"] and state["edit"]:
        with page.expect_response(lambda answer: answer.url.endswith("/undo") and answer.ok):
            page.keyboard.press("Control+z")
        steps += 1
    assert steps == 6
    until(page, "document.querySelectorAll('#layers .layer').length === 0")
    assert page.get_attribute("[data-preset=lipstick]", "aria-pressed") == "false"
    for _ in range(steps):
        with page.expect_response(lambda answer: answer.url.endswith("/redo") and answer.ok):
            page.keyboard.press("Control+Shift+z")
    assert np.array_equal(edit_png(page), pictures[2])
    page.reload()
    page.wait_for_selector(row("Paint"))
    assert titles(page) == ["Eyeliner", "Paint", "Lipstick"]
    assert page.input_value(f"{row('Paint')} input[type=range]") == "50"
    assert page.get_attribute(f"{row('Lipstick')} .eye", "aria-pressed") == "false"


def test_choosing_a_preset_again_takes_it_off_and_paint_goes_on(desk: Desk) -> None:
    page = desk.open()
    build(page)
    page.click("[data-preset=lipstick]")
    page.wait_for_selector("[data-preset=lipstick][aria-pressed=false]")
    until(page, "document.querySelectorAll('#layers .layer').length === 2")
    assert titles(page) == ["Paint", "Eyeliner"]
    page.click("#tab-paint")
    set_brush(page)
    with page.expect_response(is_paint):
        drag(page, (0.7, 0.2), (0.8, 0.2))
    assert titles(page) == ["Paint", "Eyeliner"], "strokes join the uppermost layer of paint"
    edited = edit_png(page)
    assert tuple(edited[AT]) == tuple(edited[AT[0], SHAPE[1] * 3 // 4]) == GREEN
    with page.expect_response(lambda answer: answer.request.method == "DELETE" and answer.ok):
        page.click("#restore")
    until(page, "document.querySelectorAll('#layers .layer').length === 1")
    assert tuple(edit_png(page)[AT]) != GREEN
    page.click("#close-paint")
    page.click(f"{row('Eyeliner')} .remove")
    page.wait_for_selector("#edit-common", state="hidden")
    assert state_of(page)["edit"] is None
