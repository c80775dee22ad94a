"""The page's finish: full screen, previews, tools on the easel, files that are followed, stickers."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import FilePayload, Page

from tests.page.desk import Desk, ask, in_time, is_paint, shoot, start_camera, state_of, take_reference, until
from tests.page.frames import grab

YELLOW = (0, 220, 255)  # BGR
WIDE, DESK = {"width": 1920, "height": 1080}, {"width": 1280, "height": 880}
PHONE, TURNED = {"width": 390, "height": 844}, {"width": 844, "height": 390}
FILLS = """() => {
  const { left, right, top, bottom } = document.getElementById("compare").getBoundingClientRect();
  const near = (a, b) => Math.abs(a - b) <= 2;
  const wide = near(left, 0) && near(right, innerWidth), tall = near(top, 0) && near(bottom, innerHeight);
  return (wide && top >= -2 && bottom <= innerHeight + 2) || (tall && left >= -2 && right <= innerWidth + 2);
}"""
# A file that a program can save again, as the browser's file picker would hand it over.
PICKER = """async (base64) => {
  const root = await navigator.storage.getDirectory();
  const handle = await root.getFileHandle("edited.png", { create: true });
  window.saveAgain = async (data) => {
    const writable = await handle.createWritable();
    await writable.write(Uint8Array.from(atob(data), (c) => c.charCodeAt(0)));
    await writable.close();
  };
  await window.saveAgain(base64);
  window.showOpenFilePicker = async () => [handle];
}"""


def pixels(page: Page, path: str) -> Any:
    """A picture of the session, RGB(A) int."""
    image = cv2.imdecode(np.frombuffer(ask(page, path).body(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image.astype(int)


@pytest.mark.parametrize(("sizes", "phone"), [((WIDE, DESK), False), ((PHONE, TURNED), True)])
def test_full_screen_fills_the_screen(desk: Desk, sizes: tuple[Any, ...], phone: bool) -> None:
    page = desk.open(viewport=sizes[0], has_touch=phone, is_mobile=phone)
    start_camera(page)
    for size in sizes:
        page.set_viewport_size(size)
        page.click("#fullscreen")
        until(page, "document.fullscreenElement !== null")
        for view in ("split", "side", "edited"):
            page.evaluate(f"document.querySelector('input[name=view][value={view}]').click()")
            until(page, f"({FILLS})()", 10)
            shoot(page, f"full-{size['width']}x{size['height']}-{view}")
        page.click("#leave-fullscreen")
        until(page, "document.fullscreenElement === null")
        assert page.is_hidden("#leave-fullscreen")


def test_without_full_screen_of_elements_the_views_fill_the_window(desk: Desk) -> None:
    page = desk.open(viewport=PHONE, has_touch=True, is_mobile=True)
    page.evaluate("Object.defineProperty(document, 'fullscreenEnabled', { value: false })")
    start_camera(page)
    page.click("#fullscreen")
    until(page, f"({FILLS})()", 5)
    page.keyboard.press("Escape")
    assert page.is_hidden("#leave-fullscreen")


def test_each_preset_is_seen_on_ones_own_face(desk: Desk) -> None:
    page = desk.open()
    start_camera(page)
    assert page.is_visible("[data-preset=lipstick] svg")
    take_reference(page)
    page.wait_for_selector("[data-preset=lipstick] .seen")
    assert page.is_hidden("[data-preset=lipstick] svg")
    version = state_of(page)["reference"]["version"]
    sheet = cv2.imdecode(np.frombuffer(ask(page, f"/previews.jpg?version={version}").body(), np.uint8), 1)
    assert sheet is not None
    squares = [sheet[:112, 112 * n : 112 * (n + 1)].astype(int) for n in (0, 1)]
    assert np.abs(squares[0] - squares[1]).max() > 30, "lipstick and lip liner"
    shoot(page, "previews")


def test_other_kinds_of_files_are_refused_by_name(desk: Desk) -> None:
    page = desk.open()
    for name, words in (("me.HEIC", "a HEIC picture"), ("me.psd", "a Photoshop document")):
        page.set_input_files("#reference-file", FilePayload(name=name, mimeType="", buffer=b"x"))
        page.wait_for_selector(f"#status .notice:has-text('{words}')")


def test_a_file_that_is_saved_again_is_worn_again(desk: Desk) -> None:
    page = desk.open()
    start_camera(page)
    take_reference(page)
    still = pixels(page, "/reference.png").astype(np.uint8)

    def edited(colour: tuple[int, int, int]) -> str:
        picture = still.copy()
        cv2.circle(picture, (320, 240), 40, colour, -1)
        return base64.b64encode(cv2.imencode(".png", picture)[1].tobytes()).decode()

    page.evaluate(PICKER, edited((0, 0, 250)))
    page.click("#tab-picture")
    page.click("#follow-file")
    page.wait_for_selector("#followed")
    first = state_of(page)["layers"]
    with page.expect_response(lambda answer: answer.request.method == "PUT" and answer.ok):
        page.evaluate("data => window.saveAgain(data)", edited((0, 250, 0)))
    until(page, "document.querySelectorAll('#layers .layer').length === 1")
    assert [layer["id"] for layer in state_of(page)["layers"]] == [layer["id"] for layer in first]
    assert pixels(page, "/edit.png")[240, 320].tolist() == [0, 250, 0]
    page.click("#unfollow")
    assert page.is_hidden("#followed")


def test_lasso_fill_blur_and_both_sides(desk: Desk) -> None:
    page = desk.open()
    start_camera(page)
    take_reference(page)
    page.click("#tab-paint")
    until(page, "document.getElementById('canvas').width === 640")

    def drag(*points: tuple[float, float]) -> Any:
        box = page.locator("#canvas").bounding_box()
        assert box is not None
        scale = box["width"] / 640
        with page.expect_response(is_paint):
            for at, (x, y) in enumerate(points):
                page.mouse.move(box["x"] + x * scale, box["y"] + y * scale, steps=3)
                if at == 0:
                    page.mouse.down()
            page.mouse.up()
        layer = state_of(page)["layers"][-1]["id"]
        page.wait_for_timeout(100)
        return pixels(page, f"/layers/{layer}/picture.png")

    page.fill("#brush-opacity", "100")
    page.check("input[name=tool][value=lasso]", force=True)
    sheet = drag((100, 100), (180, 100), (180, 180), (100, 180))
    assert sheet[140, 140, 3] == 255
    assert sheet[140, 220, 3] == 0
    assert (sheet[..., 3] > 127).sum() == pytest.approx(80 * 80, rel=0.06)
    page.click("#mirror-brush")
    page.check("input[name=tool][value=paint]", force=True)
    ends = np.array(state_of(page)["reference"]["axis"], float).reshape(2, 2)
    along = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
    away = np.array([200.0, 240.0]) - ends[0]
    x, y = np.rint(ends[0] + 2 * (away @ along) * along - away).astype(int)
    sheet = drag((200, 225), (200, 255))
    assert sheet[240, 200, 3] > 200
    assert sheet[y - 3 : y + 4, x - 3 : x + 4, 3].max() > 200, "the other side"
    page.click("#mirror-brush")
    page.check("input[name=tool][value=blur]", force=True)
    before = sheet[..., 3].astype(bool).sum()
    sheet = drag((320, 200), (330, 210))
    assert sheet[..., 3].astype(bool).sum() > before
    page.check("input[name=tool][value=fill]", force=True)
    sheet = drag((20, 20))
    assert sheet[20, 20, 3] == 255
    shoot(page, "paint-tools")


def star(page: Page) -> tuple[Any, int]:
    """The middle (x, y) of the sticker on the edited picture, and its pixels."""
    y, x = np.nonzero(np.abs(pixels(page, "/edit.png") - YELLOW).max(axis=2) < 12)
    return np.array([x.mean(), y.mean()]), len(x)


def yellow_pixels(frame: Any) -> int:
    """How many pixels of a live frame, RGB uint8 (H, W, 3), are the sticker's."""
    return int((np.abs(frame[..., ::-1].astype(int) - YELLOW).max(axis=2) < 60).sum())


def press(page: Page, key: str) -> None:
    with page.expect_response(lambda answer: "/layers/" in answer.url and answer.ok):
        page.keyboard.press(key)


def test_a_sticker_is_placed_and_a_backdrop_laid(desk: Desk, tmp_path: Path) -> None:
    page = desk.open()
    start_camera(page)
    take_reference(page)
    page.click("#tab-picture")
    for name, colour in (("star.png", YELLOW), ("beach.png", (200, 120, 0))):
        cv2.imwrite(str(tmp_path / name), np.full((60, 60, 3), colour, np.uint8))
    page.select_option("#sticker-spot", "nose")
    page.set_input_files("#backdrop-file", str(tmp_path / "beach.png"))
    until(page, "document.querySelectorAll('#layers .layer').length === 1")
    page.set_input_files("#sticker-file", str(tmp_path / "star.png"))
    page.wait_for_selector("#placing-pad .mark")
    assert np.abs(pixels(page, "/edit.png")[8, 8] - (200, 120, 0)).max() < 25

    page.focus("#placing-pad")
    for key, moved in (("ArrowRight", (1, 0)), ("Shift+ArrowDown", (0, 1)), ("ArrowLeft", (-1, 0))):
        before = star(page)[0]
        press(page, key)
        assert tuple(np.sign(np.rint(star(page)[0] - before))) == moved, key
    size = star(page)[1]
    press(page, "+")
    assert star(page)[1] > size

    pad = page.locator("#placing-pad").bounding_box()
    assert pad is not None
    x, y = pad["x"] + pad["width"] / 2, pad["y"] + pad["height"] / 2
    before, factor = star(page)[0], state_of(page)["reference"]["width"] / pad["width"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y - 20, steps=4)
    page.mouse.up()
    dragged = pytest.approx([30 * factor, -20 * factor], abs=3)
    in_time(page, lambda: star(page)[0] - before == dragged, "the sticker follows the pointer")
    shoot(page, "stickers")

    with page.expect_response(lambda answer: "/layers/" in answer.url and answer.ok):
        page.click("#placing .segments label:has-text('The head')")
    assert state_of(page)["layers"][-1]["sticker"]["rigid"] is True
    in_time(page, lambda: yellow_pixels(grab(page)) > 200, "the head carries it live")
    place = state_of(page)["layers"][-1]["sticker"]
    page.reload()
    page.wait_for_selector("#layers .layer .place:visible")
    assert state_of(page)["layers"][-1]["sticker"] == place


def test_a_middling_reference_says_why(desk: Desk) -> None:
    page = desk.open()
    start_camera(page)
    take_reference(page)
    reference = state_of(page)["reference"]
    note = page.inner_text("#reference-note")
    if reference["score"] < 0.7:
        assert reference["weakness"] in note
    assert re.match("(Good|Usable|Weak) reference, 640×480", note)


def test_a_picture_that_hardly_matches_is_asked_about_before_it_is_worn(desk: Desk, tmp_path: Path) -> None:
    page = desk.open()
    start_camera(page)
    take_reference(page)
    size = pixels(page, "/reference.png").shape
    other = np.random.default_rng(5).integers(0, 256, size, dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "other.png"), other)
    page.click("#tab-picture")
    page.set_input_files("#edit-file", str(tmp_path / "other.png"))
    page.click("#doubt [data-close]")
    assert state_of(page)["edit"] is None
    page.set_input_files("#edit-file", str(tmp_path / "other.png"))
    page.click("#doubt [value=sure]")
    until(page, "document.querySelectorAll('#layers .layer').length === 1")
    assert np.array_equal(pixels(page, "/edit.png"), other)
    assert len(desk.errors) == 2, "the browser notes each refusal"
    assert all("428" in error for error in desk.errors)
    desk.errors.clear()
