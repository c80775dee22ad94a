"""Painting on the reference: strokes, eraser, undo and redo; and the arithmetic beneath, in the browser."""

from __future__ import annotations

import cv2
import numpy as np
from playwright.sync_api import Dialog, Page

from correspondence import Image
from tests.page.desk import Desk, ask, is_paint, shoot, start_camera, state_of, take_reference, until

GREEN = (0, 200, 60)
SHAPE = (480, 640)  # (H, W) of the camera


def open_easel(page: Page) -> None:
    start_camera(page)
    take_reference(page)
    page.click("#tab-paint")
    page.wait_for_selector("#canvas")
    set_brush(page)


def set_brush(page: Page) -> None:
    """Hard, opaque green, once there is a picture on the easel."""
    page.wait_for_selector("#restore:enabled")
    page.fill("#brush-colour", "#00c83c")
    page.fill("#brush-softness", "0")
    page.fill("#brush-opacity", "100")
    page.fill("#brush-size", "30")


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A stroke between two points given as shares of the canvas."""
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    place = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*place[0])
    page.mouse.down()
    page.mouse.move(*place[1], steps=6)
    page.mouse.up()


def canvas_colour(page: Page, x: float, y: float) -> tuple[int, ...]:
    """The painted picture's colour at a point given in shares."""
    script = """([x, y]) => {
      const canvas = document.getElementById("canvas");
      const at = [Math.round(x * canvas.width), Math.round(y * canvas.height)];
      return [...canvas.getContext("2d").getImageData(...at, 1, 1).data.slice(0, 3)];
    }"""
    return tuple(page.evaluate(script, [x, y]))


def edit_png(page: Page) -> Image:
    """The edited picture as the server holds it."""
    answer = ask(page, "/edit.png")
    read = cv2.imdecode(np.frombuffer(answer.body(), np.uint8), cv2.IMREAD_COLOR)
    image: Image = np.asarray(read, np.uint8)[..., ::-1]
    return image


def test_stroke_undo_redo_apply(desk: Desk) -> None:
    page = desk.open()
    open_easel(page)
    page.uncheck("#apply-live")
    before = canvas_colour(page, 0.5, 0.5)
    drag(page, (0.4, 0.5), (0.6, 0.5))
    assert canvas_colour(page, 0.5, 0.5) == GREEN
    page.click("#undo")
    assert canvas_colour(page, 0.5, 0.5) == before
    assert page.is_disabled("#undo")
    page.keyboard.press("Tab")  # from a button that is disabled now, on to the next
    page.click("#redo")
    assert canvas_colour(page, 0.5, 0.5) == GREEN

    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.evaluate("setTimeout(() => location.reload())")
    page.wait_for_event("dialog")
    assert asked == ["beforeunload"], "strokes not applied yet would be lost"
    page.remove_listener("dialog", stay)
    page.click("#apply")
    page.wait_for_selector("#edit-common:not([hidden])")
    height, width = SHAPE
    applied = edit_png(page)
    assert applied.shape == (*SHAPE, 3)
    assert tuple(applied[height // 2, width // 2]) == GREEN
    assert tuple(applied[height // 4, width // 2]) == canvas_colour(page, 0.5, 0.25)
    assert page.is_disabled("#apply"), "what is applied need not be applied again"
    shoot(page, "paint")


def test_each_stroke_is_worn_at_once_and_the_eraser_restores(desk: Desk) -> None:
    page = desk.open()
    open_easel(page)
    original = canvas_colour(page, 0.5, 0.5)
    with page.expect_response(lambda answer: "/layers?" in answer.url and answer.ok):
        drag(page, (0.4, 0.5), (0.6, 0.5))
    page.click("label:has(input[name=tool][value=erase])")
    with page.expect_response(is_paint):
        drag(page, (0.5, 0.4), (0.5, 0.6))
    assert canvas_colour(page, 0.5, 0.5) == original
    assert canvas_colour(page, 0.42, 0.5) == GREEN
    until(page, "document.getElementById('apply').textContent === 'Apply'")
    assert tuple(edit_png(page)[SHAPE[0] // 2, int(0.42 * SHAPE[1])]) == GREEN

    page.click("label:has(input[name=tool][value=paint])")
    drag(page, (0.4, 0.2), (0.6, 0.2))
    with page.expect_response(is_paint):
        page.reload()  # before the stroke is sent
    assert tuple(edit_png(page)[SHAPE[0] // 5, SHAPE[1] // 2]) == GREEN


def test_colour_is_picked_from_the_picture(desk: Desk) -> None:
    page = desk.open()
    open_easel(page)
    page.uncheck("#apply-live")
    drag(page, (0.4, 0.5), (0.6, 0.5))
    page.fill("#brush-colour", "#123456")
    page.click("#pick")
    drag(page, (0.5, 0.5), (0.5, 0.2))
    assert page.input_value("#brush-colour") == "#00c83c"
    assert page.get_attribute("#pick", "aria-pressed") == "false"
    page.click("#undo")
    assert page.is_disabled("#undo"), "picking must not paint"


def test_painting_goes_on_from_a_preset_and_a_new_reference_starts_afresh(desk: Desk) -> None:
    page = desk.open()
    start_camera(page)
    take_reference(page)
    page.click("[data-preset=warm]")
    page.wait_for_selector("#edit-common:not([hidden])")
    page.click("#tab-paint")
    page.wait_for_selector("#restore:enabled")
    assert canvas_colour(page, 0.5, 0.1) == tuple(edit_png(page)[int(0.1 * SHAPE[0]), SHAPE[1] // 2])
    with page.expect_response(lambda answer: "/layers?" in answer.url and answer.ok):
        drag(page, (0.1, 0.1), (0.2, 0.1))
    set_brush(page)
    drag(page, (0.1, 0.9), (0.2, 0.9))
    page.click("#close-paint")
    page.click("[data-preset=lipstick]")  # before the stroke is sent
    page.wait_for_selector("[data-preset=lipstick][aria-pressed=true]")
    page.wait_for_timeout(500)
    assert state_of(page)["edit"]["preset"] == "lipstick", "the last action wins"
    page.keyboard.press("Control+z")
    page.wait_for_selector("[data-preset=lipstick][aria-pressed=false]")
    assert tuple(edit_png(page)[int(0.9 * SHAPE[0]), int(0.15 * SHAPE[1])]) == GREEN, "the stroke is a step"
    page.click("#tab-paint")
    page.wait_for_selector("#restore:enabled")
    first = state_of(page)["reference"]["version"]
    page.click("#take")
    until(page, "document.getElementById('undo').disabled")
    state = state_of(page)
    assert state["reference"]["version"] > first
    assert state["edit"]["preset"] is None
    assert "earlier reference" in page.inner_text("#edit-note")


def test_zoom_keeps_the_brush_under_the_pointer(desk: Desk) -> None:
    page = desk.open()
    open_easel(page)
    page.uncheck("#apply-live")
    for _ in range(3):
        page.click("#zoom-in")
    box = page.locator("#easel").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.click(x, y)
    assert canvas_colour(page, 0.5, 0.5) == GREEN
    page.mouse.move(x, y)
    page.mouse.wheel(0, 400)
    page.click("#zoom-fit")
    fitted = page.locator("#canvas").bounding_box()
    assert fitted is not None
    assert max(fitted["width"] / box["width"], fitted["height"] / box["height"]) == 1


ARITHMETIC = """async () => {
  const brush = await import("/static/brush.js");
  const { History } = await import("/static/history.js");
  const width = 40, height = 30;
  const picture = (value) => new Uint8ClampedArray(width * height * 4).fill(value);
  const cover = new Uint8Array(width * height);
  const a = { x: 10, y: 10, radius: 4 }, b = { x: 30, y: 10, radius: 4 };
  const slow = new Uint8Array(width * height);
  brush.addCapsule(cover, width, height, a, b, 0.5);
  for (let x = 10; x < 30; x += 1) {
    brush.addCapsule(slow, width, height, { ...a, x }, { ...a, x: x + 1 }, 0.5);
  }
  const [sheet, bare, below, reference, shown] = [0, 0, 100, 7, 0].map(picture);
  const box = { x0: 0, y0: 0, x1: width, y1: height };
  const ink = { tool: "paint", colour: [200, 0, 50], opacity: 0.5 };
  const middle = (10 * width + 20) * 4;
  const lay = (before, under, how) => {
    brush.layStroke(sheet, before, under, reference, cover, width, box, { ...ink, ...how });
    brush.laySheet(shown, under, sheet, width, box);
    return [...shown.slice(middle, middle + 3)];
  };
  const painted = lay(bare, below, {});
  const alpha = sheet[middle + 3];
  const [erased] = lay(sheet.slice(), below, { tool: "erase", opacity: 1 });
  lay(bare, reference, { opacity: 1 });
  lay(sheet.slice(), reference, { tool: "erase", opacity: 1 });
  const gone = sheet[middle + 3];
  const [r, g, bl] = lay(bare, below, { tool: "tint", opacity: 1 });
  const history = new History(100);
  for (let i = 0; i < 5; i += 1) history.add({ before: new Uint8Array(20), after: new Uint8Array(20) });
  let steps = 0;
  while (history.undo()) steps += 1;
  return {
    falloff: [0, 5, 10, 20].map((d) => brush.falloff(d, 10, 0.5)),
    same: cover.every((value, at) => value === slow[at]),
    far: cover[25 * width + 20],
    outside: brush.addCapsule(cover, width, height, { ...a, x: -90 }, { ...a, x: -80 }, 0),
    painted, alpha, erased, gone, luma: 0.299 * r + 0.587 * g + 0.114 * bl, steps,
    untouched: shown[(25 * width + 20) * 4],
    colours: brush.toHex(brush.toRgb("#0a80ff")),
  };
}"""


def test_brush_arithmetic(desk: Desk) -> None:
    found = desk.open(camera=False).evaluate(ARITHMETIC)
    assert found["falloff"] == [1, 1, 0, 0]
    assert found["same"], "coverage must not depend on how fast the hand was"
    assert (found["far"], found["untouched"], found["outside"]) == (0, 100, None)
    assert found["painted"] == [150, 50, 75]  # half of the way to the colour
    assert found["alpha"] in (127, 128)
    assert found["erased"] == 7, "the reference, over what lies below"
    assert found["gone"] == 0, "where nothing lies below, the paint goes"
    assert abs(found["luma"] - 100) < 1.5, "tint keeps the light"
    assert found["steps"] == 2, "history is bounded by memory: two steps of 40 bytes within 100"
    assert found["colours"] == "#0a80ff"
