"""How many people wear a session's look: the server's bound, and the setting of the page."""

from __future__ import annotations

import asyncio
import time

import cv2
import numpy as np
import pytest

from correspondence import Image
from reference import Result
from stream.live.pipeline import LiveFrame
from stream.session.session import Session
from tests.stream.looks.test_looks import PNG, png
from tests.stream.rig import serving


@pytest.fixture(scope="module")
def pair(astronaut: Image) -> Image:
    """The demo's face twice, the right one mirrored and in other light."""
    left = cv2.resize(astronaut[10:270, 100:360], (360, 360), interpolation=cv2.INTER_CUBIC)
    right = (left[:, ::-1] * np.array([0.75, 0.85, 0.95])).astype(np.uint8)
    return np.ascontiguousarray(np.hstack([left, right]))


async def worn_by(session: Session, picture: Image, count: int) -> list[bool]:
    """Feeds the picture until `count` people wear the look; whether the left and the right half changed."""
    pipeline = await session.live.stages.ready()
    results: list[Result] = []
    step = pipeline._propagator.step

    def watched(frame: Image, now_s: float) -> Result:
        result = step(frame, now_s)
        results.append(result)
        return result

    pipeline._propagator.step = watched  # type: ignore[method-assign]
    try:
        async with asyncio.timeout(60):
            while not results or (results[-1].match is not None) + len(results[-1].others) != count:
                session.live.submit(LiveFrame(picture.copy(), time.monotonic()))
                await asyncio.sleep(0.05)
    finally:
        pipeline._propagator.step = step  # type: ignore[method-assign]
    changed = (results[-1].image != picture).any(axis=2)
    return [bool(changed[:, :360].any()), bool(changed[:, 360:].any())]


async def test_the_page_chooses_how_many_wear_it_up_to_the_servers_bound(pair: Image) -> None:
    async with serving(faces=2) as server:
        client = await server.open()
        state = await client.ok("POST", "/reference", data=png(pair), headers=PNG)
        assert (state["max_faces"], state["settings"]["faces"]) == (2, 2)
        await client.ok("POST", "/preset", json={"name": "lipstick", "colour": "#d00a1c", "strength": 1})
        session = server.session(client)
        assert await worn_by(session, pair, 2) == [True, True]
        state = await client.ok("PATCH", "/settings", json={"faces": 1})
        assert state["settings"]["faces"] == 1
        assert sum(await worn_by(session, pair, 1)) == 1
        await client.ok("PATCH", "/settings", json={"faces": 2})
        assert await worn_by(session, pair, 2) == [True, True]
        status, answer = await client.call("PATCH", "/settings", json={"faces": 3})
        assert status == 400
        assert "at most 2 on this server" in answer["error"]


async def test_one_wears_it_by_default(pair: Image) -> None:
    async with serving() as server:
        client = await server.open()
        state = await client.ok("POST", "/reference", data=png(pair), headers=PNG)
        assert (state["max_faces"], state["settings"]["faces"]) == (1, 1)
