"""`livery serve --cluster`: the front in this process, the media hosts in others."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from dataclasses import replace

from stream.cluster.config import ClusterConfig
from stream.cluster.fleet import Fleet
from stream.cluster.front import create_front
from stream.cluster.ray_hosts import RayHost, ray_hosts
from stream.cluster.remote import HostLostError
from stream.config import ServerConfig
from stream.errors import StartError
from stream.http.running import leave_in_time, loop_factory, print_line, run_app
from stream.metrics import Registry

logger = logging.getLogger(__name__)

FOLDER = "hosts"  # holds the stores of the media hosts
CLOSE_S = 3.0  # time in which the hosts may close their sessions
STOP_S = 20.0  # longest time from the signal to the end of the process, Ray's own end included


def check(config: ServerConfig, cluster: ClusterConfig) -> None:
    """Raise ValueError if the configurations ask for what a cluster cannot do."""
    for name, wanted in (
        ("--demo", config.demo),
        ("--osc", config.osc_port is not None),
        ("--public-address", config.public_address is not None),
        ("--record", config.record is not None),
        ("--virtual-camera", config.virtual_camera),
    ):
        if wanted:
            raise ValueError(
                f"{name} belongs to one machine and cannot go with --cluster; leave one of them out"
            )
    if cluster.fill_hosts and config.keyframes is False:
        raise ValueError("--fill-hosts fill new keyframes; leave --no-keyframes or --fill-hosts out")
    if config.tls is not None and config.public_url is None:
        raise ValueError("--cluster with --tls needs --public-url: the media hosts name it to clients")


def serve_cluster(config: ServerConfig, cluster: ClusterConfig) -> None:
    """Serve from several machines until SIGINT (Ctrl-C) or SIGTERM, as `stream.http.app.serve` does from one.

    Args:
        config: the configuration of the front and of each media host. The store's folder must be the same
            storage on all nodes.
        cluster: how many media hosts there are, and where.

    Raises:
        KeyboardInterrupt: Ctrl-C before the front listens.
        StartError: there is no cluster, no host starts, or the port is in use.
        ValueError: the configuration asks for what a cluster cannot do.
    """
    check(config, cluster)
    of_hosts = replace(config, keyframes=True) if cluster.fill_hosts else config
    if config.store is not None:
        of_hosts = replace(
            of_hosts, store=replace(config.store, folder=config.store.folder.absolute() / FOLDER)
        )
    with ray_hosts(of_hosts, cluster) as hosts, asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_run(config, of_hosts, hosts))


async def _run(config: ServerConfig, of_hosts: ServerConfig, hosts: list[RayHost]) -> None:
    folder = of_hosts.store.folder if of_hosts.store is not None else None
    fleet = Fleet(hosts, folder, Registry())

    def busy() -> int:
        return sum(seat.report.live for seat in fleet.seats.values() if seat.report is not None)

    async def begin(origin: str) -> None:
        up = sum(seat.usable for seat in fleet.seats.values())
        print_line(f"{up} of {len(hosts)} media hosts are up.")

    try:
        await run_app(
            create_front(config, fleet), print_line, begin, busy,
            lambda: leave_in_time(STOP_S), sys.stdout.isatty(),
        )  # fmt: skip
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await asyncio.gather(*(_close(host) for host in hosts))


async def _close(host: RayHost) -> None:
    try:
        await host.close()
    except (HostLostError, StartError) as exc:
        logger.info("media host %s was gone already: %s", host.name, exc)
