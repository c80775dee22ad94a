"""The errors of this package that a caller may want to tell apart."""

from __future__ import annotations


class WeightsError(RuntimeError):
    """Weights a matcher needs are missing, damaged or of another version; says the way out."""
