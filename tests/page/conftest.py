"""A running server, Chromium with a fake camera, and pages that must stay free of console errors."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from queue import Empty, Queue
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from correspondence import Image
from tests.conftest import ROOT, portraits_dir
from tests.page.desk import Desk, OpenBrowser
from tests.page.frames import clip_frames, swaying, write_y4m

CLIP = "faceblit_target2.mp4"
START_LIMIT_S = 60
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the machine's Chromium; tests that need it are skipped where there is none, except in CI."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail("no Chromium found: tests/install_chromium installs Debian's")
    pytest.skip("no Chromium found: tests/install_chromium installs Debian's")


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Address of a real server in its own process."""
    with running() as address:
        yield address


@contextlib.contextmanager
def running(*options: str) -> Iterator[str]:
    """Address of a real server with options of its own."""
    with launched(*options) as (address, _):
        yield address


@contextlib.contextmanager
def launched(*options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The same and its process, which may be killed."""
    command = [
        sys.executable,
        str(ROOT / "server.py"),
        "--port",
        "0",
        "--log-level",
        "warning",
        "--max-load",
        "0",
        *options,
    ]
    command += [] if "--data" in options else ["--no-store"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines: Queue[str] = Queue()
    assert process.stdout is not None
    reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
    reader.start()
    try:
        yield _address(lines), process
    finally:
        process.terminate()
        process.wait(timeout=15)
        reader.join(timeout=5)
        process.stdout.close()


def _read(stream: Any, lines: Queue[str]) -> None:
    for line in stream:
        lines.put(line)


def _address(lines: Queue[str]) -> str:
    seen: list[str] = []
    while True:
        try:
            line = lines.get(timeout=START_LIMIT_S)
        except Empty:
            pytest.fail(f"the server said no address within {START_LIMIT_S} s: {''.join(seen)}")
        seen.append(line)
        if found := re.search(r"http://\S+?(?=/)", line):
            return found.group()


@pytest.fixture(scope="module")  # it holds an event loop of this thread: asyncio's tests come after
def playwright() -> Iterator[Playwright]:
    """The driver; downloads no browser."""
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="module")
def browsers(
    playwright: Playwright, chromium: str, astronaut: Image, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenBrowser]:
    """Opens Chromium whose camera shows "astronaut", "counted" (with a counter) or "portrait", one each."""
    folder = tmp_path_factory.mktemp("captures")
    opened: dict[str, Browser] = {}

    def open_browser(source: str) -> Browser:
        if source not in opened:
            path = folder / f"{source}.y4m"
            portrait = source == "portrait"
            frames = clip_frames(portraits_dir() / "val" / CLIP) if portrait else swaying(astronaut)
            write_y4m(path, frames, counted=source == "counted")
            flags = [*FLAGS, f"--use-file-for-fake-video-capture={path}"]
            opened[source] = playwright.chromium.launch(executable_path=chromium, args=flags)
        return opened[source]

    yield open_browser
    for browser in opened.values():
        browser.close()


@pytest.fixture
def desk(server: str, browsers: OpenBrowser) -> Iterator[Desk]:
    """Opens pages; at the end no console may have complained."""
    desk = Desk(server, browsers)
    yield desk
    desk.close()
    assert desk.errors == []
