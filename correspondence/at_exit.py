"""Ends threads before the interpreter does.

Python stops a daemon thread where it is when the program ends. If it is inside OpenCV or MediaPipe then, the
process aborts ("terminate called without an active exception"). Objects with such a thread are closed here
first, so that a program need not close them itself.
"""

from __future__ import annotations

import atexit
import weakref
from typing import Protocol


class Closable(Protocol):
    """An object that ends its thread."""

    def close(self) -> None:
        """End the thread and wait for it, for a bounded time."""
        ...


_open: weakref.WeakSet[Closable] = weakref.WeakSet()


def close_at_exit(one: Closable) -> None:
    """Close an object when the program ends, if it is still there. It is not kept alive."""
    _open.add(one)


@atexit.register
def _close_all() -> None:
    for one in list(_open):
        one.close()
