"""`livery serve --cluster`: what it refuses before any work, and why."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from stream.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--hosts", "2"], "they need --cluster"),
        (["--cluster", "--hosts", "0"], "hosts must lie in"),
        (["--fill-hosts", "2"], "they need --cluster"),
        (
            ["--cluster", "--no-store", "--fill-hosts", "2", "--no-keyframes"],
            "leave --no-keyframes or --fill-hosts out",
        ),
        (["--cluster", "--osc", "9000"], "--osc belongs to one machine"),
        (["--cluster", "--record", "films"], "--record belongs to one machine"),
        (["--cluster", "--tls", "auto"], "--cluster with --tls needs --public-url"),
        (["--cluster", "somewhere"], "HOST:PORT"),
    ],
)
def test_what_does_not_go_together_is_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--port", "0", "--no-store", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_cluster_needs_a_store_that_all_share(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "0", "--cluster"]) == 2
    assert "--cluster needs --data DIR on storage that all its nodes share" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))  # it is not asked
    assert main(["serve", "--port", "0", "--no-store", "--cluster", "127.0.0.1:1"]) == 2
    assert "no Ray cluster answers at 127.0.0.1:1 (Connection refused)" in capsys.readouterr().err


def test_a_cluster_needs_ray(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["serve", "--port", "0", "--no-store", "--cluster"]) == 2
    assert "pip install 'livery[cluster]'" in capsys.readouterr().err
