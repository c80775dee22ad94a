"""What the store cannot do."""

from __future__ import annotations


class StorageError(Exception):
    """Something could not be kept or read; the session goes on in memory. Says why and the way out."""


class DamagedError(StorageError):
    """Something that was kept cannot be used: it is missing or its contents changed."""
