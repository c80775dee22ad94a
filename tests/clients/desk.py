"""A server that also serves the test clients' pages, and browsers that open them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import cv2
import numpy as np
import pytest
from aiohttp import web

from correspondence import Image
from stream.config import ServerConfig
from stream.http.app import create_app
from stream.session.services import load_services
from tests.stream.rig import Server, until

HERE = Path(__file__).resolve().parent
PAGES = HERE / "web"
CHROMIUM = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
FIREFOX = """
user_pref("media.navigator.streams.fake", true);
user_pref("media.navigator.permission.disabled", true);
user_pref("media.peerconnection.ice.obfuscate_host_addresses", false);
user_pref("media.autoplay.default", 0);
user_pref("media.gmp-manager.updateEnabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("app.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
"""


@dataclass(slots=True)
class Told:
    """What the pages reported."""

    messages: list[dict[str, Any]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The messages of one kind."""
        return [message for message in self.messages if message["kind"] == kind]

    def picture(self) -> Image | None:
        """The newest picture a page showed, RGB uint8 (H, W, 3)."""
        pictures = self.of("picture")
        if not pictures:
            return None
        data = base64.b64decode(pictures[-1]["png"].partition(",")[2])
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)

    async def wait(self, condition: Any, limit_s: float = 60.0) -> None:
        """Wait for a condition; a page's error ends it."""
        await until(lambda: bool(self.of("error")) or condition(), limit_s)
        assert not self.of("error"), self.of("error")


@contextlib.asynccontextmanager
async def desk(pages: Path) -> AsyncIterator[tuple[Server, Told]]:
    """A server on loopback that serves `pages` under /clients/ and takes their reports."""
    told = Told()

    async def report(request: web.Request) -> web.Response:
        told.messages.append(json.loads(await request.text()))
        return web.Response(status=204)

    app = create_app(load_services(ServerConfig(matcher="classical")))
    app.router.add_post("/clients/report", report)
    app.router.add_static("/clients/", pages)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
            yield Server(app, http, f"http://localhost:{runner.addresses[0][1]}"), told
    finally:
        await runner.cleanup()


def _command(name: str, path: str, folder: Path, flags: tuple[str, ...]) -> list[str]:
    folder.mkdir()
    if name == "firefox-esr":
        (folder / "user.js").write_text(FIREFOX)
        return [path, "--headless", "--no-remote", "--profile", str(folder)]
    return [path, *CHROMIUM, *flags, f"--user-data-dir={folder}"]


@contextlib.asynccontextmanager
async def browser(
    name: str, folder: Path, url: str, flags: tuple[str, ...] = (), **params: str
) -> AsyncIterator[None]:
    """Chromium or Firefox on a page; the test is skipped where there is none."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"no {name} found: tests/install_clients installs Debian's")
    command = _command(name, path, folder, flags)
    command.append(f"{url}#{urlencode(params)}")
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)}, start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            os.killpg(process.pid, 9)
            await process.wait()


def bundled(folder: Path) -> Path:
    """The pages with their npm packages in them; the test is skipped where those are not installed."""
    esbuild = HERE / "node_modules" / ".bin" / "esbuild"
    if not esbuild.exists():
        pytest.skip("the npm packages are missing: tests/install_clients installs them")
    shutil.copytree(PAGES, folder)
    for name in ("publish", "play", "trickle"):
        command = [
            str(esbuild), str(PAGES / f"{name}.js"), "--bundle", "--format=esm",
            f"--outfile={folder / name}.js", "--allow-overwrite", "--log-level=error",
        ]  # fmt: skip
        subprocess.run(command, check=True, timeout=60, cwd=HERE)
    return folder
