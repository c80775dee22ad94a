"""FFmpeg's own WHIP muxer as publisher: another implementation, with its default certificate.

The server runs as a process of its own, as it does for FFmpeg anywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

from tests.stream.rig import BLUE, ROOT, Client, is_blue, server_process, until_state, watching


@contextlib.asynccontextmanager
async def ffmpeg(client: Client, profile: str = "baseline") -> AsyncIterator[asyncio.subprocess.Process]:
    """FFmpeg publishing to a session; killed at the end where it still runs."""
    url = f"{client.server.origin}/whip/{client.id}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "tests/stream/whip_publisher.py", url, client.token, "60", profile,
        stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_ffmpeg_publishes_and_a_viewer_sees_the_edit() -> None:
    async with server_process() as (server, _):
        client = await server.open()
        async with ffmpeg(client) as process:
            state = await until_state(
                client, lambda state: process.returncode is not None or state["source"] is not None, 20
            )
            assert process.returncode is None, (await process.communicate())[1].decode()
            assert (state["source"]["width"], state["source"]["height"]) == (640, 480)
            await client.ok("POST", "/reference", json={"auto": True})
            await client.ok("POST", "/preset", json={"name": "lipstick", "colour": BLUE, "strength": 1})
            async with watching(client) as screen:
                await screen.shows(is_blue)
            _, errors = await asyncio.wait_for(process.communicate(b""), 10)  # its input ends: it stops
            assert process.returncode == 0, errors.decode()
            state = await until_state(client, lambda state: not state["publishing"])
            assert state["note"] is None, "FFmpeg says goodbye with DELETE"


async def test_ffmpeg_killed_mid_call_is_noticed_and_may_come_back() -> None:
    async with server_process() as (server, _):
        client = await server.open()
        for _ in range(2):
            async with ffmpeg(client) as process:
                await until_state(
                    client, lambda state: process.returncode is not None or state["source"] is not None, 20
                )
                assert process.returncode is None, (await process.communicate())[1].decode()
                process.kill()
            state = await until_state(client, lambda state: not state["publishing"], 7)
            assert "no picture arrived for 5 s" in state["note"]
