"""Reads frames from a peer's video track or from the demo. Only the newest frame is converted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from stream.colour.frames import to_rgb
from stream.live.pipeline import LiveFrame
from stream.live.slot import LatestSlot, SlotClosed
from stream.media.demo import DemoSource
from stream.metrics import SessionMetrics
from stream.rtc.receivers import taken_s

logger = logging.getLogger(__name__)

Submit = Callable[[LiveFrame], None]
DEMO_IDLE_FPS = 2.0  # while nobody watches


async def ingest(
    track: MediaStreamTrack,
    submit: Submit,
    arrived: Callable[[], None],
    executor: Executor,
    metrics: SessionMetrics,
) -> None:
    """Drain a remote video track until it ends.

    Every decoded frame is read, since aiortc queues frames without bound. Only the newest is converted.

    Args:
        track: the remote track.
        submit: called with each converted frame.
        arrived: called on the event loop for each frame that was read.
        executor: runs the conversion.
        metrics: receives drops and conversion times.
    """
    slot: LatestSlot[tuple[av.VideoFrame, float, float | None]] = LatestSlot()
    converting = asyncio.create_task(_convert(slot, submit, executor, metrics))
    try:
        while True:
            frame = await track.recv()
            arrived()
            if isinstance(frame, av.VideoFrame):
                slot.put((frame, time.monotonic(), taken_s(track, frame.pts)))
                metrics.dropped("ingest", slot.dropped)
    except MediaStreamError:
        logger.debug("the video track ended")
    finally:
        slot.close()
        converting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await converting


async def _convert(
    slot: LatestSlot[tuple[av.VideoFrame, float, float | None]],
    submit: Submit,
    executor: Executor,
    metrics: SessionMetrics,
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            frame, captured_s, taken_s = await slot.get()
        except SlotClosed:
            return
        started_s = time.perf_counter()
        image = await loop.run_in_executor(executor, to_rgb, frame)
        metrics.stage("convert", time.perf_counter() - started_s)
        submit(LiveFrame(image, captured_s, taken_s))


async def play_demo(
    source: DemoSource, submit: Submit, watched: Callable[[], bool], executor: Executor
) -> None:
    """Publish the demo at its frame rate until cancelled. The rate is lower while nobody watches.

    Frames that are not drawn in time are skipped, so that the motion keeps its speed.

    Args:
        source: draws the frames.
        submit: called with each frame.
        watched: tells whether anybody watches the session.
        executor: runs the drawing.
    """
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    while True:
        fps = source.fps if watched() else DEMO_IDLE_FPS
        due_s = loop.time() - start_s
        image = await loop.run_in_executor(executor, source.frame, int(due_s * source.fps))
        submit(LiveFrame(image, time.monotonic()))
        step_s = 1.0 / fps
        next_s = start_s + (due_s // step_s + 1) * step_s
        await asyncio.sleep(max(next_s - loop.time(), 0.0))
