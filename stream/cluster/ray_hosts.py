"""Media hosts as actors of Ray, which places them on nodes, starts them again and tells when they die."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from stream import logs
from stream.cluster.config import ClusterConfig
from stream.cluster.host import MediaHost
from stream.cluster.placement import Report
from stream.cluster.ray_fills import fill_actors, fill_pool
from stream.cluster.remote import HostLostError
from stream.config import ServerConfig
from stream.errors import StartError
from stream.filling.fill import fill_setup

logger = logging.getLogger(__name__)

QUIET = {  # in the environment of what starts Ray
    "RAY_USAGE_STATS_ENABLED": "0",  # else Ray sends statistics to its makers
    "RAY_worker_niceness": "0",  # else it gives media the lowest priority but four
}
CONNECT_S = 5.0  # longest connecting to a cluster
CLOSE_S = 4.0  # longest end of a host's sessions before its process is ended


class RayHost:
    """One media host as the front sees it.

    Args:
        name: the host's name.
        actor: the handle of its actor.
    """

    def __init__(self, name: str, actor: Any) -> None:
        self.name = name
        self._actor = actor

    async def report(self) -> Report:
        """Tell how it is (see `MediaHost.report`)."""
        report: Report = await self._ask("report")
        return report

    async def adopt(self, folder: str) -> None:
        """Take over a stored session (see `MediaHost.adopt`)."""
        await self._ask("adopt", folder)

    async def give(self, session: str) -> str:
        """Give a session up (see `MediaHost.give`)."""
        folder: str = await self._ask("give", session)
        return folder

    async def in_room(self, room: str) -> str | None:
        """Id of its session with a room name."""
        found: str | None = await self._ask("in_room", room)
        return found

    async def close(self) -> None:
        """Close its sessions; what is stored stays."""
        await self._ask("close")

    async def restart(self, *, gently: bool) -> None:
        """End its process; Ray starts another.

        Args:
            gently: whether to close its sessions before.
        """
        try:
            if gently:
                async with asyncio.timeout(CLOSE_S):
                    await self._ask("close")
        except TimeoutError:
            logger.warning("media host %s took over %g s to close", self.name, CLOSE_S)
        finally:
            _ray().kill(self._actor, no_restart=False)

    async def _ask(self, method: str, *arguments: object) -> Any:
        from ray.exceptions import RayActorError, RayTaskError

        try:
            return await getattr(self._actor, method).remote(*arguments)
        except RayActorError as exc:
            raise HostLostError(str(exc).splitlines()[0]) from exc
        except RayTaskError as exc:
            raise exc.cause from None  # as the host raised it


def _ray() -> Any:
    """Import Ray, which is slow, when it is needed. Not all of it is typed."""
    return importlib.import_module("ray")


def node_address() -> str:
    """Return the address under which other nodes of the cluster reach this one."""
    address: str = importlib.import_module("ray.util").get_node_ip_address()
    return address


@contextmanager
def ray_hosts(config: ServerConfig, cluster: ClusterConfig) -> Iterator[list[RayHost]]:
    """Connect to Ray, or start it on this machine, and make the actors. Both end with the block.

    Args:
        config: the configuration of the hosts' servers. Each listens at its node's own address.
        cluster: how many, and where.

    Raises:
        StartError: Ray is not installed, there is no cluster at the address, or no node has the processors
            for the hosts or the fill workers.
        WeightsError: the folder of the fill's weights holds none.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        ray = _ray()
    except ModuleNotFoundError as exc:
        raise StartError("--cluster needs Ray: python -m pip install 'livery[cluster]'") from exc

    _require_answer(cluster)
    local = {"include_dashboard": False} if cluster.address is None else {}
    try:
        ray.init(address=cluster.address, configure_logging=False, log_to_driver=False, **local)
    except (ConnectionError, RuntimeError, ValueError) as exc:
        raise StartError(f"there is no Ray cluster at {cluster.address!r}: {exc}") from exc
    try:
        yield _actors(config, cluster)
    finally:
        ray.shutdown()  # ends the actors too, since they are this process's


def _require_answer(cluster: ClusterConfig) -> None:
    """Raise StartError if nothing listens at the address. Ray alone would try for minutes."""
    if cluster.place is None:
        return
    try:
        socket.create_connection(cluster.place, CONNECT_S).close()
    except OSError as exc:
        raise StartError(
            f"no Ray cluster answers at {cluster.address} ({exc.strerror or exc}); start one there with "
            "ray start --head, or leave the address out to start Ray on this machine"
        ) from exc


def shape(
    nodes: Sequence[dict[str, float]], cluster: ClusterConfig, *, gpu: bool, fill_gpu: bool = False
) -> tuple[int, int]:
    """Return the number of media hosts, and the processors of each.

    Args:
        nodes: what Ray says that each node has: "CPU" and "GPU".
        cluster: what is wanted.
        gpu: whether each media host needs a GPU.
        fill_gpu: whether each fill worker needs one.

    Raises:
        StartError: the nodes do not have it.
    """
    nodes = [node for node in nodes if node.get("CPU", 0) >= 1]
    if not nodes:
        raise StartError("no node of the Ray cluster has a processor to give")
    fills = cluster.fill_hosts
    spare = -(-fills // len(nodes))  # processors of each node that fill workers may take
    cpus = cluster.host_cpus or max(int(min(node["CPU"] for node in nodes)) - spare, 1)
    room = int(sum(min(node["CPU"] // cpus, node.get("GPU", 0) if gpu else 1e6) for node in nodes))
    usual = room if cluster.host_cpus is not None else min(room, len(nodes))
    count = cluster.hosts or usual
    with_gpu = " and one GPU" if gpu else ""
    if not 1 <= count <= room:
        raise StartError(
            f"the Ray cluster has room for {room} media hosts of {cpus} processors{with_gpu}, not for "
            f"{count}: add nodes, or lower --hosts or --host-cpus"
        )
    left = sum(node["CPU"] for node in nodes) - count * cpus
    if fill_gpu:
        left = min(left, sum(node.get("GPU", 0) for node in nodes) - (count if gpu else 0))
    if fills > left:
        raise StartError(
            f"beside {count} media hosts of {cpus} processors{with_gpu} the Ray cluster has room for "
            f"{max(int(left), 0)} fill workers, not for {fills}: add nodes, or lower --fill-hosts, --hosts "
            "or --host-cpus"
        )
    return count, cpus


def _actors(config: ServerConfig, cluster: ClusterConfig) -> list[RayHost]:
    ray, gpu = _ray(), config.device == "cuda"
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    setup = fill_setup(config.fill_weights, config.device)
    count, cpus = shape(alive, cluster, gpu=gpu, fill_gpu=setup.device != "cpu")
    actor = ray.remote(NodeHost).options(
        num_cpus=cpus,
        num_gpus=1 if gpu else 0,
        max_restarts=-1,
        max_task_retries=0,
        scheduling_strategy="SPREAD",
    )
    front = socket.gethostname()
    known = replace(
        config,
        port=0,
        tls=None,
        allow_hosts=(*config.allow_hosts, config.host, front, f"{front.partition('.')[0]}.local"),
        trusted_proxies=(*config.trusted_proxies, node_address()),
    )
    processors = cpus if cluster.fill_hosts else cluster.host_cpus
    fills = fill_actors(cluster.fill_hosts, setup)
    return [RayHost(str(number), actor.remote(known, processors, fills)) for number in range(count)]


class NodeHost(MediaHost):
    """The actor: a media host at the address of the node on which Ray starts it."""

    def __init__(self, config: ServerConfig, processors: int | None, fills: Sequence[Any]) -> None:
        logs.configure("info")  # into Ray's log of the process
        if os.nice(0) > 0:
            logger.warning("Ray gives media a low priority; start it with RAY_worker_niceness=0")
        pool = fill_pool(fills, fill_setup(config.fill_weights, config.device))
        super().__init__(replace(config, host=node_address()), processors, pool)
