"""A client that goes away in the middle of an answer is no error of the server."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from correspondence import Image
from stream import events
from stream.http import base
from tests.stream.rig import publishing, serving, until


@pytest.fixture
def transports(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.BaseTransport]:
    """The server's side of each request's connection."""
    seen: list[asyncio.BaseTransport] = []
    token_of: Callable[..., Any] = base.token_of

    def noting(request: Any) -> Any:
        seen.append(request.transport)
        return token_of(request)

    monkeypatch.setattr(base, "token_of", noting)
    return seen


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def test_an_answer_to_a_page_that_has_gone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, transports: list[Any]
) -> None:
    answered = asyncio.Event()

    async def slow(text: str, control: Any) -> dict[str, object]:
        await until(transports[-1].is_closing)
        answered.set()
        return {"type": "event", "level": "warning", "text": "too late"}

    monkeypatch.setattr(events, "_receive", slow)
    async with serving() as server:
        client = await server.open()
        socket = await client.events()
        await socket.receive_json(timeout=5)
        await socket.send_str("hello")
        connection = socket._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.abort()
        await asyncio.wait_for(answered.wait(), 10)
        await until(lambda: server.session(client).events.listeners == 0)
        await socket.close()
    assert errors(caplog) == []


async def test_a_picture_for_a_client_that_has_gone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, transports: list[Any]
) -> None:
    encoding, gone = threading.Event(), threading.Event()

    def slow(image: Image) -> bytes:
        encoding.set()
        gone.wait(10)
        return np.zeros(5_000_000, np.uint8).tobytes()

    monkeypatch.setattr(base, "encode_png", slow)
    async with serving() as server:
        client = await server.open()
        async with publishing(client):
            await until(lambda: server.session(client).stills.newest is not None)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.picture("frame"), 1.0)
            assert encoding.is_set()
            await until(transports[-1].is_closing)
            gone.set()
            await until(lambda: server.session(client).downloads.taken == 0)
    assert errors(caplog) == []
