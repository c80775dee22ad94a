"""How the command line ends, and the error that is the caller's."""

from __future__ import annotations

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class UsageError(Exception):
    """What was asked for makes no sense; the message says why and the way out."""
