"""A look is saved as a file on one page and opened on another, by choice and by drop."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.page.desk import Desk, ask, is_paint, shoot, start_camera, state_of, take_reference
from tests.page.frames import away_from_face, lips
from tests.page.test_layers import build, row, titles
from tests.page.test_paint import drag, edit_png

DROP = """async ([name, bytes]) => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(bytes)], name));
  dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


def test_a_look_goes_from_page_to_page(desk: Desk, tmp_path: Path) -> None:
    page = desk.open()
    build(page)
    page.click("#manage-look")
    with page.expect_download() as saved:
        page.click("#export-look")
    assert saved.value.suggested_filename == "Look 1.livery"
    path = tmp_path / "Look 1.livery"
    saved.value.save_as(path)
    edited = edit_png(page)
    page.click("#look [data-close]")

    other = desk.open()
    start_camera(other)
    take_reference(other)
    other.click("#manage-look")
    other.set_input_files("#look-file", path)
    other.wait_for_selector("#import[open]")
    shoot(other, "import")
    other.click("#import-own")
    other.wait_for_selector(row("Paint"))
    assert titles(other) == ["Paint", "Eyeliner", "Lipstick"]
    assert np.array_equal(edit_png(other), edited)

    other.keyboard.press("1")
    other.wait_for_selector("#chips .chip:nth-child(1)[aria-pressed=true]")
    other.evaluate(DROP, ["mine.livery", list(path.read_bytes())])
    other.wait_for_selector("#import[open]")
    other.click("#import-other")
    other.wait_for_selector("#status .notice[data-key=look][data-level=warn]")
    assert "Paint was left out" in other.inner_text("#status .notice[data-key=look]")
    assert titles(other) == ["Eyeliner", "Lipstick"]
    assert len(state_of(other)["looks"]) == 3


@pytest.mark.portraits
@pytest.mark.slow
def test_another_person_wears_what_lies_on_the_face(desk: Desk, tmp_path: Path) -> None:
    page = desk.open()
    build(page)
    page.click("#tab-paint")
    with page.expect_response(is_paint):
        drag(page, (0.45, 0.33), (0.55, 0.33))  # a star on the face, below the one beside it
    page.click("#close-paint")
    page.click("#manage-look")
    with page.expect_download() as saved:
        page.click("#export-look")
    path = tmp_path / "look.livery"
    saved.value.save_as(path)

    other = desk.open(source="portrait")
    start_camera(other)
    take_reference(other)
    data = np.frombuffer(ask(other, "/reference.png").body(), np.uint8)
    before = np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])
    other.click("#manage-look")
    other.set_input_files("#look-file", path)
    other.click("#import-other")
    other.wait_for_selector("#edit-common:not([hidden])")
    assert titles(other) == ["Picture", "Eyeliner", "Lipstick"]
    after, mask = edit_png(other).astype(int), lips(before)
    reddened = (after - before)[mask].mean(axis=0)
    assert reddened[0] - reddened[1] > 10, "her lips are red"
    away = away_from_face(before)
    assert np.abs(after - before)[away].mean() < 1, "nothing beside the face"
    shoot(other, "carried")
