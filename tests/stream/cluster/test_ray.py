"""Media hosts on a real Ray cluster of three nodes on this machine: one dies, one is drained."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiohttp
import psutil
import pytest

from benchmarks.streams.nodes import cluster_front, ray_nodes
from correspondence import Image
from stream.cluster.ray_fills import fill_actors, fill_pool
from stream.filling.types import Priority, Setup
from tests.stream.cluster.cluster_rig import back, dress, worn
from tests.stream.filling.test_worker import masked
from tests.stream.rig import BLUE, Json, Server, is_blue, publishing, watching

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

COLOURS = (BLUE, "#1828c0", "#1828a0", "#2828e0", "#2828c0", "#2828a0")
BACK_S = 10.0


def ours() -> set[int]:
    """Processes that this one has started, with theirs."""
    return {child.pid for child in psutil.Process().children(recursive=True)}


async def hosts(server: Server) -> list[Json]:
    async with server.http.get(f"{server.origin}/api/cluster") as answer:
        return list((await answer.json())["hosts"])


async def up(server: Server, count: int, limit_s: float) -> None:
    end_s = time.monotonic() + limit_s
    while (found := sum(host["up"] for host in await hosts(server))) != count:
        assert time.monotonic() < end_s, f"{found} hosts are up after {limit_s:g} s"
        await asyncio.sleep(0.1)


def test_a_killed_nodes_sessions_and_a_drained_hosts_come_back_with_their_looks(
    tmp_path: Path, astronaut: Image
) -> None:
    before, files = ours(), set(Path("/tmp").iterdir())
    with (
        ray_nodes(3) as nodes,
        cluster_front(nodes.address, tmp_path, "--matcher", "classical", "--max-load", "0") as (origin, _),
    ):

        async def all_of_it() -> None:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
                server = Server(None, http, origin)
                await up(server, 3, 60)
                clients = [await server.open() for _ in COLOURS]
                looks = [
                    worn(await dress(c, astronaut, colour))
                    for c, colour in zip(clients, COLOURS, strict=True)
                ]
                await asyncio.sleep(1.5)  # the next report
                assert [host["sessions"] for host in await hosts(server)] == [2, 2, 2]

                began_s = time.monotonic()
                nodes.kill()
                await up(server, 2, BACK_S)
                states = await asyncio.gather(*(back(client, BACK_S) for client in clients))
                assert time.monotonic() - began_s < BACK_S
                assert [worn(state) for state in states] == looks
                async with publishing(clients[0]), watching(clients[0]) as screen:
                    await screen.shows(is_blue)

                nodes.add()
                await up(server, 3, 90)  # Ray has started the third again
                name = max(await hosts(server), key=lambda host: int(host["sessions"]))["name"]
                async with http.post(f"{origin}/api/cluster/hosts/{name}/drain", json={}) as answer:
                    assert (await answer.json())["moved"] >= 2
                states = await asyncio.gather(*(client.ok("GET") for client in clients))
                assert [worn(state) for state in states] == looks

        asyncio.run(all_of_it())
    assert ours() == before
    assert not {path.name for path in set(Path("/tmp").iterdir()) - files if "ray" in path.name}


def test_a_pool_of_fill_workers_goes_on_when_one_dies() -> None:
    import ray

    with ray_nodes(2) as nodes:
        ray.init(address=nodes.address, configure_logging=False, log_to_driver=False)
        try:
            actors = fill_actors(2, Setup())
            pool = fill_pool(actors, Setup())
            assert pool is not None
            jobs = [pool.submit(Priority.MASKED, masked(), deadline_s=120.0) for _ in range(4)]
            assert all(job.future.result(120).shape == masked().image.shape for job in jobs)
            assert pool.status().done == 4

            ray.kill(actors[0], no_restart=False)
            jobs = [pool.submit(Priority.MASKED, masked(), deadline_s=120.0) for _ in range(6)]
            assert all(job.future.result(120).shape == masked().image.shape for job in jobs)
            status = pool.status()
            assert (status.done, status.failed) == (10, 0)
            pool.close()
        finally:
            ray.shutdown()
