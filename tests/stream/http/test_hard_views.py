"""Live pictures without a face, with two faces, with a face that leaves, and of 4K."""

from __future__ import annotations

import asyncio

import cv2
import numpy as np
import psutil
import pytest

from correspondence import Image, detect_landmarks
from stream.media.demo import DemoSource
from tests.stream.rig import (
    BLUE,
    SIZE,
    Client,
    Json,
    is_blue,
    lip_colour,
    publishing,
    server_process,
    serving,
    until,
    watching,
)

LIPSTICK = {"name": "lipstick", "colour": BLUE, "strength": 1}


async def test_no_face_is_said_and_the_picture_passes() -> None:
    wall = np.full((*SIZE, 3), 120, np.uint8)
    wall[100:200, 100:300] = (90, 160, 40)
    async with serving(auto_reference_s=0.5) as server:
        client = await server.open()
        async with publishing(client, lambda _: wall), watching(client) as screen:
            await screen.after(2)
            for body in ({}, {"auto": True}):
                state = await client.ok("POST", "/reference", json=body)
                assert "no face" in state["warning"]
                assert state["reference"]["score"] is None
            status, answer = await client.call("POST", "/preset", json=LIPSTICK)
            assert status == 409
            assert "face" in answer["error"]
            assert np.abs((await screen.after(2)).astype(int) - wall).mean() < 4


async def test_face_that_leaves_and_returns(astronaut: Image) -> None:
    source = DemoSource(SIZE)
    wall = np.full((*SIZE, 3), 120, np.uint8)
    away = asyncio.Event()

    def draw(number: int) -> Image:
        return wall if away.is_set() else source.frame(number)

    async with serving() as server:
        client = await server.open()
        session = server.session(client)
        async with publishing(client, draw), watching(client) as screen:
            await screen.after(3)
            await client.ok("POST", "/reference", json={})
            await client.ok("POST", "/preset", json=LIPSTICK)
            await screen.shows(is_blue)
            away.set()
            await until(lambda: session.status.stats()["reason"] == "no face found")
            await screen.after(8)
            assert np.abs((await screen.after(2)).astype(int) - wall).mean() < 4, (
                "the live picture, untouched"
            )
            away.clear()
            await screen.shows(is_blue)
            assert session.status.stats()["reason"] is None


async def test_of_two_faces_the_larger_one_is_worn_on(astronaut: Image) -> None:
    near = cv2.resize(astronaut[0:300, 80:380], (420, 420), interpolation=cv2.INTER_CUBIC)
    far = cv2.resize(astronaut[0:300, 80:380], (210, 210), interpolation=cv2.INTER_AREA)
    both = np.full((*SIZE, 3), 90, np.uint8)
    both[40:460, 0:420] = near
    both[100:310, 425:635] = far
    async with serving() as server:
        client = await server.open()
        async with publishing(client, lambda _: both), watching(client) as screen:
            await screen.after(3)
            state = await client.ok("POST", "/reference", json={})
            assert state["warning"] is None
            await client.ok("POST", "/preset", json=LIPSTICK)
            await screen.shows(is_blue)
            image = await screen.after(5)
            small = detect_landmarks(np.ascontiguousarray(image[90:320, 422:640]))
            assert small is not None
            red, _, blue = lip_colour(np.ascontiguousarray(image[90:320, 422:640]), small)
            assert red > blue, "the smaller face keeps its own lips"


@pytest.mark.slow
async def test_4k_input_is_edited_too() -> None:
    """In a process of its own, since pictures of this size take gigabytes."""
    still = cv2.resize(DemoSource((720, 1280)).frame(0), (3840, 2160), interpolation=cv2.INTER_LINEAR)
    async with server_process() as (server, process):
        client = await server.open()
        async with publishing(client, lambda _: still, fps=2):
            await told(client, "fps_in")
            await client.ok("POST", "/reference", json={})
            state = await client.ok("POST", "/preset", json=LIPSTICK)
            assert (state["source"]["width"], state["reference"]["width"]) == (3840, 3840)
            assert (await told(client, "coverage"))["failed"] == {}
            assert psutil.Process(process.pid).memory_info().rss < 3 * 2**30


async def told(client: Client, name: str) -> Json:
    """The first figures of the events in which one is there and not 0."""
    async with asyncio.timeout(240), client.events() as socket:
        while True:
            message: Json = await socket.receive_json()
            if message["type"] == "stats" and message[name]:
                return message
