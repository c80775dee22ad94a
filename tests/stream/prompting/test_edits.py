"""Editing by words over HTTP: what arrives, what is refused in what words, and that nothing waits for it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from correspondence import Image, detect_landmarks
from reference.edits.prompt import face_area
from stream.cli.main import main
from stream.config import ServerConfig
from stream.http.base import SERVICES
from stream.http.prompt import MOST_CHARACTERS
from stream.prompting.service import PromptService
from stream.session.services import Services, load_services
from tests.reference.tiny_prompt import QuickModel, save_pix2pix
from tests.stream.looks.test_looks import PNG, painted, png, with_reference
from tests.stream.rig import Client, Json, Server, publishing, server_process, serving, until, watching

LIMIT_S = 300.0  # the process loads its libraries
pytestmark = pytest.mark.timeout(700)
UNDER_WAY = ("loading", "editing", "placing")
LONG = {"prompt": "a red hat", "steps": 100}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_pix2pix(tmp_path_factory.mktemp("pix2pix")))


@pytest.fixture
def quick() -> Services:
    """Services whose editor by words loads at once."""
    config = ServerConfig(matcher="classical", port=0)
    return replace(load_services(config), prompts=PromptService(QuickModel()))


def service_of(server: Server) -> PromptService:
    assert server.app is not None
    service = server.app[SERVICES].prompts
    assert service is not None
    return service


async def until_prompt(client: Client, *states: str) -> Json:
    end_s = time.monotonic() + LIMIT_S
    while (prompt := await client.ok("GET", "/prompt"))["state"] not in states:
        assert time.monotonic() < end_s, prompt
        await asyncio.sleep(0.05)
    return prompt


async def settled(client: Client) -> Json:
    return await until_prompt(client, "done", "failed", "stopped")


async def begin(client: Client, **body: Any) -> Json:
    status, state = await client.call("POST", "/prompt", json=body)
    assert status == 202, state
    return state


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_words_become_an_edit_that_can_be_undone(astronaut: Image, quick: Services) -> None:
    async with with_reference(astronaut, quick) as (_, client):
        assert (await client.ok("GET"))["prompt"]["state"] == "idle"
        async with client.events() as socket:
            state = await begin(client, prompt="  a red\n hat ", steps=4, area="face", guidance=9.5, seed=3)
            assert state["prompt"] == {"state": "loading", "done": 0, "total": 0, "error": None}
            told: list[Json] = []
            async with asyncio.timeout(LIMIT_S):
                while not (told and told[-1].get("prompt", {}).get("state") in ("done", "failed")):
                    told.append(json.loads((await socket.receive()).data))
        steps = [message["prompt"] for message in told if message["type"] == "state"]
        seen = [step["state"] for step in steps]
        assert list(dict.fromkeys(seen)) == ["idle", "loading", "editing", "placing", "done"], seen
        assert {step["total"] for step in steps if step["state"] in ("editing", "done")} == {4}
        entries = [entry for message in told if message["type"] == "log" for entry in message["entries"]]
        assert [(entry["kind"], entry["text"]) for entry in entries] == [("prompt", "Edited by words.")]

        state = await client.ok("GET")
        assert (state["undo"], state["edit"]["preset"], state["edit"]["note"]) == (
            "edit by words",
            None,
            None,
        )
        edited, landmarks = await client.picture("edit"), detect_landmarks(astronaut)
        assert landmarks is not None
        area = face_area(landmarks, (512, 512))
        assert (edited[area == 1] != astronaut[area == 1]).any()
        np.testing.assert_array_equal(edited[area == 0], astronaut[area == 0])
        assert (await client.ok("POST", "/undo"))["edit"] is None
        await client.ok("POST", "/redo")
        np.testing.assert_array_equal(await client.picture("edit"), edited)


async def test_what_makes_no_sense_is_refused_in_words(astronaut: Image, model: str) -> None:
    async with serving(prompt_model=model) as server:
        client = await server.open()
        status, answer = await client.call("POST", "/prompt", json={"prompt": "a hat"})
        assert (status, answer["hint"]) == (409, "take a reference first")
        await client.ok("POST", "/reference", data=png(np.full((64, 64, 3), 90, np.uint8)), headers=PNG)
        refused: list[tuple[Any, int, str]] = [
            ({}, 400, "prompt must be text, got None"),
            ({"prompt": 3}, 400, "prompt must be text, got 3"),
            ({"prompt": " \n "}, 400, f"1 to {MOST_CHARACTERS} characters, got 0"),
            ({"prompt": "x" * 301}, 400, "got 301"),
            ({"prompt": "a \x00 hat"}, 400, "control characters"),
            ({"prompt": "a \ud800 hat"}, 400, "control characters"),
            ({"prompt": "a hat", "steps": 0}, 400, "steps must lie in [1, 100], got 0"),
            ({"prompt": "a hat", "steps": 101}, 400, "steps must lie in [1, 100], got 101"),
            ({"prompt": "a hat", "steps": 2.5}, 400, "steps must be a whole number, got 2.5"),
            ({"prompt": "a hat", "guidance": 31}, 400, "guidance must be in [0, 30], got 31"),
            ({"prompt": "a hat", "guidance": float("nan")}, 400, "guidance must be in [0, 30], got nan"),
            ({"prompt": "a hat", "image_guidance": "much"}, 400, "image_guidance must be a number"),
            ({"prompt": "a hat", "seed": -1}, 400, "seed must be in"),
            ({"prompt": "a hat", "area": "hair"}, 400, "area must be all or face, got 'hair'"),
            ({"prompt": "a hat", "strength": 1}, 400, "unknown field strength"),
            ({"prompt": "a hat", "look": 77}, 409, "no look 77"),
            ({"prompt": "a hat", "keyframe": 987654}, 409, "no keyframe 987654"),
            ({"prompt": "a hat", "keyframe": "first"}, 400, "keyframe must be a whole number"),
            ({"prompt": "a hat", "area": "face"}, 409, "no face was found"),
        ]
        for body, status, said in refused:
            got, answer = await client.call("POST", "/prompt", data=json.dumps(body))
            assert (got, said in answer["error"]) == (status, True), (body, answer)
        assert (await client.call("POST", "/prompt", data=b"x" * 70_000))[0] == 413
        assert (await client.call("POST", "/prompt", data=b"["))[0] == 400
        for method in ("POST", "GET", "DELETE"):
            assert (await client.call(method, "/prompt", token=client.view_token))[0] == 403
            assert (await client.call(method, "/prompt", token="wrong"))[0] == 401
        assert (await client.ok("DELETE", "/prompt"))["prompt"]["state"] == "idle", "nothing to cancel"
        assert service_of(server).pid is None, "nothing of this started the model"


async def test_a_server_without_a_model_says_so(astronaut: Image) -> None:
    async with with_reference(astronaut) as (_, client):
        assert (await client.ok("GET"))["prompt"] is None
        for method in ("POST", "GET", "DELETE"):
            status, answer = await client.call(method, "/prompt")
            assert (status, answer["hint"]) == (404, "start it with --prompt-model")


async def test_one_edit_at_a_time_whoever_asks(astronaut: Image, quick: Services) -> None:
    async with with_reference(astronaut, quick) as (server, first):
        second = await server.open()
        await second.ok("POST", "/reference", data=png(astronaut), headers=PNG)
        await begin(first, **LONG)
        status, answer = await first.call("POST", "/prompt", json=LONG)
        assert (status, "under way" in answer["error"]) == (409, True)
        url = f"{server.origin}/api/sessions/{second.id}/prompt"
        headers = {"Authorization": f"Bearer {second.token}"}
        async with server.http.post(url, json=LONG, headers=headers) as busy:
            assert (busy.status, busy.headers["Retry-After"]) == (503, "10")
            assert "for another session" in (await busy.json())["error"]
        await second.ok("DELETE", "/prompt")
        assert (await until_prompt(first, "editing"))["total"] == 100, "another session stops nothing"
        pid = service_of(server).pid
        assert pid is not None
        assert (await first.ok("DELETE", "/prompt"))["prompt"]["state"] == "stopped"
        assert (await first.ok("GET"))["edit"] is None
        await until(lambda: gone(pid))
        assert (await begin(second, **LONG))["prompt"]["state"] == "loading", "now it is the other's turn"
        assert (await first.ok("GET", "/prompt"))["state"] == "stopped"


async def test_a_session_that_ends_takes_its_edit_with_it(astronaut: Image, quick: Services) -> None:
    async with with_reference(astronaut, quick) as (server, client):
        await begin(client, **LONG)
        await until_prompt(client, "editing")
        pid = service_of(server).pid
        assert pid is not None
        assert (await client.call("DELETE"))[0] == 200
        await until(lambda: gone(pid))
        assert (await client.call("GET", "/prompt"))[0] == 404
        other = await server.open()
        await other.ok("POST", "/reference", data=png(astronaut), headers=PNG)
        assert (await begin(other, **LONG))["prompt"]["state"] == "loading", "it is the next one's turn"


async def test_an_edit_lands_on_its_still_or_nowhere(astronaut: Image, quick: Services) -> None:
    async with with_reference(astronaut, quick) as (_, client):
        state = await client.ok("PUT", "/edit", data=png(painted(astronaut, (220, 10, 10))), headers=PNG)
        look, keyframe = state["active"], state["reference"]["version"]
        worn = (await client.ok("POST", "/looks"))["active"]
        await begin(client, prompt="a hat", steps=2, look=look, keyframe=keyframe)
        assert (await settled(client))["state"] == "done"
        state = await client.ok("GET")
        assert (state["active"], state["edit"]) == (worn, None), "the look worn meanwhile has no edit"
        state = await client.ok("POST", f"/looks/{look}/wear")
        assert state["edit"]["reference_version"] == keyframe
        assert (await client.picture("edit") != painted(astronaut, (220, 10, 10))).any()

        await begin(client, **LONG)
        await until_prompt(client, "editing")
        await client.ok("POST", "/reference", data=png(astronaut[:, ::-1].copy()), headers=PNG)
        await client.ok("DELETE", "/edit")
        prompt = await settled(client)
        assert (prompt["state"], "replaced or removed" in prompt["error"]) == ("failed", True)
        assert (await client.ok("GET"))["edit"] is None


async def test_frames_and_requests_go_on_while_the_process_hangs(astronaut: Image, quick: Services) -> None:
    async with with_reference(astronaut, quick) as (server, client):
        await begin(client, **LONG)
        await until_prompt(client, "editing")
        pid = service_of(server).pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)  # as slow as can be
        async with publishing(client), watching(client) as screen:
            await screen.after(20)
        begun_s = time.perf_counter()
        assert (await client.ok("DELETE", "/prompt"))["prompt"]["state"] == "stopped"
        assert time.perf_counter() - begun_s < 1
        await until(lambda: gone(pid))


async def test_the_server_ends_the_process_with_itself(astronaut: Image, model: str) -> None:
    async with server_process("--prompt-model", model) as (server, process):
        client = await server.open()
        await client.ok("POST", "/reference", data=png(astronaut), headers=PNG)
        await begin(client, **LONG)
        await until_prompt(client, "editing")
        children = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        assert children
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0
        await until(lambda: all(gone(pid) for pid in children))


def test_a_missing_model_is_refused_at_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "none")
    assert main(["serve", "--port", "0", "--no-store", "--prompt-model", missing]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("livery: no model to edit by words: there is no folder")
    assert missing in said
    assert main(["serve", "--port", "0", "--no-store", "--prompt-controlnet", missing]) == 2
    assert "prompt_controlnet needs prompt_model" in capsys.readouterr().err
