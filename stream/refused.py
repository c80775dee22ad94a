"""What the server would not do for others, counted by cause; the first of each cause is logged."""

from __future__ import annotations

import logging
import threading
from collections import Counter

logger = logging.getLogger(__name__)

CAUSES = 100  # kept apart; more are a mistake of ours and count as "other"
DETAIL = 200  # characters of a detail that are logged


class Refusals:
    """Counts by cause; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def note(self, cause: str, detail: object = "") -> None:
        """Count one.

        Args:
            cause: a short name of ours, never text from outside: "empty_datagram".
            detail: logged with the first of its cause; it may hold text from outside, no secret.
        """
        with self._lock:
            if cause not in self._counts and len(self._counts) >= CAUSES:
                cause = "other"
            self._counts[cause] += 1
            first = self._counts[cause] == 1
        if first:
            said = f" ({str(detail)[:DETAIL]!r})" if str(detail) else ""
            logger.warning("refused: %s%s; more of it is only counted, see /metrics", cause, said)

    def __getitem__(self, cause: str) -> int:
        with self._lock:
            return self._counts[cause]

    def render(self) -> str:
        """Prometheus' text format, version 0.0.4."""
        with self._lock:
            counts = sorted(self._counts.items())
        lines = [f'livery_refused_total{{cause="{cause}"}} {count}' for cause, count in counts]
        return "\n".join(["# TYPE livery_refused_total counter", *lines, ""])


refused = Refusals()  # one for the process, as are aiortc's classes, where most of it happens
