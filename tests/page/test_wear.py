"""The main flow in a real browser: the returned pixels wear the preset, and a reload keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from playwright.sync_api import Page

from tests.page.desk import Desk, shoot, start_camera, state_of, take_reference, until
from tests.page.frames import away_from_face, chroma, grab_both, lips

VIOLET = "#6a2bd9"  # no lips are violet, and no codec makes them so
VIOLET_AB = (57.0, -77.0)  # its CIELAB (a, b)
WORN = 0.25  # share of the way to violet that only lipstick goes
OFF = 0.1  # share of the way below which no lipstick is left
SETTLED = 8.0  # mean difference of two codecs once their rate has risen, levels
SOURCES = ["astronaut", pytest.param("portrait", marks=pytest.mark.portraits)]


def paint_lips(page: Page) -> None:
    page.click("[data-preset=lipstick]")
    page.wait_for_selector("[data-preset=lipstick][aria-pressed=true]")
    with page.expect_response(lambda answer: answer.url.endswith("/preset") and answer.ok):
        page.fill("#preset-colour", VIOLET)


@dataclass(frozen=True)
class Seen:
    """One look at both views: `violet` is how far the lips went from the live colour to the lipstick's
    (0 to 1), `noise` the mean difference away from the face, `shift` its mean with sign (the worst channel).
    """

    violet: float
    noise: float
    shift: float


def look(page: Page) -> Seen:
    edited, live = grab_both(page)
    before, after = np.array(chroma(live, lips(live))), np.array(chroma(edited, lips(edited)))
    way = np.array(VIOLET_AB) - before
    difference = (edited.astype(int) - live)[away_from_face(live)]
    return Seen(
        violet=float((after - before) @ way / (way @ way)),
        noise=float(np.abs(difference).mean()),
        shift=float(np.abs(difference.mean(axis=0)).max()),
    )


def look_until(page: Page, right: Callable[[Seen], bool], tries: int = 20) -> Seen:
    """The first look that is right, or the last one."""
    for _ in range(tries):
        page.wait_for_timeout(300)
        seen = look(page)
        if right(seen):
            break
    return seen


def worn_and_settled(seen: Seen) -> bool:
    """The lipstick is there, and the picture is as sharp as it gets."""
    return seen.violet > WORN and seen.noise < SETTLED


@pytest.mark.parametrize("source", SOURCES)
def test_lipstick_comes_back_on_the_lips_only_and_outlives_a_reload(desk: Desk, source: str) -> None:
    page = desk.open(source=source)
    start_camera(page)
    take_reference(page)
    paint_lips(page)
    worn = look_until(page, worn_and_settled)
    shoot(page, f"wear-{source}")
    page.click("#wear")
    page.wait_for_selector("#wear[aria-checked=false]")
    off = look_until(page, lambda seen: seen.violet < OFF)
    assert worn.violet > WORN, "the lips are not violet"
    assert off.violet < OFF, "switched off, the lips are still violet"
    page.click("#wear")
    page.wait_for_selector("#wear[aria-checked=true]")
    worn = look_until(
        page, lambda seen: seen.violet > WORN and seen.noise < off.noise + 2
    )  # as sharp as then
    assert worn.noise < off.noise + 2, "the background differs by more than the codecs' noise"
    assert worn.shift < 3, "the background's colours moved"

    page.reload()
    page.wait_for_selector("#wear[aria-checked=true]")
    until(page, "document.getElementById('edited').videoWidth > 0")
    assert page.get_attribute("[data-preset=lipstick]", "aria-pressed") == "true"
    assert page.input_value("#preset-colour") == VIOLET
    assert look_until(page, worn_and_settled).violet > WORN, "after the reload the edit is gone"
    assert state_of(page)["edit"]["enabled"] is True


def test_figures_come_from_server_and_browser(desk: Desk) -> None:
    page = desk.open()
    start_camera(page)
    take_reference(page)
    page.click("[data-preset=blush]")
    until(page, "/^[0-9]+ ms/.test(document.querySelector('[data-figure=total]').textContent)")
    figures = page.eval_on_selector_all(
        "[data-figure]", "all => Object.fromEntries(all.map(each => [each.dataset.figure, each.textContent]))"
    )
    assert figures["picture"].startswith("640×480")
    assert int(figures["fps"].split()[0]) > 0
    assert all(figures[name] != "–" for name in ("latency", "trip", "dropped", "viewers"))


def test_confidence_and_reason_are_shown(desk: Desk) -> None:
    page = desk.open()
    start_camera(page)
    assert "no reference yet" in page.inner_text("#reason")
    take_reference(page)
    page.click("[data-preset=tiger]")
    page.click("#confidence:enabled")
    page.wait_for_selector("#confidence[aria-pressed=true]")
    assert state_of(page)["settings"]["overlay"] == "confidence"
    page.click("#wear")
    until(page, "document.getElementById('reason').textContent.includes('off')")


def test_settings_reach_the_server(desk: Desk) -> None:
    page = desk.open()
    start_camera(page)
    take_reference(page)
    page.click("[data-preset=blush]")
    page.wait_for_selector("#edit-common:not([hidden])")
    with page.expect_response(lambda answer: answer.url.endswith("/settings")):
        page.fill("#strength", "40")
    for mode in ("replace", "layer"):
        with page.expect_response(lambda answer: answer.url.endswith("/settings")):
            page.click(f"label:has(input[name=mode][value={mode}])")
        edit = state_of(page)["edit"]
        assert (edit["strength"], edit["mode"]) == (0.4, mode)
    page.click("#remove-edit")
    page.wait_for_selector("#edit-common", state="hidden")
    assert state_of(page)["edit"] is None
