"""axe-core finds nothing to complain of, in every state of the page, in light and dark and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import FilePayload, Page

from reference.looks.reading import encode_png
from tests.conftest import ROOT
from tests.page.conftest import running
from tests.page.desk import Desk, OpenBrowser, shoot, start_camera, state_of, take_reference

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

AXE = ROOT / "tests" / "clients" / "node_modules" / "axe-core" / "axe.min.js"
RUN = """async () => {
  const rules = { "label-content-name-mismatch": { enabled: true }, "target-size": { enabled: true } };
  const { violations } = await axe.run(document, { resultTypes: ["violations"], rules });
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 160)}`));
}"""
DIALOGS = ("look", "deck", "recordings", "obs", "ending", "phone", "import", "doubt", "server-token")
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
TURNED = {**PHONE, "viewport": {"width": 844, "height": 390}}
PAD = np.full((32, 32, 4), 200, np.uint8)


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = str(tmp_path_factory.mktemp("films"))
    with running("--matcher", "classical", "--record", folder, "--record-asked", "--faces", "3") as address:
        yield address


class Axe:
    """Notes what axe-core finds on a page."""

    def __init__(self, script: Path, name: str) -> None:
        self.name = name
        self._script = script.read_text(encoding="utf-8")
        self.found: dict[str, str] = {}  # by complaint: the first state that shows it

    def look(self, page: Page, state: str) -> None:
        """Look at a page in a state of this name."""
        page.wait_for_timeout(250)  # transitions end
        if not page.evaluate("'axe' in window"):
            page.evaluate(self._script)
        for complaint in page.evaluate(RUN):
            self.found.setdefault(complaint, state)
        shoot(page, f"axe-{self.name}-{state}")


def walk(page: Page, axe: Axe) -> None:
    """Lead a page through its states."""
    axe.look(page, "empty")
    start_camera(page)
    take_reference(page)
    axe.look(page, "reference")
    for preset in ("lipstick", "warm", "backdrop"):
        page.click(f"[data-preset={preset}]")
        page.wait_for_selector(f"[data-preset={preset}][aria-pressed=true]")
    page.evaluate("for (const id of ['log', 'stages']) document.getElementById(id).open = true")
    page.evaluate("Object.assign(document.getElementById('slow'), { hidden: false, textContent: 'Slow.' })")
    axe.look(page, "layers")
    page.click("#record-start")
    axe.look(page, "recording")
    page.click("#record-start")
    for tab in ("paint", "picture", "words"):
        page.evaluate(f"Object.assign(document.getElementById('tab-{tab}'), {{ hidden: false }}).click()")
        page.wait_for_timeout(800 if tab == "paint" else 0)
        axe.look(page, tab)
    sticker = FilePayload(name="x.png", mimeType="image/png", buffer=encode_png(PAD))
    page.set_input_files("#sticker-file", sticker)
    page.wait_for_selector("#placing-pad .mark")
    axe.look(page, "sticker")
    page.set_input_files("#edit-file", FilePayload(name="x.psd", mimeType="", buffer=b"x"))
    axe.look(page, "notice")
    for name in DIALOGS:
        page.evaluate(f"document.getElementById('{name}').showModal()")
        axe.look(page, name)
        page.evaluate(f"document.getElementById('{name}').close()")
    page.click("#fullscreen")
    axe.look(page, "full screen")


@pytest.mark.parametrize(
    ("scheme", "more"), [(scheme, more) for more in ({}, PHONE, TURNED) for scheme in ("light", "dark")]
)
def test_axe_finds_nothing(recorder: str, browsers: OpenBrowser, scheme: str, more: dict[str, Any]) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is missing: tests/install_clients installs it")
    desk, axe = Desk(recorder, browsers), Axe(AXE, f"{scheme}-{more.get('viewport', {}).get('width', '')}")
    page = desk.open(color_scheme=scheme, bypass_csp=True, **more)
    walk(page, axe)
    viewer = desk.open(state_of(page)["viewer"], color_scheme=scheme, bypass_csp=True, camera=False)
    axe.look(viewer, "viewer")
    desk.close()
    assert axe.found == {}
