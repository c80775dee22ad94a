"""The slider that says how many people wear the look."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.page.conftest import running
from tests.page.desk import Desk, OpenBrowser, shoot, start_camera, state_of, take_reference


def wear_blush(page: Page) -> None:
    start_camera(page)
    take_reference(page)
    page.click("[data-preset=blush]")
    page.wait_for_selector("#wear[aria-checked=true]")


def test_the_slider_sets_how_many_people_wear_it(browsers: OpenBrowser) -> None:
    with running("--faces", "3") as address:
        desk = Desk(address, browsers)
        page = desk.open()
        wear_blush(page)
        page.wait_for_selector("#people:not([hidden])")
        slider = page.locator("#faces")
        assert (slider.get_attribute("max"), slider.input_value()) == ("3", "3")
        assert page.inner_text("output[for=faces]") == "3"
        slider.fill("2")
        for _ in range(40):  # the page sends it when the slider rests
            if state_of(page)["settings"]["faces"] == 2:
                break
            page.wait_for_timeout(250)
        assert state_of(page)["settings"]["faces"] == 2
        assert page.inner_text("output[for=faces]") == "2"
        shoot(page, "faces")
        desk.close()
    assert desk.errors == []


def test_it_is_hidden_where_one_alone_may(desk: Desk) -> None:
    page = desk.open()
    wear_blush(page)
    assert page.locator("#people").is_hidden()
