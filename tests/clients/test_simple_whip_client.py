"""Debian's simple-whip-client, on GStreamer: trickles its candidates by PATCH."""

from __future__ import annotations

import asyncio
import shutil
import signal
from pathlib import Path

import pytest

from correspondence import Image
from stream.media.pictures import encode_png
from tests.stream.rig import BLUE, is_blue, server_process, until_state, watching

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.mark.parametrize("trickle", [True, False])
async def test_it_publishes_a_face_and_a_viewer_sees_the_edit(
    tmp_path: Path, astronaut: Image, trickle: bool
) -> None:
    path = shutil.which("whip-client")
    if path is None:
        pytest.skip("no whip-client found: tests/install_clients installs Debian's")
    face = tmp_path / "face.png"
    face.write_bytes(encode_png(astronaut))
    video = (
        f"filesrc location={face} ! pngdec ! imagefreeze is-live=true ! videoconvert ! "
        "video/x-raw,format=I420,framerate=15/1 ! vp8enc deadline=1 keyframe-max-dist=15 ! "
        "rtpvp8pay pt=96 ssrc=2 ! queue ! application/x-rtp,media=video,encoding-name=VP8,payload=96"
    )
    async with server_process() as (server, _):
        client = await server.open()
        process = await asyncio.create_subprocess_exec(
            path, "-u", f"{server.origin}/whip/{client.id}", "-t", client.token, "-V", video, "-o",
            *([] if trickle else ["-n"]),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            state = await until_state(
                client, lambda state: process.returncode is not None or state["source"] is not None, 30
            )
            if process.returncode is not None:
                said = (await process.communicate())[0].decode()
                if "libsoup2 and libsoup3" in said:
                    pytest.skip(
                        "this Debian's whip-client cannot run: it and webrtcbin want different libsoups"
                    )
                pytest.fail(said[-3000:])
            assert (state["source"]["width"], state["source"]["height"]) == (512, 512)
            await client.ok("POST", "/reference", json={"auto": True})
            await client.ok("POST", "/preset", json={"name": "lipstick", "colour": BLUE, "strength": 1})
            async with watching(client) as screen:
                await screen.shows(is_blue)
            process.send_signal(signal.SIGINT)  # it says goodbye with DELETE
            state = await until_state(client, lambda state: not state["publishing"])
            assert state["note"] is None
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()
