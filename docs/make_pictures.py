"""Takes the screenshots beside it from a running server, with the demo's face: page.png and obs.png.

Run `python docs/make_pictures.py` after the page has changed. It needs Playwright and a Chromium.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image as Pillow
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
SIZE = {"width": 1280, "height": 880}
WORN = ("lipstick", "eyeliner", "warpaint")
FLAGS = ("--no-sandbox", "--disable-gpu")
HIDE = """(field) => {
  field.value = field.value.replace(/token=.*/, "token=…").replace(/localhost:[0-9]+/, "localhost:8000");
}"""
TOP = "scrollTo(0, document.getElementById('edit').offsetTop - 70)"  # the presets beside the pictures
CALM = "document.getElementById('slow').remove()"  # how busy this computer is says nothing about the page
SETTLE_MS = 4000  # figures and bit rate come to rest


def take(page: Page, folder: Path) -> None:
    """Put a look on, and take both pictures."""
    page.click("#empty [data-action=start-demo]")
    page.click("#take:enabled")
    for name in WORN:
        page.click(f"[data-preset={name}]:enabled")
        page.wait_for_selector(f"[data-preset={name}][aria-pressed=true]")
    page.click("#new-look")
    page.wait_for_selector("#chips button:nth-child(2)[aria-pressed=true]")
    page.click("[data-preset=clown]:enabled")
    page.wait_for_selector("[data-preset=clown][aria-pressed=true]")
    page.click("#chips button:first-child")
    page.wait_for_selector("[data-preset=lipstick][aria-pressed=true]")
    for notice in page.query_selector_all("#status .notice button"):
        notice.click()
    page.evaluate(CALM)
    page.mouse.move(640, 300)
    page.evaluate(TOP)
    page.wait_for_timeout(SETTLE_MS)
    save(page.screenshot(), folder / "page.png")
    page.click("#open-obs")
    for field in ("obs-browser", "obs-viewer", "obs-whip"):  # no token of a session in the docs
        page.eval_on_selector(f"#{field}", HIDE)
    page.wait_for_timeout(300)
    save(page.locator("#obs").screenshot(), folder / "obs.png")


def save(png: bytes, path: Path) -> None:
    """Write a screenshot with a palette, which is a third of the size."""
    Pillow.open(io.BytesIO(png)).convert("RGB").quantize(256).save(path, optimize=True)


def main() -> int:
    """Start a server and a browser, and write the pictures."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        print("no Chromium was found; tests/install_chromium installs one", file=sys.stderr)
        return 1
    command = [sys.executable, str(ROOT / "server.py"), "--port", "0", "--no-store", "--log-level", "error"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = next(found.group() for line in server.stdout if (found := re.search(r"http://\S+", line)))
        try:
            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
                page = browser.new_page(viewport=SIZE, device_scale_factor=1, color_scheme="light")
                page.goto(address)
                take(page, ROOT / "docs")
                browser.close()
        finally:
            server.terminate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
