"""The film strip of a session whose keyframes are made beside the path: listed, told of, edited, removed."""

from __future__ import annotations

import dataclasses
import io
import threading
from collections.abc import Awaitable, Callable

import cv2
import numpy as np
import pytest

from correspondence import Image, detect_landmarks
from stream.config import ServerConfig
from stream.live.pipeline import LiveFrame, Pipeline, Stepper
from stream.session.services import load_services
from tests.reference.helpers import paint_square
from tests.reference.views import PAINT, Scene, SlowFill, turning
from tests.stream.rig import Client, Json, serving, until

PNG = {"Content-Type": "image/png"}
RED, BLUE = (220, 10, 10), (10, 10, 220)
SPOT = np.s_[29, 108]  # painted in every view


@pytest.fixture
def scene(astronaut: Image) -> Scene:
    face = detect_landmarks(astronaut)
    assert face is not None
    return Scene(np.ascontiguousarray(astronaut[:256, 96:352]), face)


def png(image: Image) -> io.BytesIO:
    return io.BytesIO(bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]))


class Player:
    """Feeds a pipeline frame by frame and keeps the last picture it made."""

    def __init__(self, pipeline: Pipeline, scene: Scene) -> None:
        self._pipeline, self._scene = pipeline, scene
        self._made = threading.Event()
        self._now_s = 1000.0
        self.image = scene.frame(0)
        pipeline._deliver = self._take

    def _take(self, image: Image, captured_s: float) -> None:
        self.image = image
        self._made.set()

    async def play(self, yaw: int, frames: int) -> Image:
        for _ in range(frames):
            self._now_s += 0.04
            self._made.clear()
            self._pipeline.submit(LiveFrame(self._scene.frame(yaw), self._now_s))
            await until(self._made.is_set)
        return self.image


def pinned(state: Json) -> list[bool]:
    return [keyframe["pinned"] for keyframe in state["keyframes"]]


async def put(client: Client, image: Image, query: str = "") -> Json:
    return await client.ok("PUT", f"/edit{query}", data=png(image), headers=PNG)


async def test_made_keyframes_are_listed_edited_given_back_and_removed(scene: Scene) -> None:
    services = load_services(ServerConfig(matcher="classical", keyframes=True))

    def build() -> Stepper:
        return turning(scene)

    async with serving(dataclasses.replace(services, new_propagator=build)) as server:
        client = await server.open()
        session = server.session(client)
        async with client.events() as socket:
            await client.ok("POST", "/reference", data=png(scene.frame(0)), headers=PNG)
            anchor = paint_square(scene.frame(0), PAINT, RED)
            assert pinned(await put(client, anchor)) == [True]
            player = Player(await session.live.stages.ready(), scene)
            assert tuple((await player.play(0, 10))[SPOT]) == RED
            await player.play(25, 40)
            state = await client.ok("GET")
            assert pinned(state) == [True, False]
            made = state["keyframes"][1]
            assert (made["active"], made["was_made"]) == (True, False)
            assert abs(made["turn_deg"][0]) > 15
            kinds: list[str] = []
            while "switch" not in kinds:
                message = await socket.receive_json(timeout=5)
                kinds += [entry["kind"] for entry in message.get("entries", [])]
            assert "make" in kinds

            state = await client.ok("PUT", "/focus", json={"keyframe": made["id"]})
            assert state["reference"]["version"] == state["focus"] == made["id"]
            was = await client.picture("edit")
            blue = paint_square(scene.frame(25), PAINT, BLUE)
            state = await put(client, blue, f"?keyframe={made['id']}")
            assert pinned(state) == [True, True]
            assert state["keyframes"][1]["was_made"] is True
            assert tuple((await player.play(25, 10))[SPOT]) == BLUE
            assert tuple((await player.play(0, 60))[SPOT]) == RED, "the other view wears its own edit"

            state = await client.ok("POST", "/undo")
            assert pinned(state) == [True, False]
            assert np.array_equal(await client.picture("edit"), was), "what Livery had made is back"
            state = await client.ok("POST", "/redo")
            assert pinned(state) == [True, True]
            state = await client.ok("DELETE", f"/keyframes/{made['id']}")
            assert pinned(state) == [True, False], "its edit by hand goes first"
            state = await client.ok("DELETE", f"/keyframes/{made['id']}")
            assert pinned(state) == [True]
            assert state["focus"] is None
            assert (await client.call("DELETE", f"/keyframes/{made['id']}"))[0] == 404


async def test_a_keyframe_that_is_dropped_while_it_is_painted_on_is_kept(scene: Scene) -> None:
    services = load_services(ServerConfig(matcher="classical", keyframes=True))

    def build() -> Stepper:
        return turning(scene)

    async with serving(dataclasses.replace(services, new_propagator=build)) as server:
        client = await server.open()
        session = server.session(client)
        await client.ok("POST", "/reference", data=png(scene.frame(0)), headers=PNG)
        await put(client, paint_square(scene.frame(0), PAINT, RED))
        player = Player(await session.live.stages.ready(), scene)
        await player.play(0, 10)
        await player.play(25, 40)
        made = (await client.ok("GET"))["keyframes"][1]["id"]
        await client.ok("PUT", "/focus", json={"keyframe": made})
        outfit = session.wardrobe.active.outfit
        assert outfit is not None
        outfit.remove(made)  # as a full bank would
        state = await put(client, paint_square(scene.frame(25), PAINT, BLUE), f"?keyframe={made}")
        assert [(k["id"], k["pinned"]) for k in state["keyframes"]][1:] == [(made, True)]


async def another_reference(client: Client, scene: Scene) -> None:
    await client.ok("POST", "/reference", data=png(scene.frame(-25)), headers=PNG)
    await put(client, paint_square(scene.frame(-25), PAINT, BLUE))


async def no_edit(client: Client, scene: Scene) -> None:
    await client.ok("DELETE", "/edit")


async def no_look(client: Client, scene: Scene) -> None:
    look = (await client.ok("GET"))["active"]
    await client.ok("POST", "/looks", json={})
    await client.ok("DELETE", f"/looks/{look}")


async def no_session(client: Client, scene: Scene) -> None:
    await client.ok("POST", "/looks", json={})  # so that another look than the session's last one is worn
    await client.ok("DELETE")


async def another_look(client: Client, scene: Scene) -> None:
    await client.ok("POST", "/looks", json={})


@pytest.mark.parametrize(
    ("take_off", "wanted"),
    [
        (another_reference, False),
        (no_edit, False),
        (no_look, False),
        (no_session, False),
        (another_look, True),
    ],
)
async def test_keyframes_of_an_edit_that_is_gone_are_made_no_more(
    scene: Scene, take_off: Callable[[Client, Scene], Awaitable[None]], wanted: bool
) -> None:
    """A hole that is being filled is given up with its edit, and kept while the edit may be worn again."""
    services = load_services(ServerConfig(matcher="classical", keyframes=True))
    fill = SlowFill()

    def build() -> Stepper:
        return turning(scene, fill=fill)

    async with serving(dataclasses.replace(services, new_propagator=build)) as server:
        client = await server.open()
        session = server.session(client)
        await client.ok("POST", "/reference", data=png(scene.frame(0)), headers=PNG)
        await put(client, paint_square(scene.frame(0), PAINT, RED))
        player = Player(await session.live.stages.ready(), scene)
        await player.play(0, 10)
        await player.play(25, 40)
        still_wanted = fill.asked[0][3]
        assert still_wanted()
        await take_off(client, scene)
        assert still_wanted() is wanted
