"""The newest item only, from loop and threads."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

import pytest

from stream.live.slot import LatestSlot, SlotClosed


async def test_a_reader_gets_the_newest_and_the_rest_is_counted() -> None:
    slot: LatestSlot[int] = LatestSlot()
    for item in (1, 2, 3):
        slot.put(item)
    assert await slot.get() == 3
    assert slot.dropped == 2


async def test_get_waits_for_the_next_item() -> None:
    slot: LatestSlot[int] = LatestSlot()
    reader = asyncio.create_task(slot.get())
    await asyncio.sleep(0)
    assert not reader.done()
    slot.put(7)
    assert await asyncio.wait_for(reader, 1) == 7
    assert slot.dropped == 0


async def test_none_is_an_item() -> None:
    slot: LatestSlot[int | None] = LatestSlot()
    slot.put(None)
    item = await asyncio.wait_for(slot.get(), 1)
    assert item is None


async def test_a_thread_feeds_the_loop_in_order_and_ends_with_the_last_item() -> None:
    slot: LatestSlot[int] = LatestSlot()

    def feed() -> None:
        for item in range(200):
            slot.put_threadsafe(item)
            if item % 20 == 0:
                time.sleep(0.001)
        slot.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    got: list[int] = []
    with contextlib.suppress(SlotClosed):
        while True:
            got.append(await asyncio.wait_for(slot.get(), 5))
    feeder.join()
    assert got == sorted(set(got))
    assert got[-1] == 199
    assert len(got) + slot.dropped == 200


async def test_a_stalled_loop_holds_one_item_only() -> None:
    slot: LatestSlot[bytes] = LatestSlot()
    reader = asyncio.create_task(slot.get())
    await asyncio.sleep(0)

    def feed() -> None:
        for i in range(100):
            slot.put_threadsafe(bytes([i]))

    feeder = threading.Thread(target=feed)
    feeder.start()
    feeder.join()  # the loop stands still meanwhile
    assert await asyncio.wait_for(reader, 1) == bytes([99])
    assert slot.dropped == 99


def test_a_thread_takes_items_and_times_out() -> None:
    slot: LatestSlot[int] = LatestSlot()
    with pytest.raises(TimeoutError, match=r"0\.01 s"):
        slot.take(timeout_s=0.01)
    threading.Timer(0.02, slot.put_threadsafe, [5]).start()
    assert slot.take(timeout_s=5) == 5


async def test_close_wakes_readers_and_discards_later_items() -> None:
    slot: LatestSlot[int] = LatestSlot()
    reader = asyncio.create_task(slot.get())
    await asyncio.sleep(0)
    slot.close()
    with pytest.raises(SlotClosed):
        await asyncio.wait_for(reader, 1)
    slot.put(1)
    slot.put_threadsafe(2)
    with pytest.raises(SlotClosed):
        slot.take(timeout_s=1)


async def test_what_was_put_before_close_is_still_read() -> None:
    slot: LatestSlot[int] = LatestSlot()
    slot.put(1)
    slot.close()
    assert await slot.get() == 1
    with pytest.raises(SlotClosed):
        await slot.get()


async def test_a_cancelled_reader_leaves_the_slot_usable() -> None:
    slot: LatestSlot[int] = LatestSlot()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(slot.get(), 0.01)
    slot.put(4)
    assert await asyncio.wait_for(slot.get(), 1) == 4
