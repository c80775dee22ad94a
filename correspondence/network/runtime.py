"""The network matcher: one call over ONNX Runtime or torch, at the size the machine can carry."""

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

BUDGET_S = 0.016  # of a frame's 33 ms, what the network itself may take
TRIALS = 7


def to_network(image: Image) -> Float:
    """uint8 (N, N, 3) to float32 (1, 3, N, N) in [0, 1]."""
    return np.asarray(cv2.dnn.blobFromImage(image, 1 / 255), np.float32)


class OnnxRunner:
    """ONNX Runtime on the CPU; waiting threads sleep, since spinning ones slow everything beside them.

    Frames are encoded on one thread, since candidates are found at the same time; the rest takes `threads`.
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
    """A match that remembers what the next frame may use.

    Attributes:
        region: the frame's square.
        gray: uint8 (256, 256), that square.
        prepared: the reference it was made with.
        said: the network's own words; None for a frame that was carried over from the one before.
        values: float32 (256, 256, 3), field and calibrated log_b in cells.
    """

    region: Region
    gray: Any
    prepared: NetworkReference
    said: NetworkAnswer | None
    values: Float


class NetworkMatcher:
    """Matches by candidates and a network; holds no session state, safe to share between threads."""

    def __init__(self, runner: Runner, model: Model, every: int = 1) -> None:
        """A matcher of one size.

        Args:
            runner: of the network.
            model: what it runs.
            every: the network sees every n-th frame of a session; others are carried over by flow.
        """
        self._runner, self._model, self._every = runner, model, every
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="candidates")

    @classmethod
    def load(cls, kind: str, device: str = "cpu", weights: str | Path | None = None) -> NetworkMatcher:
        """The largest model of a kind that this machine carries.

        Args:
            kind: "compact" or "dinov2".
            device: "cpu" (ONNX Runtime) or "cuda" (torch).
            weights: a model folder; None for the shipped ones.

        Raises:
            ValueError: another device.
            WeightsError: missing or damaged weights, or a runtime that is not installed.
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
        """Rung of the ladder: the model's size, with "/2" where every second frame is carried over."""
        return self._model.size if self._every == 1 else f"{self._model.size}/{self._every}"

    def prepare(self, image: Image, landmarks: MaybeLandmarks = DETECT) -> NetworkReference:
        """Make a reference ready.

        Args:
            image: RGB uint8 (H, W, 3); copied.
            landmarks: of its face; None for no face; DETECT to look for one.
        """
        base = prepare_classical(image, landmarks)
        inner = crop(base.image, base.region)
        return NetworkReference(base, gray_of(inner), self._runner.prepare(inner))

    def begin(self, frame: Image, prepared: NetworkReference) -> Begun:
        """Start on what needs no landmarks; see `Matcher.begin`."""
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
        """Where each pixel of `frame` lies in the reference; see `Matcher.match`."""
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
    """The last match as the temporal candidate needs it, seen from a region that may have moved."""
    field = np.ascontiguousarray(last.values[..., :2])
    if region == last.region:
        return Past(last.gray, field)
    at = pixel_grid(GRID, GRID)
    return Past(last.gray, field, last.region.to_grid(region.to_pixels(at)) - at)


def carry(gray: Any, past: Past, values: Float) -> Float:
    """The last frame's values brought to this one by flow, doubted a little more: float32 (256, 256, 3)."""
    field, steady = temporal(gray, past)
    return np.dstack([field, values[..., 2] + np.log(2 - steady) + 0.1]).astype(np.float32)


def random_step(runner: Runner) -> Callable[[], NetworkAnswer]:
    """A network step on random input, encoding included, to be timed; called once already: that allocates."""
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
    """Median time of one network step on random input, seconds."""
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
    """The ladder: the first model within the budget, else the smallest one on every second frame.

    Args:
        models: largest first, at least one.
        start: makes a model's runner.
        budget_s: longest step, seconds.
        clock: monotonic time, seconds.

    Returns:
        The runner, its model, and how many frames share one network step.
    """
    for model in models:
        runner = start(model)
        took = measure(runner, clock)
        logger.info("network %s takes %.1f ms", model.size, took * 1e3)
        if took <= budget_s:
            return runner, model, 1
    return runner, model, 2
