"""Exit codes of the command line, and the error for wrong usage."""

from __future__ import annotations

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class UsageError(Exception):
    """The command line makes no sense. The message says why and what to do."""
