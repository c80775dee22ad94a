"""Hands items from one stage to the next. It keeps the newest item only."""

from __future__ import annotations

import asyncio
import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class SlotClosed(Exception):  # noqa: N818 - an end of stream, like StopIteration, not an error
    """The slot was closed before an item arrived."""


class LatestSlot(Generic[T]):
    """Holds at most one item. `put` replaces an item that was not read; a reader waits for the next item.

    Items come from any thread. Readers are coroutines (`get`) or plain threads (`take`), at most one of each
    kind at a time. A stalled reader therefore costs the memory of one item and finds the newest item when it
    returns.
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
        """Offer an item, on the readers' event loop. After `close` the item is discarded."""
        waiter = self._store(item)
        if waiter is not None:
            _finish(waiter)

    def put_threadsafe(self, item: T) -> None:
        """Offer an item, from any thread. After `close` the item is discarded."""
        waiter = self._store(item)
        if waiter is not None:
            self._wake_threadsafe(waiter)

    async def get(self) -> T:
        """Wait for an item, on the event loop.

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
            TimeoutError: no item arrived within `timeout_s`.
            SlotClosed: the slot is closed and empty.
        """
        with self._condition:
            if not self._condition.wait_for(lambda: self._items or self._closed, timeout_s):
                raise TimeoutError(f"nothing arrived within {timeout_s} s")
            if self._items:
                return self._items.pop()
            raise SlotClosed

    def close(self) -> None:
        """Close the slot, from any thread. A held item can still be read; then readers get `SlotClosed`."""
        with self._condition:
            self._closed = True
            waiter, self._waiter = self._waiter, None
            self._condition.notify_all()
        if waiter is not None:
            self._wake_threadsafe(waiter)

    def _store(self, item: T) -> asyncio.Future[None] | None:
        """Store `item`. Returns the future to wake; each future is returned only once."""
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
