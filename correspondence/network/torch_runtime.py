"""The network on a GPU by torch: half precision, compiled, CUDA graphs, and batches over sessions.

Everything except the graph capture also runs on a CPU, where the tests use it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from correspondence.network.checkpoints import Model, network_from, read_state
from correspondence.network.export import OUTPUTS, example_inputs, fix_size
from correspondence.network.fine import NetworkAnswer, Tables
from correspondence.network.model import Network, ReferenceFeatures
from correspondence.network.propose import Proposal
from correspondence.types import Image

WARM_UP = 3  # runs before a graph is captured
MOST_TOGETHER = 8  # largest number of frames in one call; each number has its own graph
Job = tuple[Image, Tables, Proposal]


class TorchRunner:
    """Runs a network with torch. Frames of several sessions can share one call.

    On CUDA the network is in half precision and compiled. For each batch size one CUDA graph is captured over
    fixed buffers: inputs are copied in, the graph is replayed, and outputs are copied out.
    """

    def __init__(self, model: Model, device: str = "cuda", encoder_weights: Path | None = None) -> None:
        network = network_from(read_state(model.folder / "state.pt"), encoder_weights)
        self._start(fix_size(network), device)

    @classmethod
    def of(cls, network: Network, device: str) -> TorchRunner:
        """Make a runner of a network that is in memory."""
        runner = cls.__new__(cls)
        runner._start(fix_size(network), device)
        return runner

    def _start(self, network: Network, device: str) -> None:
        self._device = torch.device(device)
        self._cuda = self._device.type == "cuda"
        self._type = torch.float16 if self._cuda else torch.float32
        self._network = network.to(self._device).eval()
        self._lock = threading.Lock()
        self._graphs: dict[int, _Captured] = {}
        self._call: Any = torch.compile(self._run) if self._cuda else self._run

    def prepare(self, image: Image) -> Tables:
        """Compute the tables of a reference's region, uint8 (256, 256, 3), as tensors on the device."""
        with self._lock, torch.inference_mode(), self._autocast():
            return tuple(t.to(self._type).clone() for t in self._network.prepare(self._images([image])))

    def encode(self, image: Image) -> Image:
        """Return the picture itself, since frames are encoded in their batch."""
        return image

    def step(self, image: Image, tables: Tables, proposal: Proposal) -> NetworkAnswer:
        """Match one frame's region with a prepared reference."""
        return self.step_many([(image, tables, proposal)])[0]

    def step_many(self, jobs: Sequence[Job]) -> list[NetworkAnswer]:
        """Match frames of several sessions in one call. Up to rounding, results are those of single calls.

        Args:
            jobs: at least one job: a frame's region, the tables of its reference, and its proposal.

        Raises:
            ValueError: there are no jobs.
        """
        if not jobs:
            raise ValueError("a batch needs at least one frame, got none")
        with self._lock, torch.inference_mode():
            inputs = (
                self._images([image for image, _, _ in jobs]),
                *(torch.cat(parts) for parts in zip(*(tables for _, tables, _ in jobs), strict=True)),
                self._upload([proposal.candidates for _, _, proposal in jobs]),
                self._upload([proposal.validity for _, _, proposal in jobs]),
            )
            outputs = [o.float().cpu().numpy() for o in self._compute(inputs)]
        return [NetworkAnswer(*[o[i] for o in outputs]) for i in range(len(jobs))]

    def _compute(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if not self._cuda:
            return tuple(self._call(*inputs))
        size = inputs[0].shape[0]
        if size not in self._graphs:
            self._graphs[size] = _Captured(self._call, inputs)
        return self._graphs[size](inputs)

    def _run(self, image: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        with self._autocast():
            output = self._network(image, ReferenceFeatures(*rest[:6]), rest[6], rest[7])
        return tuple(getattr(output, name) for name in OUTPUTS)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.float16, enabled=self._cuda)

    def _images(self, images: list[Image]) -> Tensor:
        stacked = torch.from_numpy(np.stack(images)).to(self._device, non_blocking=True)
        return stacked.permute(0, 3, 1, 2).float() / 255

    def _upload(self, arrays: list[Any]) -> Tensor:
        return torch.from_numpy(np.stack(arrays)).to(self._device, non_blocking=True)


class Batching:
    """A runner that batches calls of several threads. Frames that arrive during a call share the next one.

    No frame waits for a batch to fill. A single frame runs at once.
    """

    def __init__(self, runner: TorchRunner, most: int = MOST_TOGETHER) -> None:
        if most < 1:
            raise ValueError(f"a batch holds at least 1 frame, got most={most}")
        self._runner, self._most = runner, most
        self._waiting: deque[tuple[Job, Future[NetworkAnswer]]] = deque()
        self._turn = threading.Lock()

    def prepare(self, image: Image) -> Tables:
        """See `TorchRunner.prepare`."""
        return self._runner.prepare(image)

    def encode(self, image: Image) -> Image:
        """See `TorchRunner.encode`."""
        return image

    def step(self, image: Image, tables: Tables, proposal: Proposal) -> NetworkAnswer:
        """Match one frame's region, in one call with the waiting frames of other threads."""
        mine: Future[NetworkAnswer] = Future()
        self._waiting.append(((image, tables, proposal), mine))
        with self._turn:
            while not mine.done():
                self._run_waiting()
        return mine.result()

    def _run_waiting(self) -> None:
        together = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        try:
            said = self._runner.step_many([job for job, _ in together])
        except Exception as failure:
            for _, future in together:
                future.set_exception(failure)
            return
        for (_, future), step in zip(together, said, strict=True):
            future.set_result(step)


class _Captured:
    """A CUDA graph over fixed buffers."""

    def __init__(self, call: Any, inputs: tuple[Tensor, ...]) -> None:
        self._inputs = tuple(i.clone() for i in inputs)
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                call(*self._inputs)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = call(*self._inputs)

    def __call__(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        for fixed, given in zip(self._inputs, inputs, strict=True):
            fixed.copy_(given)
        self._graph.replay()
        return tuple(o.clone() for o in self._outputs)


def parity(network: Network, runner: TorchRunner, batch: int = 1) -> float:
    """Compute the largest difference of a runner's field from the network's in single precision, pixels."""
    image, *rest = example_inputs(network, batch)
    with torch.inference_mode():
        wanted = network(image, ReferenceFeatures(*rest[:6]), rest[6], rest[7]).field
        said = runner._run(*[t.to(runner._device) for t in (image, *rest)])[0]
    return float((said.float().cpu() - wanted).abs().max())
