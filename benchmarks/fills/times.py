"""Measures the time of fills through the worker, and the effect of a busy worker on the live step."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from benchmarks.common import percentiles
from correspondence import Image, Landmarks, Matcher
from inpaint import FillContext
from inpaint.fills.jobs import GapJob, MaskedJob
from reference import Edit, Propagator, PropagatorConfig, presets
from stream.filling.types import JobError, Priority, Setup
from stream.filling.worker import FillWorker

LIVE_SIZE = (480, 640)
FPS = 30.0
LONGEST_S = 120.0


def live_steps(frames: Sequence[Image], matcher: Matcher, seconds: float) -> dict[str, float]:
    """Wear a lipstick at 640x480 and 30 frames a second, newest frame only. Returns step times and drops."""
    height, width = LIVE_SIZE
    wide = [
        np.ascontiguousarray(cv2.resize(f, (width, width))[(width - height) // 2 :][:height]) for f in frames
    ]
    prepared = matcher.prepare(wide[0])
    if prepared.landmarks is None:
        raise ValueError("the clip's first frame shows no face: choose another clip")
    edit = Edit(wide[0], presets.apply("lipstick", wide[0], prepared.landmarks))
    propagator = Propagator(edit, matcher, config=PropagatorConfig(references=None))
    for k in range(10):
        propagator.step(wide[k % len(wide)], k / FPS)
    took, dropped, done = [], 0, 0
    start_s = time.perf_counter()
    while (now_s := time.perf_counter() - start_s) < seconds:
        due = int(now_s * FPS)
        if due < done:
            time.sleep(max(0.0, done / FPS - now_s))
            continue
        dropped += due - done
        began_s = time.perf_counter()
        propagator.step(wide[due % len(wide)], due / FPS)
        took.append(1e3 * (time.perf_counter() - began_s))
        done = due + 1
    propagator.close()
    return {**percentiles(took), "dropped %": 100 * dropped / max(1, dropped + len(took))}


def autoencoder_times(side: int = 256, repeats: int = 15) -> dict[str, float]:
    """Measure encoding and decoding of one picture on one CPU thread: ours and diffusers' AutoencoderTiny.

    Both have random weights, which take as long as trained ones. The two are run in turn.

    Returns:
        Median times, ms.
    """
    import torch
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    from inpaint.model.autoencoder import Autoencoder

    ours = Autoencoder().eval()
    tiny: Any = AutoencoderTiny(latent_channels=ours.config.latent_channels).eval()
    picture = torch.rand(1, 3, side, side)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    took: dict[str, list[float]] = {}
    try:
        with torch.no_grad():
            latents = ours.encode(picture)
            runs: dict[str, Callable[[], object]] = {
                "ours, encode": lambda: ours.encode(picture),
                "ours, decode": lambda: ours.decode(latents),
                "AutoencoderTiny, encode": lambda: tiny.encode(picture),
                "AutoencoderTiny, decode": lambda: tiny.decode(latents),
            }
            for _ in range(repeats + 1):
                for name, go in runs.items():
                    began_s = time.perf_counter()
                    go()
                    took.setdefault(name, []).append(1e3 * (time.perf_counter() - began_s))
    finally:
        torch.set_num_threads(threads)
    return {f"{name} ms": float(np.median(values[1:])) for name, values in took.items()}


def requests(frames: Sequence[Image], landmarks: Sequence[Landmarks | None]) -> tuple[MaskedJob, GapJob]:
    """Make one masked fill over a tenth of the picture, and one pair between two references, at 256 x 256."""
    image = frames[0]
    mask = np.zeros(image.shape[:2], np.float32)
    h, w = image.shape[:2]
    cv2.ellipse(mask, (w // 2, h // 2), (int(0.2 * w), int(0.16 * h)), 0, 0, 360, 1.0, -1)
    context = FillContext(landmarks=landmarks[0], reference=frames[3], reference_landmarks=landmarks[3])
    pair = GapJob(references={0: frames[0], 3: frames[3]}, landmarks=dict(enumerate(landmarks[:4])))
    return MaskedJob(image=image, mask=mask, context=context), pair


@contextlib.contextmanager
def kept_busy(worker: FillWorker, job: MaskedJob) -> Iterator[list[float]]:
    """Keep the worker busy with masked fills. Yields the time of each, ms, from request to result."""
    took: list[float] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            began_s = time.perf_counter()
            asked = worker.submit(Priority.MASKED, job, deadline_s=LONGEST_S, fresh=lambda: not stop.is_set())
            try:
                asked.future.result()
            except JobError:
                return
            took.append(1e3 * (time.perf_counter() - began_s))

    thread = threading.Thread(target=ask, name="asking", daemon=True)
    thread.start()
    try:
        yield took
    finally:
        stop.set()
        thread.join(LONGEST_S)


def measure_times(
    frames: Sequence[Image],
    landmarks: Sequence[Landmarks | None],
    matcher: Matcher,
    setup: Setup,
    seconds: float,
) -> dict[str, object]:
    """Measure fill times with an idle and a loaded machine, and the live step without and with a busy worker.

    Args:
        frames, landmarks: at least four frames of a clip at 256 x 256.
        matcher: matcher of the live step.
        setup: setup of the worker.
        seconds: duration of each live run.
    """
    worker = FillWorker(setup)
    masked, pair = requests(frames, landmarks)
    idle: dict[str, list[float]] = {"masked": [], "pair": []}
    try:
        for repeat in range(6):
            for name, kind, job in (("masked", Priority.MASKED, masked), ("pair", Priority.GAP, pair)):
                began_s = time.perf_counter()
                worker.submit(kind, job, deadline_s=LONGEST_S).future.result()
                if repeat:  # the first one starts the process
                    idle[name].append(1e3 * (time.perf_counter() - began_s))
        control = live_steps(frames, matcher, seconds)
        with kept_busy(worker, masked) as loaded:
            busy = live_steps(frames, matcher, seconds)
        again = live_steps(frames, matcher, seconds)
        return {
            "method": worker.status().method,
            "autoencoder": autoencoder_times() if setup.weights is not None else None,
            "masked fill ms, idle": float(np.median(idle["masked"])),
            "quadrant pair ms, idle": float(np.median(idle["pair"])),
            "masked fill ms, loaded": float(np.median(loaded)) if loaded else float("nan"),
            "fills done, loaded": len(loaded),
            "live, worker idle": control,
            "live, worker busy": busy,
            "live, worker idle again": again,
        }
    finally:
        worker.close()
