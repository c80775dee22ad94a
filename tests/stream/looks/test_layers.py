"""Layers over HTTP: a preset adds to paint, each layer is changed by itself, undo covers all of it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from correspondence import Image
from reference.looks.layers import MOST_LAYERS
from stream.storage.config import StorageConfig
from tests.stream.looks.test_looks import GREEN, PNG, painted, png, put, with_reference
from tests.stream.rig import BLUE, Client, Json, is_blue, serving

AT = 300  # below the face, first row of the box
BOX = (slice(AT, AT + 20), slice(210, 250))  # where paint lies


def paint(image: Image, at: int = AT) -> io.BytesIO:
    """A PNG of a green box on nothing."""
    rgba = np.zeros((*image.shape[:2], 4), np.uint8)
    rgba[at : at + 20, 210:250] = (*GREEN[::-1], 255)
    return io.BytesIO(bytes(cv2.imencode(".png", rgba)[1]))


async def lipstick(client: Client, **more: object) -> Json:
    return await client.ok(
        "POST", "/preset", json={"name": "lipstick", "colour": BLUE, "strength": 1, **more}
    )


async def add(client: Client, image: io.BytesIO, kind: str = "paint") -> Json:
    status, state = await client.call("POST", f"/layers?kind={kind}", data=image, headers=PNG)
    assert status == 201, state
    return dict(state)


def kinds(state: Json) -> list[str]:
    return [layer["preset"] or layer["kind"] for layer in state["layers"]]


async def test_a_preset_adds_to_a_painting_and_choosing_it_again_changes_it(astronaut: Image) -> None:
    async with with_reference(astronaut) as (_, client):
        await add(client, paint(astronaut))
        state = await lipstick(client)
        assert kinds(state) == ["paint", "lipstick"]
        both = await client.picture("edit")
        assert is_blue(both)
        assert (both[BOX] == GREEN).all(), "the painting stays"
        number = state["layers"][1]["id"]
        state = await lipstick(client, strength=0.2)
        assert kinds(state) == ["paint", "lipstick"]
        assert (state["layers"][1]["id"], state["layers"][1]["strength"]) == (number, 0.2)
        state = await client.ok("POST", "/preset", json={"name": "blush"})
        assert kinds(state) == ["paint", "lipstick", "blush"]
        await lipstick(client)
        state = await client.ok("DELETE", f"/layers/{number}")
        assert kinds(state) == ["paint", "blush"]
        assert not is_blue(await client.picture("edit"))


async def test_layers_are_hidden_moved_faded_and_undo_covers_all(astronaut: Image) -> None:
    async with with_reference(astronaut) as (_, client):
        pictures = [await client.picture("reference")]
        state = await lipstick(client)
        lips = state["layers"][0]["id"]
        pictures.append(await client.picture("edit"))
        state = await add(client, paint(astronaut))
        star = state["layers"][1]["id"]
        pictures.append(await client.picture("edit"))
        for path, patch in (
            (f"/layers/{star}", {"strength": 0.5}),
            (f"/layers/{lips}", {"shown": False}),
            (f"/layers/{lips}", {"shown": True, "colour": "#10c020"}),
            (f"/layers/{star}", {"place": 0.0}),
        ):
            state = await client.ok("PATCH", path, json=patch)
            pictures.append(await client.picture("edit"))
        assert kinds(state) == ["paint", "lipstick"]
        assert state["undo"] == "order of Paint"
        assert np.array_equal(pictures[5], pictures[6]), "they do not overlap"
        assert not is_blue(pictures[4]), "the lipstick is hidden"
        half = np.abs(2.0 * pictures[3][BOX] - pictures[0][BOX] - np.array(GREEN, float))
        assert half.max() <= 1
        state = await client.ok("PATCH", "/settings", json={"strength": 0.3})
        assert state["undo"] == "strength"
        state = await client.ok("POST", "/undo")
        assert state["settings"]["strength"] == 1
        for expected in reversed(pictures[1:-1]):
            state = await client.ok("POST", "/undo")
            assert np.array_equal(await client.picture("edit"), expected)
        state = await client.ok("POST", "/undo")
        assert (state["edit"], state["layers"]) == (None, [])
        while state["redo"]:
            state = await client.ok("POST", "/redo")
        assert state["settings"]["strength"] == 0.3
        assert np.array_equal(await client.picture("edit"), pictures[-1])


async def test_paint_is_kept_as_it_was_made_and_painted_on(astronaut: Image) -> None:
    async with with_reference(astronaut) as (_, client):
        await lipstick(client)
        state = await add(client, paint(astronaut))
        number = state["layers"][1]["id"]
        kept = await client.picture(f"layers/{number}/picture")
        below = await client.picture(f"layers/{number}/below")
        assert is_blue(below)
        assert np.array_equal(below[BOX], astronaut[BOX])
        assert (kept[BOX][..., :3] == GREEN).all()
        state = await client.ok("PUT", f"/layers/{number}", data=paint(astronaut, 60), headers=PNG)
        after = state["layers"][1]
        assert after["id"] == number
        assert after["version"] != number
        edited = await client.picture("edit")
        assert np.array_equal(edited[BOX], astronaut[BOX])
        assert (edited[60:80, 210:250] == GREEN).all()
        assert (await client.ok("POST", "/undo"))["layers"][1]["id"] == number
        assert (await client.picture("edit"))[BOX].tolist() == np.full((20, 40, 3), GREEN).tolist()


async def test_a_picture_lies_over_the_others_and_the_last_layer_takes_the_edit_along(
    astronaut: Image,
) -> None:
    async with with_reference(astronaut) as (_, client):
        await lipstick(client)
        state = await add(client, png(painted(astronaut, GREEN, AT)), "picture")
        assert kinds(state) == ["lipstick", "picture"]
        both = await client.picture("edit")
        assert is_blue(both)
        assert (both[BOX] == GREEN).all()
        for layer in state["layers"]:
            state = await client.ok("DELETE", f"/layers/{layer['id']}")
        assert (state["edit"], state["layers"]) == (None, [])
        state = await client.ok("POST", "/undo")
        assert kinds(state) == ["picture"]
        state = await put(client, astronaut)
        assert kinds(state) == ["picture"], "PUT /edit is the whole edit"


async def test_presets_go_on_to_a_new_reference_below_what_is_added_there(astronaut: Image) -> None:
    async with with_reference(astronaut) as (_, client):
        await lipstick(client)
        await add(client, paint(astronaut))
        moved = np.ascontiguousarray(np.roll(astronaut, 5, axis=1))
        state = await client.ok("POST", "/reference", data=png(moved), headers=PNG)
        assert state["edit"]["reference_version"] != state["reference"]["version"], "paint stays where it was"
        number = state["layers"][1]["id"]
        state = await client.ok("PATCH", f"/layers/{number}", json={"strength": 0.5})
        assert state["layers"][1]["strength"] == 0.5, "the earlier edit can still be changed"
        state = await client.ok("POST", "/preset", json={"name": "blush"})
        assert kinds(state) == ["lipstick", "blush"]
        assert state["edit"]["reference_version"] == state["reference"]["version"]


async def test_the_socket_changes_a_layer(astronaut: Image) -> None:
    async with with_reference(astronaut) as (_, client):
        number = (await lipstick(client))["layers"][0]["id"]
        async with client.events() as socket:
            await socket.send_json({"type": "layer", "layer": number, "strength": 0.25})
            for _ in range(20):
                message = await socket.receive_json()
                if message["type"] == "state" and message["layers"][0]["strength"] == 0.25:
                    break
            else:
                pytest.fail("the state does not tell the new strength")
            await socket.send_json({"type": "layer", "layer": number, "weight": 2})
            while (message := await socket.receive_json())["type"] != "event":
                pass
            assert "unknown setting weight" in message["text"]


async def test_layers_survive_a_restart(astronaut: Image, tmp_path: Path) -> None:
    async with serving(store=StorageConfig(folder=tmp_path)) as server:
        client = await server.open()
        await client.ok("POST", "/reference", data=png(astronaut), headers=PNG)
        await add(client, paint(astronaut))
        state = await lipstick(client, strength=0.6)
        number = state["layers"][0]["id"]
        state = await client.ok("PATCH", f"/layers/{number}", json={"shown": False, "strength": 0.7})
        before = await client.picture("edit")
    async with serving(store=StorageConfig(folder=tmp_path)) as server:
        again = Client(server, client.id, client.token, client.view_token)
        after = await again.ok("GET")
        assert after["layers"] == state["layers"]
        assert np.array_equal(await again.picture("edit"), before)
        await again.ok("PATCH", f"/layers/{number}", json={"shown": True, "strength": 1})
        assert ((await again.picture("edit"))[BOX] == GREEN).all(), "the paint is there as it was made"


async def test_what_makes_no_sense_is_refused_in_words(
    astronaut: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with with_reference(astronaut) as (_, client):
        status, answer = await client.call("PATCH", "/layers/5", json={"shown": True})
        assert (status, "no edit yet" in answer["error"]) == (409, True)
        state = await lipstick(client)
        lips = state["layers"][0]["id"]
        state = await add(client, paint(astronaut))
        star = state["layers"][1]["id"]
        small = np.ascontiguousarray(astronaut[:100])
        for method, path, body, status, words in (
            ("PATCH", "/layers/7", {"shown": True}, 404, "no layer 7"),
            ("PATCH", "/layers/x", {"shown": True}, 404, "no layer 'x'"),
            ("PATCH", f"/layers/{lips}", {"strength": 2}, 400, "strength must be in [0, 1], got 2"),
            ("PATCH", f"/layers/{lips}", {"strength": "all"}, 400, "got 'all'"),
            ("PATCH", f"/layers/{lips}", {"shown": 1}, 400, "shown must be true or false"),
            ("PATCH", f"/layers/{lips}", {"colour": "blue"}, 400, "colour must be like"),
            ("PATCH", f"/layers/{star}", {"colour": BLUE}, 400, "kind paint has no colour"),
            ("PATCH", f"/layers/{star}", {"place": 2}, 400, "place must be 0 (lowest) to 1, got 2"),
            ("PATCH", f"/layers/{star}", {"order": 2}, 400, "unknown setting order"),
            ("PATCH", f"/layers/{star}", {"right": 0.1}, 400, "kind paint has no place on the face"),
            ("DELETE", "/layers/7", None, 404, "no layer 7"),
            ("GET", f"/layers/{lips}/picture.png", None, 404, "no picture"),
            ("GET", "/layers/7/below.png", None, 404, "no layer 7"),
        ):
            found, answer = await client.call(method, path, json=body)
            assert (found, words in answer["error"]) == (status, True), (path, body, answer)
        for method, path, status, words in (
            ("PUT", f"/layers/{lips}", 400, "only paint and pictures have pixels"),
            ("PUT", "/layers/7", 404, "no layer 7"),
            ("PUT", f"/layers/{star}", 409, "the paint is 512x100, its reference 512x512"),
            ("POST", "/layers?kind=paint", 409, "the paint is 512x100, its reference 512x512"),
            ("POST", "/layers?kind=stroke", 400, "kind must be one of paint, picture, sticker, backdrop"),
            ("POST", "/layers?kind=sticker&at=knee", 400, "at must be one of forehead"),
            ("POST", "/layers?sure=maybe", 400, "sure must be true or false, got 'maybe'"),
            ("POST", "/layers?kind=sticker&size=nan", 400, "size must be 0.05 to 3"),
            ("POST", "/layers?kind=sticker&size=big", 400, "size must be a number"),
            ("POST", "/layers?kind=paint&turn_deg=999", 400, "turn_deg must be -180 to 180"),
            ("POST", "/layers?kind=sticker&rigid=yes", 400, "rigid must be true or false"),
        ):
            found, answer = await client.call(method, path, data=png(small), headers=PNG)
            assert (found, words in answer["error"]) == (status, True), (path, answer)
        monkeypatch.setattr("stream.looks.stack.MOST_LAYERS", 2)
        assert MOST_LAYERS > 2
        found, answer = await client.call("POST", "/preset", json={"name": "blush"})
        assert (found, "at most 2 layers" in answer["error"]) == (409, True)


def sticker_png() -> io.BytesIO:
    return io.BytesIO(bytes(cv2.imencode(".png", np.full((30, 30, 4), (*GREEN[::-1], 255), np.uint8))[1]))


def green_at(image: Image) -> tuple[float, float]:
    """The mean place (x, y) of the sticker's colour."""
    y, x = np.nonzero((image == GREEN).all(axis=2))
    return float(x.mean()), float(y.mean())


@pytest.mark.parametrize("rigid", [False, True])
async def test_a_sticker_is_placed_moved_undone_and_kept(astronaut: Image, rigid: bool) -> None:
    async with with_reference(astronaut) as (_, client):
        state = await add(client, sticker_png(), f"sticker&at=nose&size=0.3&rigid={str(rigid).lower()}")
        layer = state["layers"][0]
        assert (layer["kind"], layer["sticker"]["at"], layer["sticker"]["rigid"]) == (
            "sticker",
            "nose",
            rigid,
        )
        first = green_at(await client.picture("edit"))
        assert layer["sticker"]["middles"][0][:2] == pytest.approx(first, abs=1)
        patch = {"right": 0.2, "turn_deg": 15, "size": 0.2}
        state = await client.ok("PATCH", f"/layers/{layer['id']}", json=patch)
        assert green_at(await client.picture("edit"))[0] > first[0] + 10
        assert state["undo"] == "move of Sticker: nose"
        for bad, words in (({"right": 5}, "right must be -2 to 2"), ({"at": "knee"}, "at must be one of")):
            status, answer = await client.call("PATCH", f"/layers/{layer['id']}", json=bad)
            assert (status, words in answer["error"]) == (400, True), answer
        await client.ok("POST", "/undo")
        assert green_at(await client.picture("edit")) == pytest.approx(first, abs=0.1)


async def test_a_sticker_outlives_the_server(astronaut: Image, tmp_path: Path) -> None:
    store = StorageConfig(folder=tmp_path)
    async with with_reference(astronaut, store=store) as (_, client):
        await lipstick(client)
        state = await add(client, sticker_png(), "sticker&at=eyes&size=0.5")
        before = await client.picture("edit")
    async with serving(store=store) as server:
        client = replace(client, server=server)
        found = await client.ok("GET", "")
        assert [{**layer, "version": 0} for layer in found["layers"]] == [
            {**layer, "version": 0} for layer in state["layers"]
        ]
        np.testing.assert_array_equal(await client.picture("edit"), before)
