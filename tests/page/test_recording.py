"""The recording on the page: its sign in every view, start, pause, stop, play, download, delete."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.page.conftest import launched
from tests.page.desk import Desk, OpenBrowser, shoot, start_camera, state_of, until

SIGN = "document.getElementById('recording-sign')"


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("films")


@pytest.fixture(scope="module")
def recording(films: Path) -> Iterator[str]:
    options = ("--matcher", "classical", "--record", str(films), "--record-asked")
    with launched(*options) as (address, _):
        yield address


def test_everyone_sees_the_sign_and_deleted_means_deleted(
    recording: str, films: Path, browsers: OpenBrowser
) -> None:
    desk = Desk(recording, browsers)
    page = desk.open()
    start_camera(page)
    viewer = desk.open(state_of(page)["viewer"], camera=False)
    assert page.evaluate(f"{SIGN}.hidden")
    page.click("#record-start")
    for each in (page, viewer):
        until(each, f"/^Recording (?!0:00)[0-9]+:[0-9]+ · .* MB$/.test({SIGN}.textContent) && !{SIGN}.hidden")
    for view in ("side", "edited", "split"):
        page.check(f'input[name="view"][value="{view}"]', force=True)
        box = page.locator("#recording-sign").bounding_box()
        assert box is not None
        assert box["width"] > 60, view
    shoot(page, "recording")
    shoot(viewer, "recording-viewer")
    page.click("#record-pause")
    until(viewer, f"{SIGN}.textContent.startsWith('Recording paused')")
    page.click("#record-pause")
    until(page, f"{SIGN}.textContent.startsWith('Recording 0')")
    page.click("#record-start")
    for each in (page, viewer):
        until(each, f"{SIGN}.hidden")
    page.click("#open-recordings")
    page.wait_for_selector("#recording-list li")
    page.click("#recording-list button:has-text('Play') >> nth=0")
    until(page, "document.getElementById('recording-player').currentTime > 0.2")
    with page.expect_download() as loading:
        page.click("#recording-list button:has-text('Download') >> nth=0")
    copy = films.parent / "copy.mp4"
    loading.value.save_as(copy)
    assert copy.stat().st_size > 1000
    shoot(page, "recordings")
    assert len(list(films.iterdir())) == 1
    page.click("#recording-list button:has-text('Delete')")
    assert len(list(films.iterdir())) == 1, "the first press asks"
    page.click("#recording-list button:has-text('Really')")
    page.wait_for_selector("#no-recordings:visible")
    assert list(films.iterdir()) == []
    page.click("#recordings [data-close]")
    desk.close()
    assert desk.errors == []


def test_the_end_names_what_remains(recording: str, films: Path, browsers: OpenBrowser) -> None:
    desk = Desk(recording, browsers)
    page = desk.open()
    start_camera(page)
    page.click("#record-start")
    until(page, f"/[0-9]:(?!00)[0-9]{{2}}/.test({SIGN}.textContent)")
    (name,) = [path.name for path in films.iterdir()]
    page.click("#open-obs")
    page.click("#end-session")
    page.wait_for_selector("#ending[open]")
    assert name in page.inner_text("#ending-recordings")
    page.uncheck("#ending-delete")
    shoot(page, "ending-recordings")
    page.click("#ending-go")
    page.wait_for_selector(f"#status .notice:has-text('What remains: its recordings {name}')")
    shoot(page, "ended-remains")
    assert (films / name / "live.mp4").stat().st_size > 1000
    desk.close()
    assert desk.errors == []
