"""The server's event loop and its signals on each system."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stream.http import running
from tests.conftest import ROOT


def test_windows_is_served_by_the_selector_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its usual loop goes deaf on a UDP socket after a packet to a closed port."""
    monkeypatch.setattr(sys, "platform", "win32")
    assert running.loop_factory() is asyncio.SelectorEventLoop


def test_without_uvloop_asyncio_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert running.loop_factory() is None


WITHOUT_UVLOOP = """\
import sys
sys.modules["uvloop"] = None
from server import main
sys.exit(main(["serve", "--port", "0", "--no-store", "--log-level", "info"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no signal can be sent there")
def test_the_server_runs_without_uvloop(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_UVLOOP]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Livery is at http://localhost:")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "uvloop is not installed" in said


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGBREAK"])
def test_a_signal_stops_it_where_loops_take_none(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, whose SIGBREAK is SIGUSR1 here."""
    if name == "SIGBREAK":
        monkeypatch.setattr(signal, name, getattr(signal, "SIGUSR1", signal.SIGTERM), raising=False)
    number = getattr(signal, name)
    before = signal.getsignal(number)

    def refuse(*_: Any) -> None:
        raise NotImplementedError

    async def stopped() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "add_signal_handler", refuse)
        stop = running._stop_event()
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), 5)

    kept = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, number)}
    try:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(stopped())
    finally:
        for each, handler in kept.items():
            signal.signal(each, handler)
    assert signal.getsignal(number) == before
