"""Debian's simple-whip-client, on GStreamer: trickles its candidates by PATCH.

Debian 12's aborts at its start: it is linked with libsoup 2, and GStreamer's library for ICE brings libsoup 3
by way of UPnP. The tests put an empty UPnP library before the real one; nothing of the client is changed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from correspondence import Image
from stream.media.pictures import encode_png
from tests.stream.rig import BLUE, is_blue, server_process, until_state, watching

UPNP = "libgupnp-igd-1.0.so.4"
EMPTY = """
void *gupnp_simple_igd_thread_new(void) { return 0; }
unsigned long gupnp_simple_igd_get_type(void) { return 0; }
void gupnp_simple_igd_add_port(void) {}
void gupnp_simple_igd_remove_port_local(void) {}
"""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def without_upnp(folder: Path) -> dict[str, str]:
    """An environment in which programs find an empty UPnP library in `folder`."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: apt-get install gcc")
    source = folder / "empty.c"
    source.write_text(EMPTY)
    command = [compiler, "-shared", "-fPIC", f"-Wl,-soname,{UPNP}", "-o", str(folder / UPNP), str(source)]
    subprocess.run(command, check=True, timeout=60)
    return {**os.environ, "LD_LIBRARY_PATH": str(folder)}


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
            env=without_upnp(tmp_path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            state = await until_state(
                client, lambda state: process.returncode is not None or state["source"] is not None, 30
            )
            if process.returncode is not None:
                pytest.fail((await process.communicate())[0].decode()[-3000:])
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
