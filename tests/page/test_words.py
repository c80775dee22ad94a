"""Editing by words in a real browser: offered where the server can, progress, cancel, what comes of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page

from correspondence import Image
from tests.page.conftest import running
from tests.page.desk import (
    Desk,
    OpenBrowser,
    ask,
    notice,
    shoot,
    start_camera,
    state_of,
    take_reference,
    until,
)
from tests.page.test_looks import PHONE
from tests.page.test_page import overflow, tab_to
from tests.reference.tiny_prompt import save_pix2pix

LIMIT_MS = 300_000  # the process loads its libraries at the lowest priority
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pix2pix(tmp_path_factory.mktemp("pix2pix"))


@pytest.fixture
def words_desk(model: Path, browsers: OpenBrowser) -> Iterator[Desk]:
    """Pages on a fresh server that edits by words: its model is loaded with the first edit."""
    with running("--prompt-model", str(model)) as address:
        desk = Desk(address, browsers)
        yield desk
        desk.close()
    assert desk.errors == []


def picture(page: Page, name: str) -> Image:
    data = np.frombuffer(ask(page, f"/{name}.png").body(), np.uint8)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def loading(page: Page) -> None:
    """Waits for an edit to begin; its process takes seconds to load the model."""
    page.wait_for_selector("#words-progress:not([hidden])")
    assert page.inner_text("#words-step") == "Loading"


def listen_to_steps(page: Page) -> None:
    page.evaluate(
        "step => { window.steps = []; new MutationObserver(() => window.steps.push(step.textContent))"
        ".observe(step, { childList: true }); }",
        page.query_selector("#words-step"),
    )


@pytest.mark.slow  # tests/stream/prompting makes such an edit too, without the page
def test_an_edit_by_words_by_keyboard_cancelled_reloaded_done_and_undone(words_desk: Desk) -> None:
    page = words_desk.open()
    assert page.is_hidden("#tab-words"), "nothing is offered before there is a session"
    start_camera(page)
    tab_to(page, "#tab-presets")
    page.keyboard.press("End")
    page.wait_for_selector("#panel-words:not([hidden])")
    assert page.is_disabled("#words-go")
    assert "Take a reference first" in page.inner_text("#words-note")
    page.click("#take")
    page.wait_for_selector("#words-go:enabled")
    shoot(page, "words-start-1280")

    tab_to(page, "#words")
    page.keyboard.press("Enter")
    assert page.evaluate("document.getElementById('words').validity.valueMissing"), "no words, no edit"
    page.keyboard.type("2 red hats")
    tab_to(page, "#words-go")
    page.keyboard.press("Enter")
    loading(page)
    assert page.evaluate("document.activeElement.id") == "words-cancel"
    page.keyboard.press("Enter")
    notice(page, "stopped")
    page.wait_for_selector("#words-progress", state="hidden")
    assert page.evaluate("document.activeElement.id") == "words-go"
    assert state_of(page)["edit"] is None

    page.keyboard.press("Enter")
    loading(page)
    page.reload()
    page.wait_for_selector("#panel-words:not([hidden])")  # it went on, and is shown
    loading(page)
    listen_to_steps(page)
    page.wait_for_selector("#words-step:has-text('Step')", timeout=LIMIT_MS)
    shoot(page, "words-progress-1280")
    page.wait_for_selector("#wear[aria-checked=true]", timeout=LIMIT_MS)
    notice(page, "Edited by words")
    page.wait_for_selector("#words-start:not([hidden])")
    steps = page.evaluate("window.steps")
    assert any(re.fullmatch(r"Step \d+ of 20", step) for step in steps), steps
    shoot(page, "words-done-1280")
    assert (picture(page, "edit") != picture(page, "reference")).any()
    assert state_of(page)["undo"] == "edit by words"
    page.click("#undo-edit")
    until(page, "document.getElementById('edit-common').hidden")


@pytest.mark.slow
def test_errors_are_said_on_a_phone_and_fit_its_width(words_desk: Desk) -> None:
    page = words_desk.open(**PHONE)
    page.tap("#empty [data-action=start-camera]")
    page.wait_for_selector("#take:enabled")
    page.tap("#take")
    page.wait_for_selector("[data-preset=lipstick]:enabled")
    page.tap("#tab-words")
    assert overflow(page) == 0
    page.fill("#words", "   ")
    page.tap("#words-go")
    notice(page, "got 0")
    words_desk.errors = [said for said in words_desk.errors if "400 (Bad Request)" not in said]
    page.fill("#words", "a red hat")
    page.tap("label:has(input[name=area][value=face])")
    page.tap("#words-go")
    loading(page)
    assert overflow(page) == 0
    page.locator("#words-cancel").scroll_into_view_if_needed()
    shoot(page, "words-progress-390")

    page.set_input_files("#reference-file", {"name": "other.png", "mimeType": "image/png", "buffer": grey()})
    page.wait_for_selector("#words-note[data-level=error]:has-text('replaced or removed')", timeout=LIMIT_MS)
    assert overflow(page) == 0
    page.locator("#words-note").scroll_into_view_if_needed()
    shoot(page, "words-failed-390")


def grey() -> bytes:
    return bytes(cv2.imencode(".png", np.full((480, 640, 3), 128, np.uint8))[1])


def test_a_server_without_a_model_offers_nothing(desk: Desk) -> None:
    page = desk.open()
    start_camera(page)
    take_reference(page)
    assert page.is_hidden("#tab-words")
    page.focus("#tab-presets")
    page.keyboard.press("End")
    page.wait_for_selector("#tab-picture[aria-selected=true]")
