"""Pages on the server and what a user does on them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import APIResponse, Browser, BrowserContext, ConsoleMessage, Page, Response

ACTION_LIMIT_MS = 60_000  # a busy machine is slow
POLL_MS = 50
OpenBrowser = Callable[[str], Browser]
SHOTS = Path(os.environ["LIVERY_SHOTS"]) if "LIVERY_SHOTS" in os.environ else None  # where to keep pictures


class Desk:
    """Opens pages on the server and keeps what their consoles say."""

    def __init__(self, server: str, browsers: OpenBrowser) -> None:
        self.server = server
        self.errors: list[str] = []
        self._browsers = browsers
        self._contexts: list[BrowserContext] = []

    def open(
        self, path: str = "/", *, source: str = "astronaut", camera: bool = True, **options: Any
    ) -> Page:
        """A page in a context of its own, 1280 × 800 unless `viewport` says otherwise."""
        options.setdefault("viewport", {"width": 1280, "height": 800})
        context = self._browsers(source).new_context(**options)
        self._contexts.append(context)
        context.set_default_timeout(ACTION_LIMIT_MS)
        if camera:
            context.grant_permissions(["camera"], origin=self.server)
        page = context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(self.server + path)
        return page

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def close(self) -> None:
        """Leaves the pages and ends the sessions they opened, so that none outlives its test."""
        pages = [page for context in self._contexts for page in context.pages]
        sessions = [session for page in pages if (session := session_of(page))]
        for page in pages:
            page.goto("about:blank")
        for session in sessions:
            self._contexts[0].request.delete(self.address(session), headers=bearer(session))
        for context in self._contexts:
            context.close()

    def address(self, session: dict[str, str], path: str = "") -> str:
        """Where the interface has a session."""
        return f"{self.server}/api/sessions/{session['id']}{path}"


def bearer(session: dict[str, str]) -> dict[str, str]:
    """The header that shows the owner's token."""
    return {"Authorization": f"Bearer {session['token']}"}


def is_paint(answer: Response) -> bool:
    """Whether a response tells that strokes or a picture were taken."""
    return "/layers" in answer.url and answer.request.method in ("POST", "PUT") and answer.ok


def until(page: Page, expression: str, limit_s: float = ACTION_LIMIT_MS / 1000) -> None:
    """Waits until a JavaScript expression holds; Playwright's own way needs eval, which the page forbids."""
    in_time(page, lambda: page.evaluate(expression), expression, limit_s)


def in_time(
    page: Page, holds: Callable[[], object], what: str, limit_s: float = ACTION_LIMIT_MS / 1000
) -> None:
    """Waits until a condition of the test holds. `what` says it in the error."""
    end_s = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end_s, f"not within {limit_s:g} s: {what}"
        page.wait_for_timeout(POLL_MS)


def start_camera(page: Page) -> None:
    """From the empty page to a live picture in both views."""
    page.click("#empty [data-action=start-camera]")
    page.wait_for_selector("#take:enabled")
    until(page, "document.getElementById('edited').videoWidth > 0")


def take_reference(page: Page) -> None:
    """The live frame becomes the reference; presets are offered then."""
    page.click("#take")
    page.wait_for_selector("[data-preset=lipstick]:enabled")


def session_of(page: Page) -> dict[str, str]:
    """Id and token the page keeps; empty before its first action."""
    kept: dict[str, str] = page.evaluate("JSON.parse(localStorage.getItem('livery.session') ?? '{}')")
    return kept


def ask(page: Page, path: str = "") -> APIResponse:
    """A GET of the session's interface with its token."""
    session = session_of(page)
    origin = "/".join(page.url.split("/")[:3])
    answer = page.request.get(f"{origin}/api/sessions/{session['id']}{path}", headers=bearer(session))
    assert answer.ok, f"{path}: {answer.status}"
    return answer


def state_of(page: Page) -> dict[str, Any]:
    """The session's state as the server tells its owner."""
    state: dict[str, Any] = ask(page).json()
    return state


def notice(page: Page, words: str) -> None:
    """Waits until the page says so in its live region."""
    page.wait_for_selector(f"#status .notice:has-text('{words}')")


def shoot(page: Page, name: str) -> None:
    """Keeps a screenshot where $LIVERY_SHOTS names a folder."""
    if SHOTS is not None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SHOTS / f"{name}.png")
