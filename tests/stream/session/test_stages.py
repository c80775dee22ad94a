"""What is built for a session belongs to it: built once, and closed with it whenever it ends."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from pathlib import Path

import pytest

from correspondence import Image
from reference import Decision, Outfit, Result, Workshop
from stream.config import ServerConfig
from stream.filling.worker import FillWorker
from stream.recording.config import RecordConfig
from stream.session.services import Services
from tests.stream.rig import new_peer, serving, until

BUILD_S = 0.15


class Slow:
    """A propagator that takes its time to be made, and keeps account of who is open."""

    made = 0
    open: set[Slow]

    def __init__(self) -> None:
        time.sleep(BUILD_S)
        type(self).made += 1
        self.open.add(self)

    def step(self, frame: Image, now_s: float) -> Result:
        raise NotImplementedError

    @property
    def workshop(self) -> Workshop:
        raise NotImplementedError

    def limit_faces(self, faces: int) -> None: ...

    def give_way(self, thin: int) -> None: ...

    def put_on(self, outfit: Outfit | None, *, enabled: bool = True, strength: float = 1.0) -> None:
        pass

    @property
    def decision(self) -> Decision | None:
        return None

    def close(self) -> None:
        self.open.discard(self)


@pytest.fixture
def slow() -> Services:
    Slow.made, Slow.open = 0, set()
    return Services(config=ServerConfig(opens_per_minute=1000), new_propagator=Slow)


async def test_hanging_up_while_it_is_built_builds_one_pipeline_and_leaks_none(slow: Services) -> None:
    peer = new_peer()
    peer.addTransceiver("video", direction="sendonly")
    await peer.setLocalDescription(await peer.createOffer())
    sdp = peer.localDescription.sdp
    async with serving(slow) as server:
        client = await server.open()
        before = threading.active_count()
        for _ in range(20):
            status, _, headers = await client.signal("whip", sdp)
            assert status == 201
            wanted = {"Authorization": f"Bearer {client.token}"}
            async with server.http.delete(headers["Location"], headers=wanted) as answer:
                assert answer.status == 200
        await until(lambda: Slow.made == 1)
        await asyncio.sleep(2 * BUILD_S)
        assert Slow.made == 1
        assert (await client.call("DELETE"))[0] == 200
        assert not Slow.open
        assert not [t.name for t in threading.enumerate() if t.name.startswith("pipeline-")]
        assert threading.active_count() <= before + 8  # the pools' own, which stay
    await peer.close()


async def test_a_session_that_ends_while_it_is_built_leaves_nothing(slow: Services) -> None:
    async with serving(slow) as server:
        for _ in range(12):
            client = await server.open()
            demo = asyncio.create_task(client.call("POST", "/demo"))
            await asyncio.sleep(0.03)
            assert (await client.call("DELETE"))[0] == 200
            assert (await demo)[0] == 409
        assert not Slow.open
        assert not [t.name for t in threading.enumerate() if t.name.startswith("pipeline-")]


async def test_a_build_that_fails_is_told_and_tried_again(slow: Services) -> None:
    async with serving(slow) as server:
        client = await server.open()
        session = server.session(client)
        made = slow.new_propagator
        object.__setattr__(slow, "new_propagator", lambda: 1 / 0)
        assert (await client.call("POST", "/demo"))[0] == 500
        assert any("could not be prepared" in str(entry["text"]) for entry in session.status.log())
        object.__setattr__(slow, "new_propagator", made)
        assert (await client.call("POST", "/demo"))[0] == 200


async def test_a_recording_that_cannot_begin_is_told_and_the_session_goes_on(
    tmp_path: Path, slow: Services
) -> None:
    folder = tmp_path / "recordings"
    config = RecordConfig(folder=folder)
    config.require()
    shutil.rmtree(folder)
    folder.write_text("in the way")
    object.__setattr__(slow, "recording", config)
    object.__setattr__(slow, "filler", FillWorker())
    async with serving(slow) as server:
        client = await server.open()
        session = server.session(client)
        await client.ok("POST", "/demo")
        assert session.connections.demo
        assert any("not recorded" in str(entry["text"]) for entry in session.status.log())
        recording = session.status.stats()["recording"]
        assert isinstance(recording, dict)
        assert str(folder) in recording["error"]
