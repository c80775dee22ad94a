"""The recordings of a session over HTTP: begun, paused, ended, played, deleted; and the limit of the disk."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from correspondence import Image
from stream.config import ServerConfig
from stream.filling.worker import FillWorker
from stream.media.demo import DemoSource
from stream.recording.config import RecordConfig
from stream.recording.recorder import Recorder
from stream.session.services import load_services
from stream.storage.config import StorageConfig
from tests.stream.rig import Client, Json, Server, serving, until

SIZE = (120, 160)


@pytest.fixture(scope="module")
def frames() -> list[Image]:
    source = DemoSource(SIZE, fps=25)
    return [source.frame(number) for number in range(10)]


@pytest.fixture
def worker() -> Iterator[FillWorker]:
    made = FillWorker()
    yield made
    made.close()


@contextlib.asynccontextmanager
async def recording_server(folder: Path, **more: Any) -> AsyncIterator[Server]:
    """A server that records; its pieces are short."""
    async with serving(record=folder, **more) as server:
        yield server


def feed(server: Server, client: Client, frames: list[Image], start: int, count: int = 10) -> None:
    """Frames into the recording, as the pipeline does."""
    shelf = server.session(client).shelf
    for number in range(start, start + count):
        at_s = time.monotonic() + number / 25
        shelf.source(frames[number % len(frames)], at_s)
        shelf.live(frames[number % len(frames)], at_s)


def inside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def act(client: Client, action: str) -> Json:
    state = await client.ok("POST", "/recording", json={"action": action})
    recording = state["recording"]
    assert isinstance(recording, dict)
    return recording


def length_of(path: Path) -> tuple[int, float]:
    """Pictures of a film and its length in seconds."""
    with av.open(str(path)) as container:
        times = [float(frame.time) for frame in container.decode(video=0) if frame.time is not None]
    return len(times), times[-1] - times[0]


async def test_start_pause_stop_play_delete(tmp_path: Path, frames: list[Image]) -> None:
    async with recording_server(tmp_path, record_asked=True) as server:
        client = await server.open()
        assert (await client.ok("GET"))["recording"]["active"] is False, "only when it is asked"
        assert (await client.call("POST", "/recording", json={"action": "pause"}))[0] == 409
        assert (await act(client, "start"))["active"] is True
        assert (await client.call("POST", "/recording", json={"action": "start"}))[0] == 409
        assert (await client.call("POST", "/recording", json={"action": "fly"}))[0] == 400
        shelf = server.session(client).shelf
        feed(server, client, frames, 0)
        await until(lambda: bool(shelf.recorder and shelf.recorder.status().live == 10))
        await act(client, "pause")
        assert shelf.recorder is not None
        assert shelf.recorder.status().paused
        feed(server, client, frames, 0)
        assert shelf.recorder.status().dropped == 0, "a pause is no loss"
        await act(client, "resume")
        assert not shelf.recorder.status().paused
        feed(server, client, frames, 0)
        seen = server.session(client).status.stats()["recording"]
        assert isinstance(seen, dict)
        assert (await act(client, "stop"))["active"] is False
        (entry,) = (await client.ok("GET", "/recordings"))["recordings"]
        live = tmp_path / entry["name"] / "live.mp4"
        assert length_of(live)[0] == 20, "what came in the pause is left out"
        assert entry["bytes"] > 0
        assert entry["files"][0]["name"] == "live.mp4"
        film = await client.ok("POST", f"/recordings/{entry['name']}/lend", json={"file": "live.mp4"})
        async with server.http.get(
            f"{server.origin}{film['url']}", headers={"Range": "bytes=0-99"}
        ) as answer:
            assert (answer.status, len(await answer.read())) == (206, 100)
        async with server.http.get(f"{server.origin}{film['url']}?download=1") as answer:
            assert "attachment" in answer.headers["Content-Disposition"]
            assert await answer.read() == live.read_bytes()
        state = await client.ok("DELETE", f"/recordings/{entry['name']}")
        assert state["recording"]["count"] == 0
        assert inside(tmp_path) == []
        async with server.http.get(f"{server.origin}{film['url']}") as answer:
            assert answer.status == 404, "deleted means deleted"
        await asyncio.sleep(0.5)
        assert inside(tmp_path) == [], "nothing comes back of what was still made of it"


@pytest.mark.parametrize("name", ["..", "elsewhere", "20260101-000000-abcdef", "%2e%2e%2fx"])
async def test_no_other_name_gives_or_deletes_anything(tmp_path: Path, name: str) -> None:
    (tmp_path / "20260101-000000-abcdef").mkdir()
    async with recording_server(tmp_path) as server:
        client = await server.open()
        for method, path in (("DELETE", ""), ("POST", "/lend")):
            status, _ = await client.call(method, f"/recordings/{name}{path}", json={"file": "live.mp4"})
            assert status in (404, 405)
        assert (tmp_path / "20260101-000000-abcdef").is_dir()
        for token in (client.view_token, "wrong"):
            assert (await client.call("GET", "/recordings", token=token))[0] in (401, 403)


async def test_a_file_that_is_no_film_is_not_lent(tmp_path: Path) -> None:
    async with recording_server(tmp_path, record_asked=True) as server:
        client = await server.open()
        await act(client, "start")
        (entry,) = (await client.ok("GET", "/recordings"))["recordings"]
        for file in ("../secret.mp4", "keyframe-1-2.png", 7, None, "piece-00001.source.ts"):
            path = f"/recordings/{entry['name']}/lend"
            assert (await client.call("POST", path, json={"file": file}))[0] == 400
        assert (await client.call("POST", path, json={"file": "refined.mp4"}))[0] == 404


@pytest.mark.parametrize("wanted", ["keep", "delete"])
async def test_the_end_says_what_remains(tmp_path: Path, frames: list[Image], wanted: str) -> None:
    folder = tmp_path / "films"
    async with recording_server(folder, store=StorageConfig(folder=tmp_path / "data")) as server:
        client = await server.open()
        await act(client, "start")
        feed(server, client, frames, 0)
        (name,) = server.session(client).shelf.names
        said = await client.ok("DELETE", f"?recordings={wanted}")
        left = [name] if wanted == "keep" else []
        assert said["remains"] == {"recordings": left}
        assert said["deleted"]["recordings"] == ([] if left else [name])
        await asyncio.sleep(0.3)
        assert inside(folder) == left


async def test_recordings_are_still_its_own_after_a_restart(tmp_path: Path, frames: list[Image]) -> None:
    folder, store = tmp_path / "films", StorageConfig(folder=tmp_path / "data")
    async with recording_server(folder, store=store, record_asked=True) as server:
        client = await server.open()
        await act(client, "start")
        feed(server, client, frames, 0)
    async with recording_server(folder, store=store, record_asked=True) as server:
        again = Client(server, client.id, client.token, client.view_token)
        (entry,) = (await again.ok("GET", "/recordings"))["recordings"]
        assert length_of(folder / entry["name"] / "live.mp4")[0] == 10
        await again.ok("DELETE", f"/recordings/{entry['name']}")
        assert inside(folder) == []


async def test_a_server_without_a_folder_says_so() -> None:
    async with serving() as server:
        client = await server.open()
        assert (await client.ok("GET"))["recording"] is None
        status, body = await client.call("POST", "/recording", json={"action": "start"})
        assert (status, "--record" in body["hint"]) == (409, True)


def test_the_limit_ends_the_recording_and_it_plays(
    tmp_path: Path, worker: FillWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.recording.recorder.MEASURE_S", 0.0)
    config = RecordConfig(folder=tmp_path, max_mib=1)
    recorder = Recorder(config, "one", worker)
    chance = np.random.default_rng(0)
    number = 0
    until_s = time.monotonic() + 60
    while not recorder.broken:
        assert time.monotonic() < until_s
        recorder.live(chance.integers(0, 256, (240, 320, 3), np.uint8), number / 25)
        number += 1
        time.sleep(0.005)
    assert "all recordings together reached 1 MiB" in recorder.broken
    assert "--record-mib" in recorder.broken
    frames, seconds = length_of(tmp_path / "one" / "live.mp4")
    assert frames > 5
    assert recorder.status().bytes < 3 * 2**20
    assert seconds == pytest.approx(recorder.status().seconds, abs=1.0)
    recorder.close()


def test_a_killed_recording_plays_to_its_last_second(tmp_path: Path, worker: FillWorker) -> None:
    """At any frame rate: groups of pictures are bounded in time."""
    source = DemoSource(SIZE, fps=10)
    recorder = Recorder(RecordConfig(folder=tmp_path), "one", worker)
    for number in range(62):
        recorder.live(source.frame(number), recorder._start_s + number / 10)
        while not recorder._inbox.empty():
            time.sleep(0.005)
    time.sleep(0.2)
    copy = tmp_path / "copy.mp4"
    copy.write_bytes((tmp_path / "one" / "live.mp4").read_bytes())  # as a kill leaves it
    assert length_of(copy)[1] >= 61 / 10 - 1.1
    recorder.close()


def test_the_configuration_is_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="max_mib must lie in"):
        RecordConfig(folder=tmp_path, max_mib=0)
    services = load_services(ServerConfig(matcher="classical"))
    assert services.recording is None
    services.shutdown()


async def test_a_session_has_so_many_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.recording.shelf.MOST_RECORDINGS", 1)
    async with recording_server(tmp_path, record_asked=True) as server:
        client = await server.open()
        await act(client, "start")
        await act(client, "stop")
        status, answer = await client.call("POST", "/recording", json={"action": "start"})
        assert (status, "delete some" in answer["hint"]) == (409, True)
