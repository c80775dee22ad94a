"""The hand-over between two stages: the newest item only."""

from __future__ import annotations

import asyncio
import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class SlotClosed(Exception):  # noqa: N818 - an end of stream, like StopIteration, not an error
    """The slot was closed while, or before, somebody waited for an item."""


class LatestSlot(Generic[T]):
    """Holds at most one item: `put` replaces what nobody read, a reader waits for the next.

    Items come from any thread; readers are coroutines (`get`) or plain threads (`take`), one of each kind
    at a time. A stalled reader therefore costs one item of memory and finds the newest when it returns.
    """

    def __init__(self) -> None:
        self.dropped = 0  # items replaced before anybody read them
        self._condition = threading.Condition()
        self._items: list[T] = []  # none or one; a list, since None is an item too
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def put(self, item: T) -> None:
        """Offer an item, on the readers' loop. After `close` it is discarded."""
        waiter = self._store(item)
        if waiter is not None:
            _finish(waiter)

    def put_threadsafe(self, item: T) -> None:
        """Offer an item from any thread. After `close` it is discarded."""
        waiter = self._store(item)
        if waiter is not None:
            self._wake_threadsafe(waiter)

    async def get(self) -> T:
        """Wait for an item, on the loop.

        Raises:
            SlotClosed: the slot is closed and empty.
        """
        while True:
            with self._condition:
                if self._items:
                    return self._items.pop()
                if self._closed:
                    raise SlotClosed
                waiter = self._waiter = asyncio.get_running_loop().create_future()
            await waiter

    def take(self, timeout_s: float | None = None) -> T:
        """Wait for an item, in a thread.

        Raises:
            TimeoutError: none came within `timeout_s`.
            SlotClosed: the slot is closed and empty.
        """
        with self._condition:
            if not self._condition.wait_for(lambda: self._items or self._closed, timeout_s):
                raise TimeoutError(f"nothing arrived within {timeout_s} s")
            if self._items:
                return self._items.pop()
            raise SlotClosed

    def close(self) -> None:
        """Let readers finish: what is held can still be read, then they get `SlotClosed`. From any thread."""
        with self._condition:
            self._closed = True
            waiter, self._waiter = self._waiter, None
            self._condition.notify_all()
        if waiter is not None:
            self._wake_threadsafe(waiter)

    def _store(self, item: T) -> asyncio.Future[None] | None:
        """Keep `item`; returns the future to wake, each only once."""
        with self._condition:
            if self._closed:
                return None
            self.dropped += len(self._items)
            self._items[:] = [item]
            self._condition.notify()
            waiter, self._waiter = self._waiter, None
            return waiter

    def _wake_threadsafe(self, waiter: asyncio.Future[None]) -> None:
        loop = waiter.get_loop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(_finish, waiter)


def _finish(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
