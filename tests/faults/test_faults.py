"""What goes wrong around the server: it is stopped and continued, runs out of descriptors or of room."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from stream.cli.main import main
from tests.conftest import ENTRY, ROOT
from tests.stream.clips import Clip, leftovers, make_clip, painted_frame
from tests.stream.rig import Client, Server, new_peer, publishing, server_process, serving, until, watching

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")


async def test_a_server_that_was_stopped_goes_on_where_it_was() -> None:
    async with server_process() as (server, process):
        client = await server.open()
        async with publishing(client), watching(client) as screen:
            await screen.after(5, 30)
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(4)
            process.send_signal(signal.SIGCONT)
            await screen.after(10, 30)
            assert (await client.ok("GET"))["publishing"]


async def test_without_descriptors_the_stream_goes_on_and_requests_come_back() -> None:
    async with server_process() as (server, process):
        client = await server.open()
        async with publishing(client), watching(client) as screen:
            await screen.after(5, 30)
            held = len(os.listdir(f"/proc/{process.pid}/fd"))
            before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (held + 2, before[1]))
            host, port = server.origin.removeprefix("http://").split(":")
            opened = [await asyncio.open_connection(host, int(port)) for _ in range(12)]
            await asyncio.sleep(0.5)
            await screen.after(5, 20)
            for _, writer in opened:
                writer.close()
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, before)
            for _ in range(100):
                if await answers(server):
                    break
                await asyncio.sleep(0.2)
            assert await answers(server)
            await screen.after(5, 20)


async def answers(server: Server) -> bool:
    try:
        async with server.http.get(f"{server.origin}/healthz") as answer:
            return answer.status == 200
    except OSError:
        return False


async def coming_and_going(client: Client, sdp: str, times: int) -> None:
    """A page's socket and a viewer that connect and leave, again and again."""
    authorised = {"Authorization": f"Bearer {client.token}"}
    for number in range(times):
        async with client.events() as page:
            await page.receive_json(timeout=10)
        if number % 4 == 0:
            status, answer, headers = await client.signal("whep", sdp)
            assert status == 201, answer
            async with client.server.http.delete(headers["Location"], headers=authorised) as gone:
                assert gone.status == 200


def held() -> tuple[int, int, int]:
    """Descriptors, threads and tasks of this process."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")), threading.active_count(), len(asyncio.all_tasks())


@pytest.mark.parametrize(
    "times", [40, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]
)
async def test_who_comes_and_goes_leaves_nothing_behind(times: int) -> None:
    peer = new_peer()
    peer.addTransceiver("video", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    async with serving(offers_per_minute=100_000) as server:
        client = await server.open()
        await coming_and_going(client, peer.localDescription.sdp, 12)  # pools and caches are there now
        before = held()
        await coming_and_going(client, peer.localDescription.sdp, times)
        session = server.session(client)
        await until(lambda: not session.connections.busy and session.events.listeners == 0)
        await until(lambda: all(now <= then + 3 for now, then in zip(held(), before, strict=True)), 20)
    await peer.close()


def limited(most_bytes: int) -> Callable[[], None]:
    """For a child process: files may not grow beyond this, as on a disk that is full."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    return limit


def test_a_clip_for_which_there_is_no_room_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=25))
    picture = painted_frame(clip, 0, tmp_path / "edited.png")
    done = subprocess.run(
        [*ENTRY, "edit", str(clip), "--edited", str(picture), "-o", str(tmp_path / "out.mp4"),
         "--matcher", "classical", "--crf", "0"],
        cwd=ROOT, capture_output=True, text=True, timeout=150, preexec_fn=limited(8192), check=False,
    )  # fmt: skip
    assert done.returncode in (1, 2), done.stderr
    assert "Traceback" not in done.stderr
    assert "out.mp4" in done.stderr
    assert not (tmp_path / "out.mp4").exists()
    assert not leftovers(tmp_path)


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A home in which nothing can be made, not even by root."""
    monkeypatch.setenv("HOME", "/proc")
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_home")
def test_a_home_that_cannot_be_written_is_told_before_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "0", "--matcher", "classical"]) == 2
    told = capsys.readouterr().err
    for part in ("/proc/.local/share/livery", "--data", "--no-store"):
        assert part in told
    assert main(["serve", "--port", "0", "--matcher", "classical", "--no-store", "--tls", "auto"]) == 2
    told = capsys.readouterr().err
    for part in ("/proc/.config/livery/tls", "--tls CERT KEY", "XDG_CONFIG_HOME"):
        assert part in told


@pytest.mark.slow
@pytest.mark.usefixtures("no_home")
async def test_without_a_home_a_session_in_memory_runs() -> None:
    async with server_process() as (server, _):
        client = await server.open()
        async with publishing(client), watching(client) as screen:
            await screen.after(5, 30)
            assert (await client.ok("GET"))["publishing"]
