"""Tells a session's pages what happens: journal entries and warnings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from reference import Decision, Event
from stream.events import EventHub, Message
from stream.session.journal import Journal, changes_strip


class Notices:
    """Writes a session's journal and sends its new entries to the pages.

    Make it on the event loop. Call all methods but `happened` there too.

    Args:
        hub: sends messages to the session's pages.
        strip_changed: called on the event loop when the film strip of keyframes has changed.
    """

    def __init__(self, hub: EventHub, strip_changed: Callable[[], None]) -> None:
        self.journal = Journal()
        self._hub, self._strip_changed = hub, strip_changed
        self._loop = asyncio.get_running_loop()

    def note(self, kind: str, text: str) -> None:
        """Add one sentence to the journal.

        Args:
            kind: kind of the entry, for example "warning".
            text: the sentence.
        """
        self._send(self.journal.tell(kind, text))

    def warn(self, text: str) -> None:
        """Show a warning on the pages and add it to the journal."""
        self._hub.say(text, "warning")
        self.note("warning", text)

    def follow(self, decision: Decision | None) -> None:
        """Add an entry when the reference stops or begins to cover the view (see `Journal.follow`)."""
        self._send(self.journal.follow(decision))

    def happened(self, events: list[Event]) -> None:
        """Add entries for the events of a step. This may be called on any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell, events)

    def _tell(self, events: list[Event]) -> None:
        self._send(self.journal.note(events))
        if changes_strip(events):
            self._strip_changed()

    def _send(self, fresh: list[Message]) -> None:
        if fresh:
            self._hub.publish({"type": "log", "entries": fresh})
