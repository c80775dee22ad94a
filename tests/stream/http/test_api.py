"""Every route of the JSON interface, its tokens and its errors."""

from __future__ import annotations

import asyncio

import aiohttp
import cv2
import numpy as np
import pytest

from correspondence import Image
from stream.http.api import tickets
from tests.stream.rig import BLUE, Json, serving


def png(image: Image) -> bytes:
    return bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1])


async def test_open_read_end() -> None:
    async with serving() as server:
        client = await server.open()
        assert (
            tickets(server.session(client), client.token)["viewer"]
            == f"/view/{client.id}#token={client.view_token}"
        )
        state = await client.ok("GET")
        assert state["publishing"] is False
        assert state["source"] is state["reference"] is state["edit"] is None
        looks = {"looks": ["Look 1"], "recordings": []}
        assert await client.call("DELETE") == (200, {"deleted": looks, "remains": {"recordings": []}})
        status, body = await client.call("GET")
        assert status == 404
        assert "session" in body["error"]
        assert body["hint"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", ""),
        ("POST", "/reference"),
        ("GET", "/reference.png"),
        ("GET", "/edit.png"),
        ("GET", "/frame.png"),
        ("PUT", "/edit"),
        ("DELETE", "/edit"),
        ("POST", "/preset"),
        ("PATCH", "/settings"),
        ("POST", "/demo"),
        ("DELETE", "/demo"),
    ],
)
async def test_only_the_owner_controls(method: str, path: str) -> None:
    async with serving() as server:
        client = await server.open()
        assert (await client.call(method, path, token="wrong"))[0] == 401
        assert (await client.call(method, path, token=client.view_token))[0] == 403
        url = f"{server.origin}/api/sessions/{client.id}{path}"
        async with server.http.request(method, url) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_viewers_may_read_but_get_no_tokens() -> None:
    async with serving() as server:
        client = await server.open()
        state = await client.ok("GET", token=client.view_token)
        assert client.token not in str(state)
        assert (await client.ok("GET"))["token"] == client.token


async def test_tokens_in_addresses_are_not_taken() -> None:
    """They would stand in the logs of proxies and in the browser's history."""
    async with serving() as server:
        client = await server.open()
        url = f"{server.origin}/api/sessions/{client.id}"
        for token in (client.token, client.view_token):
            async with server.http.get(f"{url}?token={token}") as answer:
                assert answer.status == 401
                assert "Authorization" in (await answer.json())["hint"]
            with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
                await server.http.ws_connect(f"{url}/events?token={token}")
        async with client.events(client.view_token) as socket:
            assert socket.protocol == "livery"
            assert socket._response.headers.getall("Sec-WebSocket-Protocol") == ["livery"]


async def test_server_token_guards_new_sessions() -> None:
    async with serving(token="a long secret") as server:
        url = f"{server.origin}/api/sessions"
        async with server.http.post(url) as answer:
            assert answer.status == 401
        async with server.http.post(url, headers={"Authorization": "Bearer a long secret"}) as answer:
            assert answer.status == 201


async def test_full_server_says_when_to_retry() -> None:
    async with serving(max_sessions=1) as server:
        await server.open()
        async with server.http.post(f"{server.origin}/api/sessions") as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) > 0
            assert "1 sessions" in (await answer.json())["error"]


async def test_demo_reference_preset_settings(astronaut: Image) -> None:
    async with serving() as server:
        client = await server.open()
        assert (await client.call("POST", "/preset", json={"name": "lipstick"}))[0] == 409
        assert (await client.call("POST", "/reference", json={}))[0] == 409
        assert (await client.ok("POST", "/demo"))["demo"] is True
        state = await client.ok("POST", "/reference", json={"auto": True})
        assert state["warning"] is None
        assert state["reference"]["landmarks"] is True
        assert state["reference"]["score"] > 0.3
        size = (state["reference"]["height"], state["reference"]["width"])
        assert (await client.picture("reference")).shape[:2] == size
        assert (await client.picture("frame")).shape[:2] == size

        state = await client.ok("POST", "/preset", json={"name": "lipstick", "colour": BLUE, "strength": 1})
        assert state["edit"]["preset"] == "lipstick"
        changed = (await client.picture("edit") != await client.picture("reference")).any(axis=2)
        assert 0 < changed.mean() < 0.1

        state = await client.ok(
            "PATCH", "/settings", json={"strength": 0.5, "mode": "delta", "enabled": False}
        )
        assert (state["edit"]["strength"], state["edit"]["mode"], state["edit"]["enabled"]) == (
            0.5,
            "delta",
            False,
        )

        version = state["edit"]["version"]
        state = await client.ok("POST", "/reference", json={})
        assert state["edit"]["version"] > version, "a preset moves to the new reference"
        assert (await client.ok("DELETE", "/edit"))["edit"] is None
        assert (await client.ok("DELETE", "/demo"))["publishing"] is False
        assert (await client.call("GET", "/frame.png"))[0] == 204


async def test_uploaded_reference_and_edit(astronaut: Image) -> None:
    async with serving() as server:
        client = await server.open()
        picture = {"Content-Type": "image/png"}
        state = await client.ok("POST", "/reference", data=png(astronaut), headers=picture)
        assert state["reference"] | {"version": 0, "score": 0} == {
            "width": 512, "height": 512, "version": 0, "landmarks": True, "score": 0,
            "weakness": "the face is rather small in the picture", "axis": state["reference"]["axis"],
        }  # fmt: skip
        x0, y0, x1, y1 = state["reference"]["axis"]
        assert y0 < y1 < 256, "from the astronaut's forehead to her chin"
        assert abs(x0 - x1) < 20
        painted = astronaut.copy()
        painted[100:130, 200:260] = (255, 0, 0)
        state = await client.ok("PUT", "/edit?mode=replace", data=png(painted), headers=picture)
        assert state["edit"]["mode"] == "replace"
        assert state["edit"]["note"] is None
        assert np.array_equal(await client.picture("edit"), painted)

        half = cv2.resize(painted, (256, 256), interpolation=cv2.INTER_AREA)
        state = await client.ok("PUT", "/edit", data=png(half), headers=picture)
        assert "256x256" in state["edit"]["note"]


async def test_paint_layer_with_transparency_goes_over_the_reference(astronaut: Image) -> None:
    async with serving() as server:
        client = await server.open()
        picture = {"Content-Type": "image/png"}
        await client.ok("POST", "/reference", data=png(astronaut), headers=picture)
        layer = np.zeros((512, 512, 4), np.uint8)
        layer[100:130, 200:260] = (0, 0, 255, 255)  # BGRA: red
        await client.ok("PUT", "/edit", data=bytes(cv2.imencode(".png", layer)[1]), headers=picture)
        expected = astronaut.copy()
        expected[100:130, 200:260] = (255, 0, 0)
        assert np.array_equal(await client.picture("edit"), expected)


async def test_presets_are_listed() -> None:
    async with serving() as server, server.http.get(f"{server.origin}/api/presets") as answer:
        listed = await answer.json()
        assert len(listed) >= 6
        assert {"name", "title", "colour"} <= set(listed[0])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"strength": 2}, "[0, 1]"),
        ({"strength": "much"}, "number"),
        ({"strength": True}, "number"),
        ({"mode": "magic"}, "auto, delta, replace"),
        ({"enabled": 1}, "true or false"),
        ({"overlay": "heat"}, "confidence"),
        ({"faces": 0}, "1 to 4"),
        ({"faces": 5}, "1 to 4"),
        ({"faces": True}, "whole number"),
        ({"faces": 2}, "at most 1 on this server"),
        ({"size": 3}, "size"),
        ([1], "object"),
    ],
)
async def test_bad_settings_are_named(body: object, said: str) -> None:
    async with serving() as server:
        client = await server.open()
        status, answer = await client.call("PATCH", "/settings", json=body)
        assert status == 400
        assert said in answer["error"]


async def test_unknown_preset_colour_and_name(astronaut: Image) -> None:
    async with serving() as server:
        client = await server.open()
        await client.ok("POST", "/reference", data=png(astronaut), headers={"Content-Type": "image/png"})
        for body in ({"name": "moustache wax"}, {"name": 3}, {"name": "lipstick", "colour": "red-ish"}):
            status, answer = await client.call("POST", "/preset", json=body)
            assert (status, bool(answer["error"])) == (400, True), body


async def test_events_carry_state_stats_and_take_settings() -> None:
    async with serving() as server:
        client = await server.open()
        async with client.events() as socket:
            first = await socket.receive_json(timeout=5)
            assert first["type"] == "state"
            assert await socket.receive_json(timeout=5) == {"type": "log", "entries": [], "all": True}
            stats = await socket.receive_json(timeout=5)
            assert stats["type"] == "stats"
            assert {"fps_in", "fps_out", "latency_ms", "dropped", "stages_ms", "coverage", "reason",
                    "viewers", "bitrate_bps"} <= set(stats)  # fmt: skip
            assert stats["reason"] == "nothing is published"
            await socket.send_json({"type": "settings", "strength": 0.25})
            state = await anext_of(socket, "state")
            assert state["settings"]["strength"] == 0.25
            await socket.send_str("not json")
            assert "JSON" in (await anext_of(socket, "event"))["text"]
            await socket.send_json({"type": "settings", "strength": 7})
            assert "[0, 1]" in (await anext_of(socket, "event"))["text"]
        async with client.events(client.view_token) as socket:
            await socket.send_json({"type": "settings", "strength": 1.0})
            assert "not control" in (await anext_of(socket, "event"))["text"]
            assert server.session(client).wardrobe.settings.strength == 0.25
            await client.call("DELETE")
            assert "ended" in (await anext_of(socket, "event"))["text"]
        with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
            await client.events()


async def anext_of(socket: aiohttp.ClientWebSocketResponse, kind: str) -> Json:
    """The next message of a kind."""
    async with asyncio.timeout(5):
        while True:
            message: Json = await socket.receive_json()
            if message["type"] == kind:
                return message


async def test_health_metrics_and_pages() -> None:
    async with serving() as server:
        await server.open()
        async with server.http.get(f"{server.origin}/healthz") as answer:
            assert await answer.json() == {"status": "ok", "sessions": 1}
        async with server.http.get(f"{server.origin}/metrics") as answer:
            text = await answer.text()
            assert "livery_sessions 1\n" in text
            assert "livery_sessions_total 1\n" in text
        async with server.http.get(f"{server.origin}/") as answer:
            assert answer.content_type == "text/html"
            assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert "Access-Control-Allow-Origin" not in answer.headers


async def test_errors_are_json_and_other_sites_are_refused() -> None:
    async with serving() as server:
        client = await server.open()
        async with server.http.get(f"{server.origin}/api/nothing") as answer:
            assert (answer.status, set(await answer.json())) == (404, {"error", "hint"})
        async with server.http.put(f"{server.origin}/healthz") as answer:
            assert answer.status == 405
            assert "GET" in answer.headers["Allow"]
        for origin, status in (("https://elsewhere.example", 403), (server.origin, 201)):
            async with server.http.post(
                f"{server.origin}/api/sessions", headers={"Origin": origin}
            ) as answer:
                assert answer.status == status
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await client.events(origin="https://elsewhere.example")


async def test_stall_route_exists_only_for_measurements() -> None:
    async with serving() as server:
        client = await server.open()
        assert (await client.call("POST", "/debug/stall", json={"seconds": 1}))[0] == 404
    async with serving(debug=True) as server:
        client = await server.open()
        assert (await client.call("POST", "/debug/stall", json={"seconds": 0.1}))[0] == 204
        assert (await client.call("POST", "/debug/stall", json={"seconds": 900}))[0] == 400
