"""Looks, keyframes and undo over HTTP and the socket: what works, what is refused, and in what words."""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import cv2
import numpy as np
import pytest

from correspondence import Image, detect_landmarks
from stream.looks.history import MOST_STEPS
from stream.session.services import Services
from tests.stream.rig import BLUE, Client, Json, Server, is_blue, publishing, serving, until

PNG = {"Content-Type": "image/png"}
RED, GREEN = (220, 10, 10), (10, 200, 10)
GREEN_LIPS = "#10c020"


def png(image: Image) -> io.BytesIO:
    return io.BytesIO(bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]))


def painted(image: Image, colour: tuple[int, int, int], at: int = 150) -> Image:
    out = image.copy()
    out[at : at + 20, 210:250] = colour
    return out


@contextlib.asynccontextmanager
async def with_reference(
    image: Image, services: Services | None = None, **config: Any
) -> AsyncIterator[tuple[Server, Client]]:
    """A session whose one look has an uploaded reference."""
    async with serving(services, **config) as server:
        client = await server.open()
        await client.ok("POST", "/reference", data=png(image), headers=PNG)
        yield server, client


async def put(client: Client, image: Image, query: str = "") -> Json:
    return await client.ok("PUT", f"/edit{query}", data=png(image), headers=PNG)


def names(state: Json) -> list[str]:
    return [look["name"] for look in state["looks"]]


async def test_looks_are_created_renamed_copied_worn_and_removed(astronaut: Image) -> None:
    async with with_reference(astronaut) as (_, client):
        state = await client.ok("POST", "/preset", json={"name": "lipstick"})
        assert names(state) == ["Look 1"]
        first = state["active"]
        state = await client.ok("PATCH", f"/looks/{first}", json={"name": "  Évening  "})
        assert names(state) == ["Évening"]

        status, state = await client.call("POST", "/looks", json={"name": "Stage"})
        assert status == 201
        second = state["active"]
        assert second != first
        assert state["edit"] is None
        assert state["reference"] is not None, "a new look begins with the reference of the last one"
        state = await client.ok("POST", "/preset", json={"name": "tiger"})
        assert [look["preset"] for look in state["looks"]] == ["lipstick", "tiger"]

        state = await client.ok("POST", f"/looks/{first}/wear")
        assert (state["active"], state["edit"]["preset"]) == (first, "lipstick")
        await client.ok("PATCH", "/settings", json={"strength": 0.4})
        state = await client.ok("POST", "/looks", json={"copy": True})
        assert names(state) == ["Évening", "Stage", "Évening copy"]
        assert (state["edit"]["preset"], state["edit"]["strength"]) == ("lipstick", 0.4)
        state = await client.ok("POST", f"/looks/{second}/wear")
        assert state["edit"]["strength"] == 1.0, "strength belongs to the look"

        state = await client.ok("DELETE", f"/looks/{second}")
        assert names(state) == ["Évening", "Évening copy"]
        assert state["active"] != second
        state = await client.ok("POST", "/undo")
        assert names(state) == ["Évening", "Stage", "Évening copy"], "a removed look comes back to its place"
        assert (state["active"], state["edit"]["preset"]) == (second, "tiger")


async def test_what_makes_no_sense_is_refused_in_words(astronaut: Image) -> None:
    async with with_reference(astronaut, max_looks=2) as (_, client):
        look = (await client.ok("GET"))["active"]
        refused: list[tuple[str, str, Any, int, str]] = [
            ("DELETE", f"/looks/{look}", None, 409, "only look"),
            ("POST", "/looks/77/wear", None, 404, "no look 77"),
            ("PATCH", "/looks/77", {"name": "x"}, 404, "no look 77"),
            ("DELETE", "/looks/77", None, 404, "no look 77"),
            ("POST", "/looks/first/wear", None, 404, "'first'"),
            ("PATCH", f"/looks/{look}", {"name": "x" * 41}, 400, "1 to 40 characters, got 41"),
            ("PATCH", f"/looks/{look}", {"name": "   "}, 400, "got 0"),
            ("PATCH", f"/looks/{look}", {"name": "a\nb"}, 400, "line breaks"),
            ("PATCH", f"/looks/{look}", {}, 400, "text"),
            ("POST", "/looks", {"name": 3}, 400, "text"),
            ("POST", "/looks", {"copy": "yes"}, 400, "copy must be true or false"),
            ("POST", "/undo", None, 200, ""),  # of taking the reference
            ("POST", "/undo", None, 409, "nothing to undo"),
            ("POST", "/redo", None, 200, ""),
            ("POST", "/redo", None, 409, "nothing to redo"),
            ("PUT", "/focus", {"keyframe": 987654}, 409, "no keyframe 987654"),
            ("PUT", "/focus", {"keyframe": -3}, 409, "no keyframe -3"),
            ("PUT", "/focus", {"keyframe": "first"}, 400, "whole number"),
            ("DELETE", "/keyframes/987654", None, 404, "no keyframe 987654"),
            ("POST", "/keyframes", None, 409, "no live picture"),
            ("POST", "/preset", {"name": "tiger", "look": 77}, 409, "no look 77"),
            ("POST", "/preset", {"name": "tiger", "look": "a"}, 400, "whole number"),
            ("POST", "/preset", {"name": "tiger", "keyframe": 987654}, 409, "no keyframe 987654"),
            ("DELETE", "/edit?look=77", None, 409, "no look 77"),
            ("DELETE", "/edit?look=x", None, 400, "look must be a whole number"),
            ("POST", "/looks", {}, 201, ""),
            ("POST", "/looks", {}, 409, "at most 2 looks"),
        ]
        for method, path, body, status, said in refused:
            got, answer = await client.call(method, path, json=body)
            assert got == status, (method, path, body, answer)
            if status >= 400:
                assert said in answer["error"], (method, path, body, answer)
        got, answer = await client.call("PUT", "/edit?keyframe=99", data=png(astronaut), headers=PNG)
        assert (got, bool(answer["hint"])) == (409, True)
        for picture, status in (
            ("/looks/77/thumb.jpg", 204),
            ("/keyframes/987654/thumb.jpg", 204),
            ("/keyframes/987654/edit.png", 404),
            ("/keyframes/987654/reference.png", 404),
        ):
            assert (await client.call("GET", picture))[0] == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/looks"),
        ("PATCH", "/looks/1"),
        ("DELETE", "/looks/1"),
        ("POST", "/looks/1/wear"),
        ("GET", "/looks/1/thumb.jpg"),
        ("POST", "/keyframes"),
        ("PUT", "/focus"),
        ("DELETE", "/keyframes/1"),
        ("GET", "/keyframes/1/thumb.jpg"),
        ("GET", "/keyframes/1/reference.png"),
        ("GET", "/keyframes/1/edit.png"),
        ("POST", "/undo"),
        ("POST", "/redo"),
    ],
)
async def test_looks_are_the_owners(method: str, path: str) -> None:
    async with serving() as server:
        client = await server.open()
        assert (await client.call(method, path, token="wrong"))[0] == 401
        assert (await client.call(method, path, token=client.view_token))[0] == 403


async def test_memory_is_bounded_in_words(astronaut: Image) -> None:
    big = cv2.resize(astronaut, (1024, 1024), interpolation=cv2.INTER_LINEAR)
    async with with_reference(big, looks_mib=48) as (server, client):
        session = server.session(client)
        for at in range(100, 400, 50):  # 36 MiB each: what can be undone makes room
            await put(client, painted(big, RED, at))
        assert session.wardrobe.history.undo is None or len(session.wardrobe.history.pictures()) < 8
        await client.ok("POST", "/looks", json={})
        await client.ok("POST", "/reference", data=png(big), headers=PNG)
        status, answer = await client.call("PUT", "/edit", data=png(painted(big, GREEN)), headers=PNG)
        assert status == 409
        assert "MiB are allowed" in answer["error"]
        assert "remove a look" in answer["hint"]
        state = await client.ok("GET")
        assert [look["edited"] for look in state["looks"]] == [True, False]


async def test_edits_are_undone_and_done_again(astronaut: Image) -> None:
    async with with_reference(astronaut) as (_, client):
        await put(client, painted(astronaut, RED))
        await put(client, painted(astronaut, GREEN))
        state = await client.ok("POST", "/preset", json={"name": "lipstick"})
        assert (state["undo"], state["redo"]) == ("lipstick", None)
        state = await client.ok("POST", "/undo")
        assert (state["undo"], state["redo"]) == ("picture", "lipstick")
        assert np.array_equal(await client.picture("edit"), painted(astronaut, GREEN))
        await client.ok("POST", "/undo")
        assert np.array_equal(await client.picture("edit"), painted(astronaut, RED))
        state = await client.ok("POST", "/undo")
        assert state["edit"] is None
        await client.ok("POST", "/redo")
        assert np.array_equal(await client.picture("edit"), painted(astronaut, RED))
        state = await client.ok("DELETE", "/edit")
        assert (state["edit"], state["redo"]) == (None, None), "a new step ends what could be done again"
        state = await client.ok("POST", "/undo")
        assert np.array_equal(await client.picture("edit"), painted(astronaut, RED))


async def test_a_dragged_colour_is_one_step_and_steps_are_bounded(astronaut: Image) -> None:
    async with with_reference(astronaut) as (server, client):
        for colour in (BLUE, GREEN_LIPS, BLUE):
            await client.ok("POST", "/preset", json={"name": "lipstick", "colour": colour})
        state = await client.ok("POST", "/undo")
        assert state["edit"] is None
        small = np.ascontiguousarray(astronaut[::4, ::4])
        await client.ok("POST", "/reference", data=png(small), headers=PNG)
        for value in range(MOST_STEPS + 5):
            changed = small.copy()
            changed[40:60, 40:60] = value
            await put(client, changed)
        history = server.session(client).wardrobe.history
        assert len(history.pictures()) == 2 * MOST_STEPS


async def test_undo_goes_to_the_look_it_changes(astronaut: Image) -> None:
    async with with_reference(astronaut) as (_, client):
        first = (await put(client, painted(astronaut, RED)))["active"]
        second = (await client.ok("POST", "/looks", json={"copy": True}))["active"]
        await put(client, painted(astronaut, GREEN))
        await client.ok("POST", f"/looks/{first}/wear")
        state = await client.ok("POST", "/undo")
        assert state["active"] == second
        assert np.array_equal(await client.picture("edit"), painted(astronaut, RED))


async def test_a_picture_asked_for_by_version_is_that_or_nothing(astronaut: Image) -> None:
    async with with_reference(astronaut) as (_, client):
        state = await put(client, painted(astronaut, RED))
        for name, version in (
            ("reference", state["reference"]["version"]),
            ("edit", state["edit"]["version"]),
        ):
            assert (await client.call("GET", f"/{name}.png?version={version}"))[0] == 200
            assert (await client.call("GET", f"/{name}.png?version={version + 1}"))[0] == 204
        await client.ok("DELETE", "/edit")
        assert (await client.call("GET", f"/edit.png?version={version}"))[0] == 204
        assert (await client.call("GET", "/edit.png"))[0] == 404


async def test_an_edit_goes_where_it_was_meant_to(astronaut: Image) -> None:
    """The user switches looks while a picture is on its way."""
    async with with_reference(astronaut) as (_, client):
        first = (await put(client, painted(astronaut, RED)))["active"]
        second = (await client.ok("POST", "/looks", json={"copy": True}))["active"]
        state = await put(client, painted(astronaut, GREEN), f"?look={first}")
        assert state["active"] == second
        assert np.array_equal(await client.picture("edit"), painted(astronaut, RED))
        await client.ok("POST", f"/looks/{first}/wear")
        assert np.array_equal(await client.picture("edit"), painted(astronaut, GREEN))


async def test_a_further_keyframe_of_the_live_view_is_edited_and_removed() -> None:
    async with serving() as server:
        client = await server.open()
        async with publishing(client):
            state = await client.ok("POST", "/keyframes")
            assert state["reference"] is not None, "the first one is the reference"
            assert state["keyframes"] == []
            state = await client.ok(
                "POST", "/preset", json={"name": "lipstick", "colour": BLUE, "strength": 1}
            )
            anchor = state["keyframes"][0]
            assert (anchor["pinned"], anchor["active"], state["focus"]) == (True, True, None)
            assert abs(anchor["made_at"] / 1000 - time.time()) < 30

            state = await client.ok("POST", "/keyframes")
            assert state["warning"] is None
            assert len(state["keyframes"]) == 2
            further = state["focus"]
            assert state["keyframes"][1]["id"] == further == state["reference"]["version"]
            carried = await client.picture("edit")
            assert is_blue(carried), "the edit is carried over, to be painted on"
            assert not is_blue(await client.picture("reference"))

            await put(client, painted(carried, GREEN, 60), f"?keyframe={further}")
            assert np.array_equal(await client.picture("edit"), painted(carried, GREEN, 60))
            assert np.array_equal(
                await client.picture(f"keyframes/{further}/edit"), painted(carried, GREEN, 60)
            )
            assert (await client.picture(f"keyframes/{anchor['id']}/reference")).shape == carried.shape
            state = await client.ok("PUT", "/focus", json={"keyframe": anchor["id"]})
            assert state["focus"] is None
            assert state["edit"]["preset"] == "lipstick"
            state = await client.ok("DELETE", f"/keyframes/{further}")
            assert [k["id"] for k in state["keyframes"]] == [anchor["id"]]
            status, answer = await client.call("DELETE", f"/keyframes/{anchor['id']}")
            assert (status, "stays" in answer["error"]) == (409, True)
            state = await client.ok("POST", "/undo")
            assert [k["id"] for k in state["keyframes"]] == [anchor["id"], further]


async def test_keyframes_edited_by_hand_are_bounded_and_need_a_face(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.looks.layering.MAX_KEYFRAMES", 2)
    grey = np.full((480, 640, 3), 128, np.uint8)
    async with serving() as server:
        client = await server.open()
        session = server.session(client)
        async with publishing(client):
            await client.ok("POST", "/reference")
            await client.ok("POST", "/preset", json={"name": "lipstick"})
            assert len((await client.ok("POST", "/keyframes"))["keyframes"]) == 2
            status, answer = await client.call("POST", "/keyframes")
            assert (status, "at most 2 keyframes" in answer["error"]) == (409, True)
        async with publishing(client, lambda _: grey):
            await until(
                lambda: session.stills.newest is not None and bool((session.stills.newest.image < 140).all())
            )
            status, answer = await client.call("POST", "/keyframes")
            assert (status, "no face" in answer["error"]) == (409, True)


async def test_the_state_stays_small(astronaut: Image) -> None:
    """What the socket carries at each change, with as many looks as may be."""
    small = np.ascontiguousarray(astronaut[::2, ::2])
    async with with_reference(small) as (_, client):
        await client.ok("POST", "/preset", json={"name": "lipstick"})
        for _ in range(8):
            await client.ok("POST", "/looks", json={"copy": True, "name": "\U0001f484" * 40})
        assert (await client.call("POST", "/looks", json={"copy": True}))[0] == 409
        state = await client.ok("GET")
        entry = state.pop("keyframes")[0]
        assert len(json.dumps(state)) < 8_000
        assert len(json.dumps(entry)) < 300


async def test_thumbnails_are_small_and_show_the_edit_on_the_face(astronaut: Image) -> None:
    async with with_reference(astronaut) as (server, client):
        lips = {"name": "lipstick", "colour": BLUE, "strength": 1}
        state = await client.ok("POST", "/preset", json=lips)
        keyframe, look = state["keyframes"][0]["id"], state["active"]
        for path in (f"looks/{look}", f"keyframes/{keyframe}"):
            url = f"{server.origin}/api/sessions/{client.id}/{path}/thumb.jpg"
            async with server.http.get(url, headers={"Authorization": f"Bearer {client.token}"}) as answer:
                data = await answer.read()
            assert (answer.content_type, len(data) < 20_000) == ("image/jpeg", True)
            small = cv2.cvtColor(
                cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB
            )
            assert small.shape[0] == 144
            assert is_blue(small)
            landmarks = detect_landmarks(small)
            assert landmarks is not None
            assert landmarks.box[3] - landmarks.box[1] > 144 / 3, "the face fills it"
