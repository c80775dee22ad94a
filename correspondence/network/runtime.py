"""The network matcher over ONNX Runtime or torch, with the largest model that the machine can run live."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from correspondence.errors import WeightsError
from correspondence.geometry.grid import Float, pixel_grid
from correspondence.geometry.region import GRID, Region, choose_region, crop
from correspondence.matchers.classical import FEATHER, gray_of, region_of, resolve
from correspondence.matchers.classical import prepare as prepare_classical
from correspondence.matchers.coarse import Begun, grid_patch
from correspondence.network.checkpoints import GRAPHS, Model, find_models
from correspondence.network.fine import (
    CELLS,
    NetworkAnswer,
    NetworkReference,
    Runner,
    Tables,
    enlarge,
    fine_field,
)
from correspondence.network.propose import COUNT, Past, Proposal, temporal
from correspondence.types import DETECT, Image, Match, MaybeLandmarks, check_image

logger = logging.getLogger(__name__)

BUDGET_S = 0.016  # time of one network step within a frame's 33 ms, seconds
TRIALS = 7


def to_network(image: Image) -> Float:
    """Convert a picture, uint8 (N, N, 3), to float32 (1, 3, N, N) in [0, 1]."""
    return np.asarray(cv2.dnn.blobFromImage(image, 1 / 255), np.float32)


class OnnxRunner:
    """Runs a model in ONNX Runtime on the CPU. Waiting threads sleep, since spinning slows other work.

    Frames are encoded on one thread, since candidates are computed at the same time. The other graphs use
    `threads` threads.
    """

    def __init__(self, model: Model, threads: int = 2) -> None:
        try:
            import onnxruntime
        except ImportError as missing:
            raise WeightsError(
                "the network on a CPU needs ONNX Runtime: pip install 'livery[cpu]'"
            ) from missing
        sessions = []
        for name, count in zip(GRAPHS, (threads, 1, threads), strict=True):
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = count
            options.inter_op_num_threads = 1
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            options.log_severity_level = 3
            path = str(model.folder / name)
            sessions.append(onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"]))
        self._prepare, self._encode, self._frame = sessions
        self._names = [i.name for i in self._frame.get_inputs()]

    def prepare(self, image: Image) -> Tables:
        """See `Runner`."""
        return tuple(self._prepare.run(None, {"image": to_network(image)}))

    def encode(self, image: Image) -> Any:
        """See `Runner`."""
        return self._encode.run(None, {"image": to_network(image)})

    def step(self, seen: Any, tables: Tables, proposal: Proposal) -> NetworkAnswer:
        """See `Runner`."""
        inputs = (*seen, *tables, proposal.candidates[None], proposal.validity[None])
        return NetworkAnswer(
            *[o[0] for o in self._frame.run(None, dict(zip(self._names, inputs, strict=True)))]
        )


@dataclass(frozen=True, eq=False)
class NetworkMatch(Match):
    """A match with what the next frame needs of it.

    Attributes:
        region: the region of the frame.
        gray: luma of the region, uint8 (256, 256).
        prepared: the reference of the match.
        said: the network's output; None if the field was carried over from the frame before.
        values: field and calibrated log_b, float32 (256, 256, 3), cells.
    """

    region: Region
    gray: Any
    prepared: NetworkReference
    said: NetworkAnswer | None
    values: Float


class NetworkMatcher:
    """Matches by candidates and a network. It holds no session state and is safe to share between threads."""

    def __init__(self, runner: Runner, model: Model, every: int = 1) -> None:
        """Make a matcher of one model.

        Args:
            runner: runs the model.
            model: the model.
            every: the network runs on every n-th frame of a session. Other frames are carried over by flow.
        """
        self._runner, self._model, self._every = runner, model, every
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="candidates")

    @classmethod
    def load(cls, kind: str, device: str = "cpu", weights: str | Path | None = None) -> NetworkMatcher:
        """Load the largest model of a kind that this machine can run live.

        Args:
            kind: "compact" or "dinov2".
            device: "cpu" (ONNX Runtime) or "cuda" (torch).
            weights: a model folder; None for the shipped models.

        Raises:
            ValueError: `device` is another one.
            WeightsError: weights are missing or damaged, or the runtime is not installed.
        """
        if device.startswith("cuda"):
            from correspondence.network.torch_runtime import Batching, TorchRunner

            model = find_models(kind, weights, ("state.pt",))[0]
            return cls(Batching(TorchRunner(model, device)), model)
        if device != "cpu":
            raise ValueError(f'device must be "cpu" or "cuda", got {device!r}')
        models = find_models(kind, weights, GRAPHS)
        runner, model, every = climb(models, OnnxRunner)
        return cls(runner, model, every)

    @property
    def kind(self) -> str:
        """ "compact" or "dinov2"."""
        return self._model.kind

    @property
    def size(self) -> str:
        """The model's size, with "/2" if every second frame is carried over."""
        return self._model.size if self._every == 1 else f"{self._model.size}/{self._every}"

    def prepare(self, image: Image, landmarks: MaybeLandmarks = DETECT) -> NetworkReference:
        """Prepare a reference for the network.

        Args:
            image: the reference, RGB uint8 (H, W, 3). It is copied.
            landmarks: landmarks of its face; None if it shows no face; DETECT to detect them.
        """
        base = prepare_classical(image, landmarks)
        inner = crop(base.image, base.region)
        return NetworkReference(base, gray_of(inner), self._runner.prepare(inner))

    def begin(self, frame: Image, prepared: NetworkReference) -> Begun:
        """Start the part of a match that needs no landmarks; see `Matcher.begin`."""
        check_image(frame, "frame")
        return Begun(frame, prepared.base.coarse, self._pool)

    def match(
        self,
        frame: Image,
        prepared: NetworkReference,
        previous: Match | None = None,
        landmarks: MaybeLandmarks = DETECT,
        begun: Begun | None = None,
    ) -> NetworkMatch:
        """Find the place of each pixel of `frame` in the reference; see `Matcher.match`."""
        size = check_image(frame, "frame")
        outer = begun or self.begin(frame, prepared)
        outer.check(frame, prepared.base.coarse)
        found = resolve(frame, landmarks)
        base = prepared.base
        region = choose_region(found if base.face is not None else None, size, region_of(previous))
        inner = crop(frame, region)
        gray = gray_of(inner)
        last = previous if isinstance(previous, NetworkMatch) and previous.prepared is prepared else None
        past = None if last is None else remembered(last, region)
        if past is not None and last is not None and self._every > 1 and last.said is not None:
            said, values = None, carry(gray, past, last.values)
        else:
            said, field, features = fine_field(
                self._runner,
                inner,
                region,
                found,
                prepared,
                size,
                outer.field,
                past,
                self._pool,
            )
            values = np.dstack([field, enlarge(self._model.judge(features))])
        patch = grid_patch(values, region, base.region, FEATHER * region.side)
        return NetworkMatch(
            (outer.field().patch, patch),
            found,
            size,
            check_image(base.image),
            region,
            gray,
            prepared,
            said,
            values,
        )


def remembered(last: NetworkMatch, region: Region) -> Past:
    """Convert the last match for the temporal candidate of a region that may have moved."""
    field = np.ascontiguousarray(last.values[..., :2])
    if region == last.region:
        return Past(last.gray, field)
    at = pixel_grid(GRID, GRID)
    return Past(last.gray, field, last.region.to_grid(region.to_pixels(at)) - at)


def carry(gray: Any, past: Past, values: Float) -> Float:
    """Carry the last frame's values to this frame by flow and raise log_b a little: float32 (256, 256, 3)."""
    field, steady = temporal(gray, past)
    return np.dstack([field, values[..., 2] + np.log(2 - steady) + 0.1]).astype(np.float32)


def random_step(runner: Runner) -> Callable[[], NetworkAnswer]:
    """Return a function that runs one network step on random input, with encoding, for timing.

    It has been called once, since the first call allocates memory.
    """
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (GRID, GRID, 3), dtype=np.uint8)
    tables = runner.prepare(image)
    proposal = Proposal(
        np.zeros((COUNT, 2, CELLS, CELLS), np.float32), np.ones((3, CELLS, CELLS), np.float32), ()
    )

    def step() -> NetworkAnswer:
        return runner.step(runner.encode(image), tables, proposal)

    step()
    return step


def measure(runner: Runner, clock: Callable[[], float] = time.perf_counter) -> float:
    """Measure the median time of one network step on random input, seconds."""
    step = random_step(runner)
    times = []
    for _ in range(TRIALS):
        start = clock()
        step()
        times.append(clock() - start)
    return statistics.median(times)


def climb(
    models: Sequence[Model],
    start: Callable[[Model], Runner],
    budget_s: float = BUDGET_S,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Runner, Model, int]:
    """Choose the first model within the time budget, or else the smallest one on every second frame.

    Args:
        models: at least one model, largest first.
        start: makes the runner of a model.
        budget_s: longest time of one step, seconds.
        clock: monotonic time, seconds.

    Returns:
        The runner, its model, and the number of frames for each network step.
    """
    for model in models:
        runner = start(model)
        took = measure(runner, clock)
        logger.info("network %s takes %.1f ms", model.size, took * 1e3)
        if took <= budget_s:
            return runner, model, 1
    return runner, model, 2
