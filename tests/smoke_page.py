"""A browser reaches the page of an installed `livery demo`, and its picture moves.

    python tests/smoke_page.py LIVERY

LIVERY is the command of the environment to be tried. The Python that runs this file has Playwright, and finds
a Chromium. Nothing is imported from the checkout.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
PATIENCE_MS = 120_000
MOVES = """() => {
  const video = document.getElementById("edited");
  if (video.videoWidth === 0) return false;
  const canvas = Object.assign(document.createElement("canvas"), {width: 64, height: 48});
  const pen = canvas.getContext("2d");
  pen.drawImage(video, 0, 0, 64, 48);
  const now = pen.getImageData(0, 0, 64, 48).data;
  const before = window.seen ??= now;
  let changed = 0;
  for (let i = 0; i < now.length; i += 4) changed += Math.abs(now[i] - before[i]) > 16;
  return changed > 20;
}"""


def watch(page: Page, address: str) -> None:
    """Open the page and wait until what it shows has changed."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.wait_for_function(MOVES, timeout=PATIENCE_MS, polling=500)
    assert not errors, errors


def main(command: str) -> None:
    """Start the demo, look at its page, stop it."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit("no Chromium found: tests/install_chromium installs Debian's")
    where = str(Path(command).resolve())
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [where, "demo", "--port", "0", "--no-store"], cwd=folder, stdout=subprocess.PIPE, text=True
        ) as server,
    ):
        try:
            assert server.stdout is not None
            lines = iter(server.stdout.readline, "")
            found = next(filter(None, (re.match(r"Livery's demo is at (\S+)", line) for line in lines)), None)
            if found is None:
                raise SystemExit(f"livery demo ended with {server.wait()} before it said where it is")
            with sync_playwright() as driver:
                opened = driver.chromium.launch(executable_path=browser, args=list(FLAGS))
                watch(opened.new_page(), found[1])
                opened.close()
        finally:
            server.terminate()
    print("a browser reached the demo's page, and its picture moves")


if __name__ == "__main__":
    main(sys.argv[1])
