"""The fleet alone, with hosts that only answer."""

from __future__ import annotations

import asyncio

import pytest

from stream.cluster import fleet
from stream.cluster.fleet import Fleet
from stream.cluster.placement import Report
from stream.metrics import Registry


class Answering:
    """A host that is up and does nothing."""

    name = "0"

    async def report(self) -> Report:
        await asyncio.sleep(0)
        return Report(address="http://192.0.2.1:1", run="one")

    async def adopt(self, folder: str) -> None:
        raise AssertionError(folder)

    async def give(self, session: str) -> str:
        raise AssertionError(session)

    async def in_room(self, room: str) -> str | None:
        return None

    async def close(self) -> None:
        pass

    async def restart(self, *, gently: bool) -> None:
        raise AssertionError(gently)


@pytest.mark.parametrize("ticks", range(8))
async def test_it_ends_at_whatever_moment(ticks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also as a host's answer comes: asyncio.wait_for would forget then that its task was cancelled."""
    monkeypatch.setattr(fleet, "REPORT_S", 0)
    several = Fleet([Answering()], None, Registry())
    await several.start()
    for _ in range(ticks):
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await several.close()
