"""The server is killed and started again: pages, looks and a viewer's address come back by themselves."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page

from benchmarks.streams.nodes import cluster_front, ray_nodes
from tests.page.conftest import launched
from tests.page.desk import (
    Desk,
    OpenBrowser,
    session_of,
    shoot,
    start_camera,
    state_of,
    take_reference,
    until,
)

BACK_S = 3.0  # from the first answer of /healthz
SIGN = "document.getElementById('recording-sign')"
DOWN = "document.getElementById('server-state').textContent === 'Server unreachable'"
MARK = "performance.mark('killed'); window.notReloaded = true"

# The page hears of a deletion two seconds late; it must not ask for what is gone meanwhile.
LATE = """() => {
  const ask = window.fetch;
  window.fetch = async (...request) => {
    const answer = await ask(...request);
    if (request[1]?.method === "DELETE") await new Promise((resolve) => setTimeout(resolve, 2000));
    return answer;
  };
}"""


def wear_lipstick(page: Page) -> None:
    start_camera(page)
    take_reference(page)
    page.click("[data-preset=lipstick]")
    page.wait_for_selector("#edit-common:not([hidden])")


def answering(server: str) -> float:
    """Wait until a server answers; returns when."""
    end_s = time.monotonic() + 60
    while time.monotonic() < end_s:
        try:
            urllib.request.urlopen(f"{server}/healthz", timeout=1).close()
            return time.monotonic()
        except OSError:
            time.sleep(0.05)
    pytest.fail("no answer within 60 s")


def frames(page: Page) -> int:
    played: int = page.evaluate(
        "document.querySelector('video#video').getVideoPlaybackQuality().totalVideoFrames"
    )
    return played


def plays_what_was_recorded(page: Page) -> None:
    assert page.evaluate(f"{SIGN}.hidden"), "it ended with the server"
    page.click("#open-recordings")
    page.click("#recording-list button:has-text('Play') >> nth=0")
    until(page, "document.getElementById('recording-player').duration > 1.5")
    page.click("#recordings [data-close]")


def test_pages_looks_viewers_and_a_recording_survive_a_kill(browsers: OpenBrowser, tmp_path: Path) -> None:
    options = (
        "--matcher", "classical", "--data", str(tmp_path / "data"), "--record", str(tmp_path / "films"),
        "--record-asked",
    )  # fmt: skip
    with launched(*options) as (server, process):
        desk = Desk(server, browsers)
        pages = [desk.open(), desk.open()]
        for page in pages:
            wear_lipstick(page)
            page.evaluate(MARK)
        pages[1].click("#record-start")
        before = [state_of(page) for page in pages]
        viewer = desk.open(before[0]["viewer"] + "&controls=0", camera=False)
        until(viewer, "document.getElementById('video').videoWidth > 0")
        until(pages[1], f"/[0-9]:(?!0[0-2])[0-9]{{2}}/.test({SIGN}.textContent)")
        process.kill()
        process.wait()
        for page in pages:
            until(page, DOWN)
        port = server.rsplit(":", 1)[1]
        with launched(*options, "--port", port):
            began_s = answering(server)
            for page in pages:
                until(page, "document.getElementById('server-state').textContent !== 'Server unreachable'")
                until(page, "document.querySelectorAll('#chips [data-edited=true]').length === 1")
            assert time.monotonic() - began_s < BACK_S
            for page, old in zip(pages, before, strict=True):
                until(page, "document.getElementById('server-state').textContent === 'Live'")
                until(page, "parseFloat(document.querySelector('[data-figure=fps]').textContent) > 1")
                assert page.evaluate("window.notReloaded")
                new = state_of(page)
                assert new["publishing"]
                assert new["looks"] == old["looks"]
                assert new["edit"] == old["edit"]
                assert (new["viewer"], new["whip"], new["token"]) == (
                    old["viewer"],
                    old["whip"],
                    old["token"],
                )
            seen = frames(viewer)
            end_s = time.monotonic() + 20
            while frames(viewer) < seen + 5:
                assert time.monotonic() < end_s, "the viewer's picture did not come back"
                viewer.wait_for_timeout(100)
            shoot(pages[0], "restarted")
            plays_what_was_recorded(pages[1])
            desk.close()
        assert all("Failed to load resource" in e or "WebSocket" in e for e in desk.errors), desk.errors


@pytest.mark.slow
def test_a_page_goes_on_when_its_machine_of_a_cluster_dies(browsers: OpenBrowser, tmp_path: Path) -> None:
    """The camera is published again and the look is there within 10 s; nobody touches the page."""
    pytest.importorskip("ray")
    options = ("--matcher", "classical", "--max-load", "0")
    with ray_nodes(2) as nodes, cluster_front(nodes.address, tmp_path, *options) as (server, _):
        desk = Desk(server, browsers)
        page = desk.open()
        wear_lipstick(page)
        page.evaluate(MARK)
        before = state_of(page)
        page.wait_for_timeout(1500)  # the hosts' next reports
        with urllib.request.urlopen(f"{server}/api/cluster", timeout=5) as answer:
            hosts = json.load(answer)["hosts"]
        port = next(int(host["address"].rsplit(":", 1)[1]) for host in hosts if host["sessions"])
        listening = psutil.net_connections("tcp")
        psutil.Process(next(each.pid for each in listening if each.laddr and each.laddr.port == port)).kill()
        began_s = time.monotonic()
        until(page, DOWN)
        until(page, "document.getElementById('server-state').textContent === 'Live'")
        until(page, "parseFloat(document.querySelector('[data-figure=fps]').textContent) > 1")
        until(page, "document.querySelector('[data-figure=coverage]').textContent !== '–'")  # it is worn
        took_s = time.monotonic() - began_s
        after = state_of(page)
        assert page.evaluate("window.notReloaded")
        assert after["publishing"]
        assert (after["looks"], after["edit"], after["whip"]) == (
            before["looks"],
            before["edit"],
            before["whip"],
        )
        shoot(page, "machine-lost")
        desk.close()
        print(f"worn again after {took_s:.1f} s")
        assert took_s < 10
        assert all("Failed to load resource" in e or "WebSocket" in e for e in desk.errors), desk.errors


def test_end_asks_first_and_forget_me_clears_the_browser_too(browsers: OpenBrowser, tmp_path: Path) -> None:
    with launched("--matcher", "classical", "--data", str(tmp_path), "--keep-days", "12") as (server, _):
        desk = Desk(server, browsers)
        page = desk.open()
        until(page, "document.getElementById('kept').textContent.includes('12 days')")
        shoot(page, "start-page")
        start_camera(page)
        take_reference(page)
        session = session_of(page)
        kept = tmp_path / "livery-sessions" / session["id"]
        page.wait_for_selector("#forget-me:visible")
        page.click("#open-obs")
        page.click("#end-session")
        page.wait_for_selector("#ending[open]")
        shoot(page, "ending")
        assert "1 look with all pictures" in page.inner_text("#ending-list")
        page.click("#ending [data-close]")
        assert kept.is_dir(), "asked, but not told to"
        assert state_of(page)["reference"] is not None
        page.evaluate(LATE)
        page.click("#forget-me")
        page.wait_for_selector("#ending[open]")
        page.click("#ending-go")
        page.wait_for_selector("#status .notice:has-text('Nothing about you is kept')")
        assert not kept.exists()
        assert page.evaluate("Object.keys(localStorage).filter((k) => k === 'livery.session').length") == 0
        until(page, "document.getElementById('empty').hidden === false")
        desk.close()
        assert desk.errors == []
