"""`livery camera` from camera to virtual camera: the delay between a picture offered and the picture shown.

The benchmark serves a clip as a network camera does: pictures as JPEG over HTTP, one after another, each with
its time code. `livery camera` runs in a process of its own (`python -m benchmarks.streams.booth`), reads that
address, and feeds a backend of pyvirtualcam that notes the time and the code of each picture it is sent. Not
measured: exposure and USB of a real camera, the system's virtual camera, and the program that reads it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

import cv2
import numpy as np
import psutil
from aiohttp import web

from benchmarks.common import ROOT
from benchmarks.streams import live, timecode
from benchmarks.streams.runs import Run, observe
from correspondence import Image

Seen = tuple[float, int | None]  # monotonic time, and the code if one was read
NAME = "measured"
READY_S = 60.0  # longest start of the camera
BOUNDARY = "picture"
QUALITY = 90


class Pictures:
    """A clip as JPEG with time codes, served as a network camera serves it. `sent` as in `live.ClipTrack`."""

    def __init__(self, pictures: Iterable[Image], fps: float = live.FPS) -> None:
        self.sent: list[tuple[float, int]] = []
        self._fps = fps
        self._coded: list[tuple[int, bytes]] = []
        for index, picture in enumerate(pictures):
            code = round(1000 * index / fps)
            timecode.draw(picture, code)
            _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            self._coded.append((code, data.tobytes()))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Send the pictures at their rate, again and again, until the reader has gone."""
        response = web.StreamResponse(
            headers={"Content-Type": f"multipart/x-mixed-replace;boundary={BOUNDARY}"}
        )
        await response.prepare(request)
        start_s, count = time.monotonic(), 0
        with contextlib.suppress(ConnectionError):
            while True:
                await asyncio.sleep(max(start_s + count / self._fps - time.monotonic(), 0.0))
                code, data = self._coded[count % len(self._coded)]
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.sent.append((time.monotonic(), code))
                await response.write(head.encode() + data + b"\r\n")
                count += 1
        return response


async def measure(pictures: Pictures, arguments: list[str], seconds: float, warm_up_s: float) -> Run:
    """Measure `livery camera`.

    Args:
        pictures: the camera.
        arguments: preset or "none", matcher, and "True" for keyframes.
        seconds: measured time.
        warm_up_s: seconds after the first edited picture that are not measured.

    Raises:
        RuntimeError: the camera did not start; the message is its own.
    """
    one = Run("livery camera", seconds)
    async with _served(pictures) as url, _camera([url, *arguments]) as (process, seen):
        await observe(one, pictures.sent, seen, process, warm_up_s)
    return one


@contextlib.asynccontextmanager
async def _served(pictures: Pictures) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/camera", pictures.answer)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/camera"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _camera(arguments: list[str]) -> AsyncIterator[tuple[psutil.Process, list[Seen]]]:
    """Start the camera, and wait until it wears its look."""
    command = [sys.executable, "-m", "benchmarks.streams.booth", *arguments]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        child = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=errors
        )
        assert child.stdout is not None
        seen: list[Seen] = []
        worn = asyncio.Event()
        hearing = asyncio.create_task(_hear(child.stdout, seen, worn))
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(worn.wait(), READY_S)
            if not worn.is_set() or child.returncode is not None:
                errors.seek(0)
                raise RuntimeError(f"livery camera did not start: {errors.read()[-500:].strip()}")
            yield psutil.Process(child.pid), seen
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
            await hearing


async def _hear(lines: asyncio.StreamReader, seen: list[Seen], worn: asyncio.Event) -> None:
    """Read what the camera's process prints: "worn" once, and "TIME CODE" for each picture, until it ends."""
    async for line in lines:
        at_s, _, code = line.decode().strip().partition(" ")
        if at_s == "worn":
            worn.set()
        else:
            seen.append((float(at_s), None if code == "-" else int(code)))
    worn.set()


class _Backend:
    """A backend of pyvirtualcam that prints when each picture came, and its code."""

    def __init__(self, *, width: int, height: int, **_: Any) -> None:
        self._size = (height, width)

    def close(self) -> None:
        """Nothing is held."""

    def send(self, frame: Any) -> None:
        """Note one picture, RGB uint8."""
        now_s = time.monotonic()
        luma = np.asarray(frame).reshape(*self._size, 3)[: timecode.code_height(self._size[0])]
        code = timecode.read_rows(cv2.cvtColor(np.ascontiguousarray(luma), cv2.COLOR_RGB2GRAY))
        print(f"{now_s:.6f} {'-' if code is None else code}", flush=True)

    def device(self) -> str:
        """Name of the device."""
        return NAME

    def native_fourcc(self) -> int | None:
        """Pictures are taken as RGB."""
        return None


def main(url: str, preset: str, matcher: str, keyframes: str) -> None:
    """Run `livery camera` into the measuring backend until killed."""
    import pyvirtualcam

    from stream.camera.fitting import LookConfig
    from stream.camera.run import CameraConfig, run_camera
    from stream.looks.choice import layers_of, parse_preset

    pyvirtualcam.register_backend(NAME, _Backend)
    look = LookConfig(drawn=() if preset == "none" else layers_of([parse_preset(preset)]))
    config = CameraConfig(
        source=url, look=look, backend=NAME, matcher=matcher, keyframes=keyframes == "True", fps=live.FPS
    )

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)
        if line.startswith("reference taken") or (not look.drawn and line.startswith("Virtual camera")):
            print("worn", flush=True)

    run_camera(config, lambda: False, say)


if __name__ == "__main__":
    main(*sys.argv[1:])
