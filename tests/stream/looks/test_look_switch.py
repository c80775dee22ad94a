"""Looks on the live path: a switch in the next frame, compare while a page holds it, reload."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np

from correspondence import Image, detect_landmarks
from stream.session.session import Session
from tests.stream.rig import BLUE, Client, is_blue, lip_colour, publishing, serving, until, watching

GREEN_LIPS = "#10c020"


def is_green(image: Image) -> bool:
    landmarks = detect_landmarks(image)
    if landmarks is None:
        return False
    red, green, blue = lip_colour(image, landmarks)
    return green > max(red - 40, blue)  # bare lips are redder by 70


async def two_looks(client: Client) -> tuple[int, int]:
    """A blue and a green lipstick on one reference; the second is worn."""
    await client.ok("POST", "/reference", json={})
    blue = await client.ok("POST", "/preset", json={"name": "lipstick", "colour": BLUE, "strength": 1})
    await client.ok("POST", "/looks", json={"name": "green"})
    lips = {"name": "lipstick", "colour": GREEN_LIPS, "strength": 1}
    return blue["active"], (await client.ok("POST", "/preset", json=lips))["active"]


def watch_steps(session: Session) -> list[tuple[Image, float]]:
    """Collects what the session's pipeline makes of each frame, and the thread time of the step."""
    pipeline = session.live.stages.pipeline
    assert pipeline is not None
    step, seen = pipeline._propagator.step, []

    def watched(frame: Image, now_s: float) -> Any:
        begun_s = time.thread_time()
        result = step(frame, now_s)
        seen.append((result.image.copy(), time.thread_time() - begun_s))
        return result

    pipeline._propagator.step = watched  # type: ignore[method-assign]
    return seen


async def test_a_switch_shows_in_the_next_frame_and_costs_less_than_one() -> None:
    async with serving() as server:
        client = await server.open()
        session = server.session(client)
        async with publishing(client), watching(client) as screen:
            blue, green = await two_looks(client)
            await screen.shows(is_green)
            steps = watch_steps(session)
            usual: list[float] = []
            for turn in range(6):
                wanted, shows = ((blue, is_blue), (green, is_green))[turn % 2]
                await screen.after(4)
                usual += [seconds for _, seconds in steps[1:]]
                begun_s = time.thread_time()
                session.wardrobe.wear(wanted)
                assert time.thread_time() - begun_s < 0.01, "the loop waits for nothing"
                steps.clear()
                await until(lambda: len(steps) >= 2)  # the first may have begun before the switch
                assert shows(steps[1][0]), "the frame after the switch wears the other look"
                assert steps[1][1] < np.median(usual) + 0.030, "within a frame's time of the usual step"
            await screen.shows(is_green)


async def test_the_socket_switches_and_compares_until_it_closes() -> None:
    async with serving() as server:
        client = await server.open()
        async with publishing(client), watching(client) as screen:
            blue, green = await two_looks(client)
            async with client.events() as socket:
                await socket.send_json({"type": "wear", "look": blue})
                await screen.shows(is_blue)
                await socket.send_json({"type": "compare", "on": True})
                await screen.shows(lambda image: not is_blue(image))
                assert (await client.ok("GET"))["comparing"] is True
                for message, said in (
                    ({"type": "wear", "look": 77}, "no look 77"),
                    ({"type": "wear"}, "whole number"),
                    ({"type": "compare", "on": 1}, "true or false"),
                    ({"type": "dance"}, "dance"),
                    ({"type": 3}, '"type"'),
                ):
                    await socket.send_json(message)
                    async with asyncio.timeout(5):
                        while (answer := await socket.receive_json())["type"] != "event":
                            pass
                    assert said in answer["text"]
            await screen.shows(is_blue)  # a page that goes lets go
            assert (await client.ok("GET"))["comparing"] is False
            async with client.events(client.view_token) as socket:
                await socket.send_json({"type": "wear", "look": green})
                async with asyncio.timeout(5):
                    while (answer := await socket.receive_json())["type"] != "event":
                        pass
                assert "not control" in answer["text"]
            await client.ok("PATCH", "/settings", json={"enabled": False})
            await screen.shows(lambda image: not is_blue(image))
            state = await client.ok("POST", f"/looks/{green}/wear")
            assert state["settings"]["enabled"] is True, "choosing a look turns it on"
            await screen.shows(is_green)


async def test_looks_outlive_the_publisher(astronaut: Image) -> None:
    async with serving() as server:
        client = await server.open()
        async with publishing(client):
            blue, _ = await two_looks(client)
            await client.ok("POST", "/keyframes")
            before = await client.ok("GET")
        async with publishing(client), watching(client) as screen:
            after = await client.ok("GET")
            for key in ("looks", "active", "focus", "undo", "reference", "edit"):
                assert after[key] == before[key], key
            kept = [[(k["id"], k["version"], k["made_at"]) for k in s["keyframes"]] for s in (before, after)]
            assert kept[0] == kept[1]
            assert len(kept[0]) == 2
            await client.ok("POST", f"/looks/{blue}/wear")
            await screen.shows(is_blue)
