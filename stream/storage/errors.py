"""Errors of the store."""

from __future__ import annotations


class StorageError(Exception):
    """Something cannot be stored or read.

    The session goes on in memory. The message says why and what to do.
    """


class DamagedError(StorageError):
    """Something that was stored cannot be used, because it is missing or its content has changed."""
