"""A Ray cluster of several nodes on this machine, and the front of a Livery cluster on it."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.streams.live import server_process
from stream.cluster.ray_hosts import QUIET

HERE = {"object_store_memory": 80_000_000}  # of each node: nothing uses its store; the least that Ray takes
DELETE_TRIES = 40
HEALTH = {"health_check_period_ms": 500, "health_check_timeout_ms": 1000, "health_check_failure_threshold": 3}


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """Nodes that are processes of this machine. The first one, without processors, holds Ray's own state."""

    address: str
    _cluster: Any
    _nodes: list[Any]

    def add(self) -> None:
        """Start one more node of one processor. Ray wants to be called on the main thread."""
        self._nodes.append(self._cluster.add_node(num_cpus=1, **HERE))

    def kill(self) -> None:
        """End the oldest node's processes at once, without a word to anyone."""
        self._cluster.remove_node(self._nodes.pop(0), allow_graceful=False)


@contextlib.contextmanager
def ray_nodes(count: int) -> Iterator[Nodes]:
    """Start nodes of one processor each, as Ray counts them. Processes and files end with the block."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    make: Any = importlib.import_module("ray.cluster_utils").Cluster  # not all of it is typed
    before, folder = os.environ.get("RAY_TMPDIR"), tempfile.mkdtemp(prefix="ray-")  # short: it holds sockets
    os.environ["RAY_TMPDIR"] = folder
    Path(folder, "ray").mkdir()
    handler = signal.getsignal(signal.SIGTERM)
    cluster = make()
    try:
        cluster.add_node(num_cpus=0, include_dashboard=False, _system_config=HEALTH, **HERE)
        nodes = Nodes(cluster.address, cluster, [])
        for _ in range(count):
            nodes.add()
        cluster.wait_for_nodes()
        yield nodes
    finally:
        cluster.shutdown()
        signal.signal(signal.SIGTERM, handler)  # Ray has set another
        _delete(folder)
        del os.environ["RAY_TMPDIR"]
        if before is not None:
            os.environ["RAY_TMPDIR"] = before


def _delete(folder: str) -> None:
    """Delete a folder in which processes that are ending may still write."""
    for _ in range(DELETE_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            return
        time.sleep(0.25)


@contextlib.contextmanager
def cluster_front(address: str, folder: Path, *more: str) -> Iterator[tuple[str, psutil.Process]]:
    """Start `livery serve --cluster` on a Ray cluster. Yields the front's address and process."""
    arguments = ["server.py", "--port", "0", "--cluster", address, "--data", str(folder / "data"), *more]
    with server_process(arguments, folder / "front.log") as (origin, process):
        yield origin, process
