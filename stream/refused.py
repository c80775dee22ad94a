"""Counts what the server refuses, by cause. The first refusal of each cause is logged."""

from __future__ import annotations

import logging
import threading
from collections import Counter

logger = logging.getLogger(__name__)

CAUSES = 100  # most causes that are counted separately; further ones count as "other"
DETAIL = 200  # most characters of a detail in the log


class Refusals:
    """Counts refusals by cause. It may be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def note(self, cause: str, detail: object = "") -> None:
        """Count a refusal.

        Args:
            cause: a short name from this code, such as "empty_datagram". It never comes from outside.
            detail: logged with the first refusal of its cause. It may hold text from outside, but no secret.
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
        """Return the counts as Prometheus text, version 0.0.4."""
        with self._lock:
            counts = sorted(self._counts.items())
        lines = [f'livery_refused_total{{cause="{cause}"}} {count}' for cause, count in counts]
        return "\n".join(["# TYPE livery_refused_total counter", *lines, ""])


refused = Refusals()  # one for the process, because aiortc's classes, which use it most, are too
