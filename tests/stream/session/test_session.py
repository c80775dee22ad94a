"""A session from camera to viewers: edited pixels, shared encode, reload, demo, replacement."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pytest

from correspondence import Image, detect_landmarks
from stream.config import ServerConfig
from stream.live.pipeline import Stepper
from stream.media.demo import DemoSource
from stream.session.services import load_services
from tests.stream.rig import (
    BLUE,
    FPS,
    SIZE,
    is_blue,
    lip_colour,
    new_peer,
    publishing,
    serving,
    until,
    watching,
)

FloatArray = npt.NDArray[np.float32]
LIPSTICK = {"name": "lipstick", "colour": BLUE, "strength": 1}


BLOCK = 8  # pixels
CORNERS = (slice(0, 200), np.r_[0:120, 520:640])  # beside the head


def blocks(image: Image) -> FloatArray:
    """The corners' means over blocks."""
    corners = image[CORNERS].astype(np.float32)
    height, width, _ = corners.shape
    return corners.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, 3).mean(axis=(1, 3))


def background_errors(images: list[Image], sent: Iterable[Image]) -> list[float]:
    """Mean difference of each image's corners to the nearest picture sent, in blocks of 8 x 8 pixels.

    A block's mean leaves out what the encoder's loss does, which grows on a busy machine.
    """
    corners = [blocks(image) for image in images]
    errors = [[float(np.abs(one - blocks(live)).mean()) for one in corners] for live in sent]
    return np.min(errors, axis=0).tolist()


async def test_viewer_receives_the_edit_on_moving_lips() -> None:
    source, sent = DemoSource(SIZE, FPS), 0

    def draw(number: int) -> Image:
        nonlocal sent
        sent = number + 1
        return source.frame(number)

    async with serving() as server:
        client = await server.open()
        async with publishing(client, draw), watching(client) as screen:
            assert not is_blue(await screen.after(5))
            await client.ok("POST", "/reference", json={})
            await client.ok("POST", "/preset", json=LIPSTICK)
            await screen.shows(is_blue)  # what was on its way before the edit has passed
            places: list[FloatArray] = []
            shown: list[Image] = []
            until_s = time.monotonic() + 45
            while len(shown) < 4 or np.ptp(places, axis=0).max() <= 2:
                assert time.monotonic() < until_s, f"the head did not move: {places}"
                image = await screen.after(8)
                landmarks = detect_landmarks(image)
                assert landmarks is not None
                red, _, blue = lip_colour(image, landmarks)
                assert blue > red + 25, "the lips carry the colour wherever they are"
                places.append(landmarks.points[0, :2])
                shown.append(image)
            await client.ok("PATCH", "/settings", json={"enabled": False})
            await screen.shows(lambda image: not is_blue(image))
            assert not is_blue(await screen.after(5))
            assert "switched off" in str(server.session(client).status.stats()["reason"])
    errors = background_errors(shown, map(source.frame, range(sent)))
    assert max(errors) < 4, f"the background is the live one: {errors}"


async def test_a_reference_taken_right_after_publishing_waits_for_the_first_frame() -> None:
    services = load_services(ServerConfig(matcher="classical"))
    built = threading.Event()

    def build_late() -> Stepper:
        assert built.wait(30)
        return services.new_propagator()

    async with serving(dataclasses.replace(services, new_propagator=build_late)) as server:
        client = await server.open()
        connections = server.session(client).connections
        async with publishing(client):
            await until(lambda: connections.size is not None)  # pictures come, but there is no pipeline
            asking = asyncio.create_task(client.ok("POST", "/reference", json={}))
            try:
                done, _ = await asyncio.wait({asking}, timeout=0.3)
                assert not done, "it waits"
            finally:
                built.set()
            assert (await asking)["reference"] is not None


async def test_the_wait_for_the_first_frame_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.session.stills.FRAME_WAIT_S", 0.2)
    async with serving() as server:
        client = await server.open()
        peer = new_peer()
        peer.addTransceiver("video", direction="sendonly")  # connects, and sends nothing
        try:
            await client.connect("whip", peer)
            assert (await client.call("POST", "/reference", json={}))[0] == 409
        finally:
            await peer.close()


async def test_all_viewers_share_one_encode(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as server:
        client = await server.open()
        broadcast = server.session(client).connections.broadcast
        put, given = broadcast.put, 0

        def count(image: Image, captured_s: float) -> None:
            nonlocal given
            given += 1
            put(image, captured_s)

        monkeypatch.setattr(broadcast, "put", count)
        async with (
            publishing(client),
            watching(client) as first,
            watching(client, client.view_token) as second,
        ):
            await first.after(3)
            await second.after(3)
            state = await client.ok("GET")
            assert state["viewers"] == 2
            before, given = broadcast.stats(), 0
            await asyncio.gather(first.after(20), second.after(20))
            after = broadcast.stats()
            encoded, taken = after.encoded - before.encoded, given - (after.replaced - before.replaced)
            assert encoded <= taken + 3, f"{encoded} encodes of {taken} pictures for two viewers"
        await until(lambda: server.session(client).connections.viewers == 0)


async def test_reload_resumes_with_the_same_token() -> None:
    async with serving() as server:
        client = await server.open()
        async with publishing(client) as (_, location):
            await client.ok("POST", "/reference", json={})
            before = await client.ok("POST", "/preset", json=LIPSTICK)
            headers = {"Authorization": f"Bearer {client.token}"}
            async with server.http.delete(location, headers=headers) as answer:
                assert answer.status == 200
        gone = await client.ok("GET")
        assert gone["publishing"] is False
        assert gone["edit"] == before["edit"]
        async with publishing(client), watching(client) as screen:
            await screen.shows(is_blue)  # the edit is worn again without a word
            assert (await client.ok("GET"))["reference"] == before["reference"]


async def test_a_newer_publisher_replaces_the_older() -> None:
    red = np.full((*SIZE, 3), (200, 30, 30), np.uint8)
    green = np.full((*SIZE, 3), (30, 200, 30), np.uint8)
    async with serving() as server:
        client = await server.open()
        async with publishing(client, lambda _: red), watching(client) as screen:
            assert (await screen.after(3)).reshape(-1, 3).mean(axis=0).argmax() == 0
            async with publishing(client, lambda _: green) as (_, location):
                await screen.shows(lambda image: image.reshape(-1, 3).mean(axis=0).argmax() == 1)
                state = await client.ok("GET")
                assert state["publishing"] is True
                assert location.endswith(f"/{state['publisher']}"), "the older learns of it"
            await until(lambda: not server.session(client).connections.publishing)


async def test_a_bad_offer_leaves_the_publisher_alone() -> None:
    async with serving() as server:
        client = await server.open()
        async with publishing(client), watching(client) as screen:
            await screen.after(3)
            assert (await client.signal("whip", "v=0\r\nnonsense"))[0] == 400
            await screen.after(5)


async def test_demo_needs_no_camera_and_a_camera_replaces_it() -> None:
    async with serving() as server:
        client = await server.open()
        await client.ok("POST", "/demo")
        async with watching(client) as screen:
            assert (await screen.after(10)).shape == (720, 1280, 3)
            async with publishing(client):
                await until(lambda: (server.session(client).status.state()["source"] or {}) != {})
                state = await client.ok("GET")
                assert state["demo"] is False
                await until(lambda: screen.image is not None and screen.image.shape == (*SIZE, 3))
            await client.ok("POST", "/demo")
            await until(lambda: screen.image is not None and screen.image.shape == (720, 1280, 3))


async def test_sound_reaches_viewers_and_survives_a_new_publisher() -> None:
    async with serving() as server:
        client = await server.open()
        viewer = new_peer()
        viewer.addTransceiver("video", direction="recvonly")
        viewer.addTransceiver("audio", direction="recvonly")
        try:
            await client.connect("whep", viewer)
            sound = viewer.getReceivers()[1].track
            stamps = []
            for _ in range(2):
                async with publishing(client, audio=True):
                    for _ in range(15):
                        frame = await sound.recv()
                        assert frame.pts is not None
                        stamps.append(frame.pts)
            assert np.all(np.diff(stamps) > 0), "one continuous time over both publishers"
        finally:
            await viewer.close()


@pytest.mark.parametrize("size", [(64, 64), (241, 319)])
async def test_small_and_odd_sizes_pass(size: tuple[int, int]) -> None:
    picture = DemoSource((480, 640)).frame(0)[100 : 100 + size[0], 100 : 100 + size[1]].copy()
    async with serving() as server:
        client = await server.open()
        even = picture[: size[0] & ~1, : size[1] & ~1]
        async with publishing(client, lambda _: even), watching(client) as screen:
            assert (await screen.after(3)).shape == even.shape
