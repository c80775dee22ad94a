"""What an installed Livery must do on any Python: doctor, a demo session over WebRTC, an edited clip.

    python tests/smoke.py

Runs the `livery` beside the Python that runs this file, and imports nothing from the checkout.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
import urllib.parse
from fractions import Fraction
from pathlib import Path

import aiohttp
import av
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from PIL import Image as Pillow

from correspondence import Image, Landmarks, detect_landmarks
from reference import presets
from stream.media.demo import DemoSource

LIVERY = str(Path(sys.executable).parent / "livery")
BLUE = "#1828e0"  # a lip colour no face has by itself
FRAMES, FPS = 12, 15
PATIENCE_S = 120


def say(text: str) -> None:
    """A line for the log."""
    print(text, flush=True)


def livery(*arguments: str, folder: Path) -> str:
    """Run a verb that must succeed; returns what it printed."""
    say(f"+ livery {' '.join(arguments)}")
    done = subprocess.run(
        [LIVERY, *arguments], cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise SystemExit(f"livery {arguments[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def lips_turn_blue(image: Image, landmarks: Landmarks | None) -> bool:
    """Whether the lower lip is more blue than red."""
    if landmarks is None:
        return False
    x, y = np.rint(landmarks.points[[17, 84, 314, 14], :2].mean(axis=0)).astype(int)
    red, _, blue = image[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3).mean(axis=0)
    return bool(blue > red + 25)


def edit_a_clip(folder: Path) -> None:
    """File mode: every frame of a short clip wears the edit of its first."""
    source = DemoSource((480, 640), FPS)
    frames = [source.frame(number) for number in range(FRAMES)]
    with av.open(str(folder / "clip.mp4"), "w") as container:
        track = container.add_stream("libx264", rate=Fraction(FPS), options={"crf": "12"})
        track.width, track.height, track.pix_fmt = 640, 480, "yuv420p"
        for frame in frames:
            container.mux(track.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(track.encode())
    livery("reference", "clip.mp4", "-o", "still.png", folder=folder)
    still = np.asarray(Pillow.open(folder / "still.png").convert("RGB"))
    landmarks = detect_landmarks(still)
    assert landmarks is not None, "no face in the reference"
    Pillow.fromarray(presets.apply("lipstick", still, landmarks, colour=BLUE)).save(folder / "edited.png")
    livery("edit", "clip.mp4", "--edited", "edited.png", "-o", "out.mp4", folder=folder)
    with av.open(str(folder / "out.mp4")) as container:
        made = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]
    assert len(made) == FRAMES, f"{len(made)} frames of {FRAMES}"
    worn = sum(lips_turn_blue(image, detect_landmarks(image)) for image in made)
    assert worn >= FRAMES - 1, f"{worn} of {FRAMES} frames wear the lipstick"
    say(f"{worn} of {FRAMES} frames wear the lipstick")


async def watch_a_demo(folder: Path) -> None:
    """Live mode: the demo's face gets lipstick, seen by a viewer over WebRTC."""
    say("+ livery demo")
    server = await asyncio.create_subprocess_exec(
        LIVERY, "demo", "--port", "0", "--no-store", cwd=folder, stdout=asyncio.subprocess.PIPE
    )
    try:
        await asyncio.wait_for(_wear_and_watch(await _demo_address(server)), PATIENCE_S)
    finally:
        if server.returncode is None:
            server.terminate()
        await server.wait()


async def _demo_address(server: asyncio.subprocess.Process) -> str:
    assert server.stdout is not None
    while line := (await asyncio.wait_for(server.stdout.readline(), PATIENCE_S)).decode():
        if (found := re.match(r"Livery's demo is at (\S+)", line)) is not None:
            return found[1]
    raise SystemExit(f"livery demo ended with {await server.wait()} before it said where it is")


async def _wear_and_watch(address: str) -> None:
    parts = urllib.parse.urlsplit(address)
    named = urllib.parse.parse_qs(parts.fragment)
    session, token = named["session"][0], named["token"][0]
    origin = f"{parts.scheme}://{parts.netloc}"
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("video", direction="recvonly")
    arrived: asyncio.Future[MediaStreamTrack] = asyncio.get_running_loop().create_future()
    peer.on("track", arrived.set_result)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http:
        await peer.setLocalDescription(await peer.createOffer())
        offer, kind = peer.localDescription.sdp, {"Content-Type": "application/sdp"}
        async with http.post(f"{origin}/whep/{session}", data=offer, headers=kind) as answer:
            assert answer.status == 201, await answer.text()
            said = RTCSessionDescription(sdp=await answer.text(), type="answer")
        await peer.setRemoteDescription(said)
        track = await arrived
        await track.recv()
        for path, body in (("reference", {}), ("preset", {"name": "lipstick", "colour": BLUE})):
            async with http.post(f"{origin}/api/sessions/{session}/{path}", json=body) as answer:
                assert answer.status < 300, (path, await answer.text())
        seen = 0
        while True:
            image = (await track.recv()).to_ndarray(format="rgb24")  # type: ignore[union-attr]
            seen += 1
            if seen % 5 == 0 and lips_turn_blue(image, detect_landmarks(image)):
                break
    await peer.close()
    say(f"the viewer saw the lipstick after {seen} frames")


def main() -> None:
    """All three, in an empty folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        say(livery("doctor", folder=folder))
        edit_a_clip(folder)
        asyncio.run(watch_a_demo(folder))
    say(f"smoke test passed on Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
