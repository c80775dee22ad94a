"""The description of the HTTP interface: every route is in it, and schemathesis finds no fault with it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from stream.http.openapi import BY_WORDS, LEFT_OUT, PATHS
from tests.stream.rig import ROOT, server_process, serving, until_state

SHORT = r"/(server|settings|tokens|recording|recordings|room)$"
CONFIG = """
[parameters]
"path.id" = "{id}"

[[operations]]
include-operation-id = "end_session"
enabled = false
"""


async def test_every_route_is_described() -> None:
    async with serving() as server:
        async with server.http.get(f"{server.origin}/api/openapi.json") as answer:
            assert answer.status == 200
            told = await answer.json()
        assert server.app is not None
        for route in server.app.router.routes():
            assert route.resource is not None
            path = route.resource.canonical
            name = route.handler.__name__
            if not path.startswith(PATHS) or route.method == "HEAD" or name in (*LEFT_OUT, *BY_WORDS):
                continue
            operation = told["paths"][path][route.method.lower()]
            assert operation["summary"].endswith("."), path
            assert "2" in {status[0] for status in operation["responses"]}
    ids = [operation["operationId"] for path in told["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


async def search_faults(folder: Path, limit_s: float, *options: str) -> None:
    """Run schemathesis on a server with a live session; it must find nothing, and leave the session."""
    async with server_process(
        "--opens-per-minute", "100000", "--failures-per-minute", "100000", "--max-sessions", "10000"
    ) as (server, _):
        client = await server.open()
        await client.ok("POST", "/demo")
        await until_state(client, lambda state: state["source"] is not None)
        config = folder / "schemathesis.toml"
        config.write_text(CONFIG.format(id=client.id))
        command = [
            *("-W", "ignore", "-m", "schemathesis.cli", "--config-file", str(config)),
            *(
                "run",
                f"{server.origin}/api/openapi.json",
                "--checks",
                "all",
                *options,
                "--seed",
                "1",
            ),
            *("--header", f"Authorization: Bearer {client.token}", "--no-color"),
            *("--request-timeout", "120", "--max-response-time", "100"),
        ]
        hooks = {"SCHEMATHESIS_HOOKS": "tests.stream.http.fuzz_hooks", "PYTHONPATH": str(ROOT)}
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, cwd=folder, env={**os.environ, **hooks},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(limit_s):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        text = said.decode()
        (folder / "said.txt").write_text(text)
        assert process.returncode == 0, text[-6000:]
        assert (await client.ok("GET"))["id"] == client.id, "the session lives on"


async def test_schemathesis_finds_no_fault_in_operations_without_pictures(tmp_path: Path) -> None:
    """The short form of the tests below."""
    pytest.importorskip("schemathesis")
    await search_faults(
        tmp_path, 100, "--phases", "fuzzing", "--max-examples", "5", "--include-path-regex", SHORT
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_schemathesis_finds_no_fault_at_the_edges_of_each_value(tmp_path: Path) -> None:
    pytest.importorskip("schemathesis")
    await search_faults(tmp_path, 850, "--phases", "coverage")


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_schemathesis_finds_no_fault_in_200_examples_of_each_operation(tmp_path: Path) -> None:
    pytest.importorskip("schemathesis")
    await search_faults(tmp_path, 3500, "--max-examples", "200")
