"""Errors that callers of this package may want to catch separately."""

from __future__ import annotations


class WeightsError(RuntimeError):
    """Raised when weights are missing, damaged or of another version; the message says how to fix it."""
