"""The sender of a page's socket."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stream.events import EventHub, _send


class Socket:
    """Takes messages as a page's socket does."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def send_json(self, message: Any) -> None:
        self.sent.append(message)

    async def close(self, **more: Any) -> None:
        pass


@pytest.mark.parametrize("ticks", range(5))
async def test_the_sender_ends_also_as_a_message_comes(ticks: int) -> None:
    """asyncio.wait_for of Python 3.11 returns the message then, and forgets that its task was cancelled."""
    hub, socket = EventHub(), Socket()
    with hub.listen() as queue:
        sender = asyncio.create_task(_send(socket, queue, dict, hub))  # type: ignore[arg-type]
        await asyncio.sleep(0.01)
        hub.publish({"type": "state"})
        for _ in range(ticks):
            await asyncio.sleep(0)
        sender.cancel()
        done, _ = await asyncio.wait([sender], timeout=0.2)
        sender.cancel()
        assert done, "it goes on"
